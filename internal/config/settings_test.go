package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

const smallGrid = "prompt: {tokens: 100}\nnum_ctx: [4096]\nnum_batch: [512]\nengine: embedded\n"

// TestSettings: a setting with several values is an axis, one with a single value is fixed, and a single
// auto is as if it were left out. Flags override single settings.
func TestSettings(t *testing.T) {
	const text = smallGrid + `
options:
  num_thread: [8, 16, 8]
  num_gpu: [auto, 40, 30]
  use_mmap: false
  main_gpu: auto
server:
  flash_attention: [auto, on, off]
  num_parallel: 1
  env: {LLAMA_ARG_N_CPU_MOE: [0, 12], LLAMA_ARG_THREADS_BATCH: 4}
`
	c, err := readConfig(t, text)
	require.NoError(t, err)
	assert.Equal(t, []cell.SettingAxis{
		{Name: "num_gpu", Values: []string{"auto", "40", "30"}},
		{Name: "num_thread", Values: []string{"8", "16"}},
		{Name: "flash_attention", Values: []string{"auto", "on", "off"}},
		{Name: "LLAMA_ARG_N_CPU_MOE", Values: []string{"0", "12"}},
	}, c.Grid().Settings)
	assert.Equal(t, map[string]string{"use_mmap": "false", "num_parallel": "1", "LLAMA_ARG_THREADS_BATCH": "4"}, c.Fixed())
	plan, _ := c.Plan()
	assert.Len(t, plan, 3*2*3*2)
	assert.Equal(t, "ctx=4096/batch=512/num_gpu=auto/num_thread=8/flash_attention=auto/LLAMA_ARG_N_CPU_MOE=0", plan[0].String())

	c, err = readConfig(t, text, "-option", "num_gpu=20", "-option", "num_thread=1,2", "-server", "kv_cache_type=f16,q8_0", "-server", "LLAMA_ARG_N_CPU_MOE=3", "-server", "flash_attention=auto")
	require.NoError(t, err)
	assert.Equal(t, []cell.SettingAxis{{Name: "num_thread", Values: []string{"1", "2"}}, {Name: "kv_cache_type", Values: []string{"f16", "q8_0"}}}, c.Grid().Settings)
	assert.Equal(t, map[string]string{"num_gpu": "20", "use_mmap": "false", "num_parallel": "1", "LLAMA_ARG_THREADS_BATCH": "4", "LLAMA_ARG_N_CPU_MOE": "3"}, c.Fixed())

	c, err = readConfig(t, smallGrid)
	require.NoError(t, err)
	assert.Nil(t, c.Grid().Settings)
	assert.Nil(t, c.Fixed())
}

// TestBinariesAreRelative: a binary with a folder is relative to the config's, one without is on PATH.
func TestBinariesAreRelative(t *testing.T) {
	c, err := readConfig(t, smallGrid+"server: {ollama: [ollama, bin/ollama, /opt/ollama]}\n")
	require.NoError(t, err)
	values := c.Grid().Settings[0].Values
	assert.Equal(t, []string{"ollama", "/opt/ollama"}, []string{values[0], values[2]})
	assert.True(t, filepath.IsAbs(values[1]), values[1])
	assert.Equal(t, "ollama", filepath.Base(values[1]))
}

// TestHostCellsOfMoreAxes: the cells that compare hosts have the same other settings, so that they take one
// process of the server, and the middle num_ctx, for every shard.
func TestHostCellsOfMoreAxes(t *testing.T) {
	for shard := range 3 {
		c, err := readConfig(t, "engine: embedded\nprompt: {tokens: 100}\nnum_ctx: [512, 1024, 2048]\nnum_batch: [64, 128, 256]\noptions: {num_thread: [1, 2]}\nserver: {env: {GGML_X: [a, b]}}\ntest_row_first: true\n", fmt.Sprintf("-shard=%d/3", shard+1))
		require.NoError(t, err)
		own := func(ctx, batch int) cell.Key {
			return cell.Key{Ctx: ctx, Batch: batch, Settings: "num_thread=1/GGML_X=a"}
		}
		assert.Equal(t, []cell.Key{own(512, 64), own(1024, 128)}, c.HostCells())
		plan, _ := c.Plan()
		assert.Len(t, plan, 12)
		cp := checkpoint.Checkpoint{Sweep: checkpoint.Header{NumCtx: c.NumCtx.Values(), NumBatch: c.NumBatch.Values(), Axes: c.Grid().Settings, Shard: c.Shard}}
		assert.ElementsMatch(t, plan, cp.Plan(), "the checkpoint knows its own part")
	}
}

