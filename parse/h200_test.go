package parse

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// capturedH200 returns what Ollama 0.32.5 wrote on an NVIDIA H200, with a model of 1.5 billion weights in F16.
func capturedH200(t testing.TB, name string) []byte { return captured0325(t, "h200-"+name) }

// TestFailuresOfAGPU: loads while another process held GPU memory.
func TestFailuresOfAGPU(t *testing.T) {
	for file, detail := range map[string]string{
		"generate-no-memory.http":             "failed to allocate compute pp buffers",
		"generate-no-memory-for-weights.http": "unable to allocate CUDA0 buffer",
		"generate-no-memory-for-cache.http":   "failed to allocate buffer for kv cache",
	} {
		_, body, ok := bytes.Cut(capturedH200(t, file), []byte("\r\n\r\n"))
		require.True(t, ok)
		var answer struct{ Error string }
		require.NoError(t, json.Unmarshal(body, &answer))
		assert.Equal(t, measurement.OutOfGPUMemory, ClassifyAnswer(500, answer.Error), file)
		assert.Contains(t, Message(answer.Error), detail)
	}
	text := ErrorText(capturedH200(t, "run-no-memory.stderr"))
	assert.Equal(t, measurement.OutOfGPUMemory, Classify(text))
	assert.Contains(t, text, "cudaMalloc failed: out of memory")

	failure, ok := LogFailure(capturedH200(t, "load-no-memory.log"))
	require.True(t, ok)
	assert.Equal(t, measurement.OutOfGPUMemory, failure.Class)
	assert.Contains(t, failure.Detail, "CUDA0 buffer of size 872947712")
	_, ok = LogFailure(capturedH200(t, "load.log"))
	assert.False(t, ok)
}

// TestLoadsOnAGPU: a load that fits, and one of which eight layers do.
func TestLoadsOnAGPU(t *testing.T) {
	text := capturedH200(t, "load.log")
	assert.Equal(t, &measurement.Memory{
		Devices: []measurement.DeviceMemory{
			{Name: "CUDA0", ModelMiB: 2691.33, ContextMiB: 3584, ComputeMiB: 758.04},
			{Name: measurement.Host, ModelMiB: 192, ComputeMiB: 536.3},
		},
		GPULayers: 29, Layers: 29,
	}, ServerLogMemory(text))
	got, ok := ServerLog(text)
	require.True(t, ok)
	assert.Equal(t, []int{131072, 2048}, []int{got.NumCtx, got.NumBatch})
	assert.Equal(t, map[string]string{"num_gpu": "29", "use_mmap": "true", "draft_num_predict": "0", "flash_attention": "on", "kv_cache_type": "f16", "num_parallel": "1", "num_thread": "16"}, values(got))
	cached, evaluated, ok := PromptTiming(text, 52_580*time.Microsecond)
	assert.True(t, ok)
	assert.Equal(t, []int{0, 1004}, []int{cached, evaluated})

	text = capturedH200(t, "load-spilled.log")
	assert.Equal(t, &measurement.Memory{
		Devices: []measurement.DeviceMemory{
			{Name: "CUDA0", ModelMiB: 816.84, ContextMiB: 896, ComputeMiB: 832.51},
			{Name: measurement.Host, ModelMiB: 2883.33, ContextMiB: 2688, ComputeMiB: 536.3}, // its model file is mapped
		},
		GPULayers: 8, Layers: 29,
	}, ServerLogMemory(text))

	devices, err := Devices(bytes.NewReader(capturedH200(t, "start.log")))
	require.NoError(t, err)
	assert.Equal(t, []string{"NVIDIA H200 (driver 13.0)"}, devices)
}
