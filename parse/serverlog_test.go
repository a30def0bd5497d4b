package parse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestServerLogCaptured(t *testing.T) {
	for file, want := range map[string]measurement.Effective{
		"load-1024-8.log":    {NumCtx: 1024, NumBatch: 8, Parallel: 1}, // the runner passes 8 tokens, although llama.cpp raises n_batch
		"load-2048-1024.log": {NumCtx: 2048, NumBatch: 512, Parallel: 1},
		"load-131080-64.log": {NumCtx: 131072, NumBatch: 64, Parallel: 1},
		"load-parallel.log":  {NumCtx: 1024, NumBatch: 64, Parallel: 2},
	} {
		got, ok := ServerLog(captured(t, file))
		assert.True(t, ok, file)
		assert.Equal(t, want, got.Only(nil), file)
		assert.True(t, ServerLogEnded(captured(t, file)), file)
	}
	_, ok := ServerLog(captured(t, "run.stderr"))
	assert.False(t, ok)
}

// TestServerLogFormats reads files that were not captured, but written according to
// the source of these versions (llm/server.go and LoadRequest of 0.12.6 and 0.24.0,
// llm/llama_server.go of 0.30.0) and that of the llama.cpp in them.
func TestServerLogFormats(t *testing.T) {
	for file, want := range map[string]measurement.Effective{
		"ollama-0.12.6-format.log":        {NumCtx: 4096, NumBatch: 512, Parallel: 2}, // num_batch 1024, n_ubatch fixed; through journald
		"ollama-0.24.0-engine-format.log": {NumCtx: 4096, NumBatch: 256, Parallel: 2},
		"ollama-0.30.0-format.log":        {NumCtx: 1024, NumBatch: 2048, Parallel: 2}, // num_batch 4096, lowered to the num_ctx of both sequences
	} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		got, ok := ServerLog(text)
		assert.True(t, ok, file)
		assert.Equal(t, want, got.Only(nil), file)
		assert.True(t, ServerLogEnded(text), file)
		_, ok = LogFailure(text)
		assert.False(t, ok, file)
	}
}

// TestServerLogGrows reads a log line by line, as it is written.
func TestServerLogGrows(t *testing.T) {
	lines := strings.SplitAfter(string(captured(t, "load-2048-1024.log")), "\n")
	text := lines[0]
	got, ok := ServerLog([]byte(text))
	require.True(t, ok)
	assert.Equal(t, measurement.Effective{NumCtx: 2048, NumBatch: 1024, Parallel: 1}, got.Only(nil), "only the command")
	for _, line := range lines[1 : len(lines)-2] {
		text += line
		assert.False(t, ServerLogEnded([]byte(text)))
	}
	text = strings.Join(lines, "")
	assert.True(t, ServerLogEnded([]byte(text)))
	assert.False(t, ServerLogEnded([]byte(text+text[:len(lines[0])])), "only the end of the previous load")
}

