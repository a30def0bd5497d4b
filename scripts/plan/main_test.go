package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// command runs the command in process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// writeConfig writes a config of six cells for the host.
func writeConfig(t *testing.T, host string) (file, out string) {
	t.Helper()
	dir := t.TempDir()
	file, out = filepath.Join(dir, "my.yaml"), filepath.Join(dir, "out")
	text := "model: tiny\nhost: " + host + "\nprompt: {tokens: 200}\nnum_ctx: [512, 1024]\nnum_batch: [64, 128, 1024]\nout: " + out + "\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file, out
}

func TestPlan(t *testing.T) {
	file, out := writeConfig(t, "http://127.0.0.1:9") // where no server listens
	code, stdout, stderr := command(t, "-config", file, "-repeat", "6")
	require.Zero(t, code, stderr)
	assert.Contains(t, stdout, "Cells: 5 of 2 num_ctx and 3 num_batch\n  1 left out, because servers cap num_batch at num_ctx: num_ctx=512 with num_batch=1024\n  0 already measured, 0 failed, 5 to do, with 6 prompts each\n")
	assert.Contains(t, stdout, "(an assumption)")
	assert.Contains(t, stdout, "exhaustive         35       60", "with three leading cells in six rounds, and the baseline")
	assert.Contains(t, stdout, "  baseline: the server's own num_batch, 12 loads at the end, because a load takes 4s (-baseline=false: none)\n")
	assert.NotContains(t, stdout, "  repeat: ", "-repeat gives a number")
	assert.Contains(t, stdout, "Memory: not known: ")
	assert.NotContains(t, stdout, "Shards: ")

	_, stdout, _ = command(t, "-config", file, "-baseline=false")
	assert.Contains(t, stdout, "exhaustive         24       24         2m0s")
	assert.Contains(t, stdout, "  repeat: a second sample of every cell, then more samples and baseline rounds until the advice is clear, at most 19 loads and 2 minutes in all (-repeat=1: none)\n")
	assert.NotContains(t, stdout, "  baseline: ")

	_, stdout, _ = command(t, "-config", file, "-option", "num_thread=1,2", "-baseline=false")
	assert.Contains(t, stdout, "Cells: 10 of 2 num_ctx, 3 num_batch and 2 num_thread\n")

	code, stdout, stderr = command(t, "-config", file, "-shards", "4")
	require.Zero(t, code, stderr)
	assert.Contains(t, stdout, "Shards: all 5 cells from the start, a machine of 1 GPU for each\n  machines ")
	assert.NoDirExists(t, out, "a plan writes no files")
}

// TestPlanMeasure measures one cell, which is then in the checkpoint.
func TestPlanMeasure(t *testing.T) {
	server := ollamatest.New(t)
	server.Simulate(1)
	file, out := writeConfig(t, server.URL.String())
	code, stdout, stderr := command(t, "-config", file, "-measure")
	require.Zero(t, code, stderr)
	assert.Contains(t, stdout, "# 1/5 ctx=512/batch=64: ")
	assert.NotContains(t, stdout, "# baseline: ", "-measure measures no baseline")
	assert.Contains(t, stdout, "  1 already measured, 0 failed, 4 to do\n")
	assert.Contains(t, stdout, "(as measured before)")
	cp, err := checkpoint.Load(filepath.Join(out, checkpoint.FileName))
	require.NoError(t, err)
	assert.Len(t, cp.Results, 1)
	_, stdout, _ = command(t, "-config", file, "-fresh")
	assert.Contains(t, stdout, "  0 already measured, 0 failed, 5 to do\n")
	assert.Contains(t, stdout, "-fresh starts over")

	_, stdout, _ = command(t, "-config", file, "-shards", "4")
	assert.Contains(t, stdout, "  simulated 20 times with the timings of 1 cell; ")

	_, stdout, _ = command(t, "-config", file, "-fresh", "-measure")
	assert.Contains(t, stdout, "  1 already measured, 0 failed, 4 to do\n")

	require.NoError(t, os.WriteFile(filepath.Join(out, checkpoint.FileName), []byte("{"), 0o644))
	code, _, stderr = command(t, "-config", file)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "decoding checkpoint")
}

// TestShared: the log's value of an axis is that of the server that ran last.
func TestShared(t *testing.T) {
	environment := map[string]string{"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_NUM_PARALLEL": "2"}
	assert.Equal(t, map[string]string{"OLLAMA_NUM_PARALLEL": "2"}, shared(environment, []cell.SettingAxis{{Name: "kv_cache_type"}, {Name: "num_gpu"}}))
	assert.Len(t, environment, 2, "it is not changed")
}

func TestPlanErrors(t *testing.T) {
	file, _ := writeConfig(t, "http://127.0.0.1:9")
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"help", []string{"-h"}, 0, "-gpu-memory"},
		{"no such flag", []string{"-x"}, 2, "flag provided but not defined"},
		{"an argument", []string{file}, 2, "name the config with -config"},
		{"no config", []string{"-config", file + "x"}, 1, "plan: reading config: "},
		{"a size with an unknown unit", []string{"-gpu-memory", "24 bananas"}, 2, "24 bananas"},
		{"neither on nor off", []string{"-flash-attention", "maybe"}, 2, "give on or off"},
		{"a cache type without flash attention", []string{"-kv-cache-type", "q8_0", "-flash-attention", "off"}, 2, "a KV cache of type q8_0 needs flash attention: use f16, or turn flash attention on"},
		{"an unknown cache type", []string{"-kv-cache-type", "int3"}, 2, "write f16, q8_0 or q4_0"},
		{"an invalid value", []string{"-config", file, "-repeat", "0"}, 1, "-repeat: "},
		{"no such binary", []string{"-config", file, "-engine", "embedded", "-server", "ollama=/nowhere/a,/nowhere/b"}, 1, "plan: server: ollama: /nowhere/a: "},
		{"more machines than cells", []string{"-config", file, "-shards", "6", "-measure"}, 1, "plan: -shards: 6 are more than the 5 cells"},
		{"one machine", []string{"-config", file, "-shards", "1"}, 1, "-shards: 1 is below 2"},
		{"-shards with -shard", []string{"-config", file, "-shards", "2", "-shard", "1/2"}, 1, "leave -shard 1/2 out"},
		{"-measure without a server", []string{"-config", file, "-measure", "-host", "nowhere.invalid:x"}, 1, "plan: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(t, tt.args...)
			assert.Equal(t, tt.code, code)
			assert.Contains(t, stdout+stderr, tt.want)
		})
	}
}