// TestNameBinaries: binaries are named by their versions, and those of one version by their paths besides.
func TestNameBinaries(t *testing.T) {
	versions := map[string]string{"/old/ollama": "0.10.1", "/new/ollama": "0.31.1", "/own/ollama": "0.31.1", "/other/ollama": "0.31.1"}
	version := func(file string) (string, error) {
		if versions[file] == "" {
			return "", errors.New("no such file")
		}
		return versions[file], nil
	}
	c, err := readConfig(t, smallGrid+"server: {ollama: [/new/ollama, /old/ollama, /own/ollama, /other/ollama]}\n")
	require.NoError(t, err)
	before := c
	require.NoError(t, c.NameBinaries(version))
	assert.Equal(t, []cell.SettingAxis{{Name: "ollama", Values: []string{"0.31.1+new", "0.10.1", "0.31.1+own", "0.31.1+other"}}}, c.Grid().Settings)
	assert.Equal(t, map[string]string{"0.31.1+new": "/new/ollama", "0.10.1": "/old/ollama", "0.31.1+own": "/own/ollama", "0.31.1+other": "/other/ollama"}, c.Binaries)
	assert.Equal(t, "/new/ollama", before.Grid().Settings[0].Values[0], "a copy of the config stays as it was")

	delete(versions, "/own/ollama")
	assert.EqualError(t, before.NameBinaries(version), "server: ollama: /own/ollama: no such file")
	c, err = readConfig(t, smallGrid+"server: {ollama: /own/ollama}\n")
	require.NoError(t, err)
	require.NoError(t, c.NameBinaries(version), "one binary is no axis")
	assert.Equal(t, "/own/ollama", c.Ollama)
	assert.Empty(t, c.Fixed())
	assert.Nil(t, c.Binaries)
}

func TestDistinctWords(t *testing.T) {
	for want, files := range map[string][]string{
		"opt usr":        {"/opt/ollama/bin/ollama", "/usr/local/bin/ollama"},
		"a_1.2 b":        {"/opt/a-1.2/ollama", "/opt/b/ollama"},
		"2 1":            {"/opt/b-c/ollama", "/opt/b+c/ollama"},
		"ollama opt":     {"ollama", "/opt/ollama"},
		"3 1 2":          {"/opt/b/ollama", "/opt/a/ollama", "/opt/a/x/ollama"},
		"cuda12 cuda13":  {"/opt/cuda12/ollama", "/opt/cuda13/ollama"},
		"one two three_": {"/opt/x/one", "/opt/x/two", "/opt/x/three~"},
	} {
		for range 2 { // in either order
			words := distinctWords(files)
			var got []string
			for _, file := range files {
				got = append(got, words[file])
			}
			assert.Equal(t, want, strings.Join(got, " "))
			slices.Reverse(files)
			want = strings.Join(reversed(strings.Fields(want)), " ")
		}
	}
}

func reversed(words []string) []string {
	slices.Reverse(words)
	return words
}