// TestServerLogForms has lines of other versions from reports of users, without the
// parts that do not matter.
func TestServerLogForms(t *testing.T) {
	const old = `time=2025-01-21T16:45:51.423-06:00 level=INFO source=server.go:376 msg="starting llama server" cmd="/usr/lib/ollama/ollama_llama_server runner --model /m/sha256-5c56 --ctx-size 8192 --batch-size 512 --n-gpu-layers 41 --threads 8 --parallel 4 --port 41813"`
	const engine = `time=2025-11-10T17:37:37.375-05:00 level=INFO source=server.go:399 msg="starting runner" cmd="/usr/bin/ollama runner --ollama-engine --model /m/sha256-38cd --port 39109"
time=2025-11-10T17:37:37.396-05:00 level=INFO source=runner.go:1189 msg=load request="{Operation:fit LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:true KvSize:8192 KvCacheType: NumThreads:8 GPULayers:25}"
time=2025-11-10T17:37:38.396-05:00 level=INFO source=runner.go:1189 msg=load request="{Operation:commit LoraPath:[] Parallel:2 BatchSize:256 FlashAttention:true KvSize:8192 KvCacheType: NumThreads:8 GPULayers:25}"`
	const server = `starting llama-server  cmd="/usr/lib/ollama/llama-server --model /m/sha256-1 -c 8192 -np 1 --cache-type-k q8_0 --flash-attn on -b 2048 -ub 1024 --context-shift --keep 4"`
	for _, test := range []struct {
		name, text string
		want       measurement.Effective
	}{
		{"up to 0.11", old, measurement.Effective{NumCtx: 2048, NumBatch: 512, Parallel: 4}},
		{"up to 0.11, with n_ubatch", old + "\nllama_new_context_with_model: n_batch    = 2048\nllama_new_context_with_model: n_ubatch   = 256\n", measurement.Effective{NumCtx: 2048, NumBatch: 256, Parallel: 4}},
		{"the newer engine", engine, measurement.Effective{NumCtx: 4096, NumBatch: 256, Parallel: 2}},
		{"from 0.30 on", `time=2026-05-01T10:00:00Z level=INFO msg="starting llama-server" ` + strings.TrimPrefix(server, "starting llama-server  "), measurement.Effective{NumCtx: 8192, NumBatch: 1024, Parallel: 1}},
		{"long flags", `msg="starting llama-server" cmd="llama-server --ctx-size 4096 --parallel 2 --batch-size 512 --ubatch-size 128"`, measurement.Effective{NumCtx: 2048, NumBatch: 128, Parallel: 2}},
		{"through journald, coloured, CRLF", "Jan 21 16:45:51 host ollama[123]: \x1b[32m" + old + "\x1b[0m\r\n", measurement.Effective{NumCtx: 2048, NumBatch: 512, Parallel: 4}},
		{"a draft model with its own context", old + "\nllama_context: n_ubatch      = 512\nllama_context: n_ubatch      = 64\n", measurement.Effective{NumCtx: 2048, NumBatch: 512, Parallel: 4}},
		{"a runner that searches for GPUs", old + "\n" + `msg="starting runner" cmd="/usr/bin/ollama runner --ollama-engine --port 39109"`, measurement.Effective{NumCtx: 2048, NumBatch: 512, Parallel: 4}},
		{"no batch in the command", `msg="starting llama-server" cmd="llama-server --model /m/sha256-1 -c 8192 -np 1"` + "\nllama_context: n_ubatch              = 512", measurement.Effective{NumCtx: 8192, NumBatch: 512, Parallel: 1}},
		{"a folder named like a flag", `msg="starting llama-server" cmd="/m-c 3/llama-server --model /m-b 7/sha256-1 -c 8192 -np 1 -b 512 -ub 512"`, measurement.Effective{NumCtx: 8192, NumBatch: 512, Parallel: 1}},
		{"the newest of two", old + "\n" + strings.Replace(old, "--batch-size 512", "--batch-size 64", 1), measurement.Effective{NumCtx: 2048, NumBatch: 64, Parallel: 4}},
		{"a figure that is too large", `msg="starting llama server" cmd="ollama runner --ctx-size 99999999999999999999 --batch-size 64"`, measurement.Effective{NumCtx: 0, NumBatch: 64, Parallel: 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := ServerLog([]byte(test.text))
			require.True(t, ok)
			assert.Equal(t, test.want, got.Only(nil))
		})
	}
	for _, text := range []string{
		"",
		"llama_context: n_ubatch      = 512",
		`msg="starting runner" cmd="ollama runner --ollama-engine --port 1"`,
		`msg="loaded runners" count=1`,
		engine[:strings.Index(engine, "Operation:commit")], // only a trial
		old + "\n" + `msg="starting runner" cmd="/usr/bin/ollama runner --ollama-engine --model /m/sha256-38cd --port 39109"`, // no settings yet
		old + "\n" + `msg="starting mlx runner subprocess" model=qwen3:4b port=40001`,
		`msg=load request="{Operation:close LoraPath:[] Parallel:0 BatchSize:0 FlashAttention:Disabled KvSize:0}"`,
	} {
		_, ok := ServerLog([]byte(text))
		assert.False(t, ok, text)
	}
}

func FuzzServerLog(f *testing.F) {
	f.Add(captured(f, "load-parallel.log"))
	f.Add(captured(f, "load-no-memory.log"))
	f.Add([]byte(`msg=load request="{Operation:commit Parallel:1 BatchSize:512 KvSize:4096}"`))
	f.Add([]byte(`msg="starting llama-server" cmd="llama-server --model m -c 8192 -np 0 -b 512 -ub 256"`))
	f.Add(captured(f, "load-cache-type.log"))
	f.Add(captured0325(f, "load-main-gpu.log"))
	f.Add([]byte(`msg=load request="{Operation:commit Parallel:1 BatchSize:512 FlashAttention:Enabled KvSize:4096 KvCacheType:q8_0 NumThreads:8 GPULayers:[] MainGPU:0 UseMmap:true}"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := ServerLog(text)
		if min(got.NumCtx, got.NumBatch, got.Parallel, got.NumThread) < 0 || !ok && got != (measurement.Effective{}) {
			t.Fatalf("%+v, %v", got, ok)
		}
		ServerLogEnded(text)
	})
}
