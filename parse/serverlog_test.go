package parse

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServerLogCaptured(t *testing.T) {
	for file, want := range map[string]InForce{
		"load-1024-8.log":    {NumCtx: 1024, NumBatch: 8, Parallel: 1}, // the runner passes 8 tokens, whatever llama.cpp makes of n_batch
		"load-2048-1024.log": {NumCtx: 2048, NumBatch: 512, Parallel: 1},
		"load-131080-64.log": {NumCtx: 131072, NumBatch: 64, Parallel: 1},
		"load-parallel.log":  {NumCtx: 1024, NumBatch: 64, Parallel: 2},
	} {
		got, ok := ServerLog(captured(t, file))
		assert.True(t, ok, file)
		assert.Equal(t, want, got, file)
	}
	_, ok := ServerLog(captured(t, "run.stderr"))
	assert.False(t, ok)
}

// TestServerLogForms has lines of other versions, as they stand in reports of
// their users, with all that does not matter left out.
func TestServerLogForms(t *testing.T) {
	const old = `time=2025-01-21T16:45:51.423-06:00 level=INFO source=server.go:376 msg="starting llama server" cmd="/usr/lib/ollama/ollama_llama_server runner --model /m/sha256-5c56 --ctx-size 8192 --batch-size 512 --n-gpu-layers 41 --threads 8 --parallel 4 --port 41813"`
	const engine = `time=2025-11-10T17:37:37.375-05:00 level=INFO source=server.go:399 msg="starting runner" cmd="/usr/bin/ollama runner --ollama-engine --model /m/sha256-38cd --port 39109"
time=2025-11-10T17:37:37.396-05:00 level=INFO source=runner.go:1189 msg=load request="{Operation:fit LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:true KvSize:8192 KvCacheType: NumThreads:8 GPULayers:25}"
time=2025-11-10T17:37:38.396-05:00 level=INFO source=runner.go:1189 msg=load request="{Operation:commit LoraPath:[] Parallel:2 BatchSize:256 FlashAttention:true KvSize:8192 KvCacheType: NumThreads:8 GPULayers:25}"`
	const server = `starting llama-server  cmd="/usr/lib/ollama/llama-server --model /m/sha256-1 -c 8192 -np 1 --cache-type-k q8_0 --flash-attn on -b 2048 -ub 1024 --context-shift --keep 4"`
	for _, test := range []struct {
		name, text string
		want       InForce
	}{
		{"up to 0.11", old, InForce{2048, 512, 4}},
		{"its pass", old + "\nllama_new_context_with_model: n_batch    = 2048\nllama_new_context_with_model: n_ubatch   = 256\n", InForce{2048, 256, 4}},
		{"the newer engine", engine, InForce{4096, 256, 2}},
		{"from 0.30 on", `time=2026-05-01T10:00:00Z level=INFO msg="starting llama-server" ` + strings.TrimPrefix(server, "starting llama-server  "), InForce{8192, 1024, 1}},
		{"long flags", `msg="starting llama-server" cmd="llama-server --ctx-size 4096 --parallel 2 --batch-size 512 --ubatch-size 128"`, InForce{2048, 128, 2}},
		{"behind journald, coloured, CRLF", "Jan 21 16:45:51 host ollama[123]: \x1b[32m" + old + "\x1b[0m\r\n", InForce{2048, 512, 4}},
		{"the newest of two", old + "\n" + strings.Replace(old, "--batch-size 512", "--batch-size 64", 1), InForce{2048, 64, 4}},
		{"too large a figure", `msg="starting llama server" cmd="ollama runner --ctx-size 99999999999999999999 --batch-size 64"`, InForce{0, 64, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := ServerLog([]byte(test.text))
			require.True(t, ok)
			assert.Equal(t, test.want, got)
		})
	}
	for _, text := range []string{"", "llama_context: n_ubatch      = 512", `msg="starting runner" cmd="ollama runner --ollama-engine --port 1"`, `msg="loaded runners" count=1`} {
		_, ok := ServerLog([]byte(text))
		assert.False(t, ok, text)
	}
}

func TestLogFailure(t *testing.T) {
	f, ok := LogFailure([]byte("ggml_backend_cuda_buffer_type_alloc_buffer: allocating 99.00 MiB on device 0: cudaMalloc failed: out of memory\nllama_context: n_ubatch = 5\n"))
	require.True(t, ok)
	assert.Equal(t, OutOfGPUMemory, f.Class)
	assert.Contains(t, f.Detail, "allocating 99.00 MiB on device 0")
	f, ok = LogFailure([]byte("cudaMalloc failed: out of memory\nCUDA error: the resource allocation failed\n  in function cublas_handle at ggml-cuda/common.cuh\n"))
	require.True(t, ok)
	assert.Equal(t, ResourceAllocation, f.Class, "the newest counts")
	_, ok = LogFailure([]byte("compute buffer allocation failed, retrying without pipeline parallelism\nsource=sched.go:1 msg=\"loaded runners\" count=1\n"))
	assert.False(t, ok)
	_, ok = LogFailure(captured(t, "load-2048-1024.log"))
	assert.False(t, ok)
}

func FuzzServerLog(f *testing.F) {
	f.Add(captured(f, "load-parallel.log"))
	f.Add([]byte(`msg=load request="{Parallel:1 BatchSize:512 KvSize:4096}"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := ServerLog(text)
		if min(got.NumCtx, got.NumBatch, got.Parallel) < 0 || !ok && got != (InForce{}) {
			t.Fatalf("%+v, %v", got, ok)
		}
		if f, ok := LogFailure(text); ok != (f != nil) {
			t.Fatalf("%+v, %v", f, ok)
		}
	})
}