func TestWrongSettings(t *testing.T) {
	for _, test := range []struct {
		name, text string
		flags      []string
		want       string
	}{
		{"unknown option", "options: {num_gpus: 1}", nil, `config my.yaml:5: options: num_gpus: unknown option "num_gpus": write one of num_gpu, main_gpu, num_thread, use_mmap, draft_num_predict`},
		{"sampling", "options: {temperature: [0, 1]}", nil, `config my.yaml:5: options: temperature: temperature does not load the model anew: it is about the generated tokens, which are not measured`},
		{"num_ctx", "options: {num_ctx: 4096}", nil, `config my.yaml:5: options: num_ctx: num_ctx has a key of its own: write it outside of options`},
		{"server's setting in options", "options: {flash_attention: on}", nil, `config my.yaml:5: options: flash_attention: flash_attention is a setting of the server: write server: {flash_attention: …}, or -server flash_attention=…`},
		{"variable in options", "options: {LLAMA_ARG_X: 1}", nil, `config my.yaml:5: options: LLAMA_ARG_X: LLAMA_ARG_X is a variable of the server's environment: write server: {env: {LLAMA_ARG_X: …}}, or -server LLAMA_ARG_X=…`},
		{"option in server", "server: {num_gpu: 1}", nil, `config my.yaml:5: server: num_gpu: num_gpu is an option of requests: write options: {num_gpu: …}, or -option num_gpu=…`},
		{"unknown setting", "server: {kv_type: f16}", nil, `config my.yaml:5: server: kv_type: unknown setting "kv_type": write one of ollama, flash_attention, kv_cache_type, num_parallel, or a variable of the environment, in capitals`},
		{"value", "options:\n  num_gpu:\n  - 1\n  - -2", nil, `config my.yaml:7: options: num_gpu: -2 is below the minimum 0: to leave it to the server write auto`},
		{"boolean", "options: {use_mmap: 1}", nil, `config my.yaml:5: options: use_mmap: unknown value "1": write true, false or auto`},
		{"empty list", "options: {num_gpu: []}", nil, `config my.yaml:5: options: num_gpu: has no value: give one, or leave it out`},
		{"null", "options: {num_gpu: }", nil, `config my.yaml:5: options: num_gpu: value 1: expected a number, a word, true or false`},
		{"mapping", "options: {num_gpu: {start: 1}}", nil, `config my.yaml:5: options: num_gpu: value 1: expected a number, a word, true or false`},
		{"no mapping", "options: [num_gpu]", nil, `config my.yaml:5: options: expected {num_gpu: [auto, 40], num_thread: 8}: a value or a list for each load option, got a list`},
		{"twice", "options:\n  num_gpu: 1\n  num_gpu: 2", nil, `config my.yaml:7: options: num_gpu: already set in line 6`},
		{"env of no variable", "server: {env: {flash_attention: on}}", nil, `config my.yaml:5: server: env: flash_attention: expected the name of a variable of the environment, in capitals`},
		{"reserved variable", "server: {env: {OLLAMA_MODELS: /m}}", nil, `config my.yaml:5: server: env: OLLAMA_MODELS: OLLAMA_MODELS can't be set here: set it in the environment of the sweep`},
		{"user's server", "server: {num_parallel: 1}", []string{"-engine", "host", "-model", "m"}, `config my.yaml:5: server: settings of the server need a server that the sweep starts, with -engine own or -engine embedded: leave them out, or set them where your server is started`},
		{"binary twice", "server: {ollama: [a, b]}", []string{"-ollama", "c"}, `config my.yaml:5: server: the binary is named twice, by the key ollama and by ollama of the server's settings: leave one out`},
		{"large search", "options: {num_gpu: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], num_thread: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], main_gpu: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}\nstrategy: best", nil, `config my.yaml:6: strategy: strategy best compares at most 1000 combinations of the axes besides num_ctx and num_batch: use fewer values of num_thread`},
		{"flag without value", "", []string{"-option", "num_gpu"}, `invalid value "num_gpu" for flag -option: expected NAME=VALUE or NAME=VALUE,VALUE, got "num_gpu"`},
		{"flag of a wrong value", "", []string{"-option", "num_gpu=x"}, `invalid value "num_gpu=x" for flag -option: expected a whole number or auto, got "x"`},
		{"flag of another", "", []string{"-server", "num_gpu=1"}, `invalid value "num_gpu=1" for flag -server: num_gpu is an option of requests: write options: {num_gpu: …}, or -option num_gpu=…`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readConfig(t, smallGrid+test.text+"\n", test.flags...)
			assert.EqualError(t, err, test.want)
		})
	}
	_, err := readConfig(t, "prompt: {tokens: 100}\nnum_ctx: {start: 2000, end: 3000, step: 1}\nnum_batch: {start: 1, end: 900, step: 1}\nengine: embedded\noptions: {num_gpu: [1, 2]}\n")
	assert.EqualError(t, err, "config my.yaml:2: num_ctx: 1001 values by 900 of num_batch and those of the other axes up to num_gpu are 1801800 cells, the maximum is 1000000: use fewer values")
}
