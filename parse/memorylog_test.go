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

func TestServerLogMemoryCaptured(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "ollama-0.32.5-load-2048-64.log"))
	require.NoError(t, err)
	want := &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: measurement.Host, ModelMiB: 1.88, ContextMiB: 2, ComputeMiB: 0.66}}}
	assert.Equal(t, want, ServerLogMemory(text))
	assert.Equal(t, want, ServerLogMemory(append(captured(t, "load-1024-8.log"), text...)), "the newest load")
	assert.Nil(t, ServerLogMemory(captured(t, "load-2048-1024.log")), "a log without the lines of weights and cache")
	assert.Nil(t, ServerLogMemory(append(text, captured(t, "load-1024-8.log")...)))
}

// TestServerLogMemoryForms has lines of other versions and devices.
func TestServerLogMemoryForms(t *testing.T) {
	const begin = `time=2026-08-16T15:29:06.842Z level=INFO source=llama_server.go:431 msg="starting llama-server" cmd="/usr/lib/ollama/llama-server --model /m/sha256-1 -c 8192 -np 1"` + "\n"
	for _, c := range []struct {
		name, text string
		want       *measurement.Memory
	}{
		// llm/llama_server_test.go of Ollama 0.32.5: a plan with sizes of 0, then the load of a hybrid
		// model, and last of its vision model.
		{"two GPUs after a plan", `load_tensors:          CPU model buffer size =     0.00 MiB
load_tensors:        CUDA0 model buffer size =     0.00 MiB
load_tensors:        CUDA1 model buffer size =     0.00 MiB
llama_context:  CUDA_Host  output buffer size =     0.95 MiB
llama_kv_cache:      CUDA0 KV buffer size =     0.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =    90.40 MiB
llama_memory_recurrent:      CUDA1 RS buffer size =    59.23 MiB
sched_reserve:      CUDA0 compute buffer size =  9952.25 MiB
load_tensors: offloaded 33/33 layers to GPU
load_tensors:          CPU model buffer size =   682.03 MiB
load_tensors:        CUDA0 model buffer size =  8171.01 MiB
load_tensors:        CUDA1 model buffer size =  6618.25 MiB
llama_kv_cache:      CUDA0 KV buffer size =  9216.00 MiB
llama_kv_cache:      CUDA1 KV buffer size =  7168.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =    90.40 MiB
llama_memory_recurrent:      CUDA1 RS buffer size =    59.23 MiB
sched_reserve:      CUDA0 compute buffer size =  9952.25 MiB
sched_reserve:      CUDA1 compute buffer size =  6276.28 MiB
sched_reserve:  CUDA_Host compute buffer size =  8272.31 MiB
alloc_compute_meta:      CUDA0 compute buffer size =   248.10 MiB
alloc_compute_meta:        CPU compute buffer size =    24.93 MiB
`, &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: 8171.01, ContextMiB: 9306.4, ComputeMiB: 10200.35}, {Name: "CUDA1", ModelMiB: 6618.25, ContextMiB: 7227.23, ComputeMiB: 6276.28}, {Name: measurement.Host, ModelMiB: 682.03, ContextMiB: 0, ComputeMiB: 8297.24}}, GPULayers: 33, Layers: 33}},
		// A model with a sliding window has two caches, and a draft model its own context;
		// compute buffers are allocated again.
		{"two caches and a draft", `load_tensors:  MTL0_Mapped model buffer size =  1918.35 MiB
llama_context: constructing llama_context
llama_kv_cache:       MTL0 KV buffer size =   100.00 MiB
llama_kv_cache:       MTL0 KV buffer size =    20.00 MiB
sched_reserve:       MTL0 compute buffer size =    50.00 MiB
sched_reserve:       MTL0 compute buffer size =    60.00 MiB
llama_context: constructing llama_context
llama_kv_cache:       MTL0 KV buffer size =    10.00 MiB
sched_reserve:       MTL0 compute buffer size =     5.00 MiB
`, &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: "MTL0", ModelMiB: 1918.35, ContextMiB: 130, ComputeMiB: 65}}}},
		{"up to 0.5", `llm_load_tensors: offloaded 20/33 layers to GPU
llm_load_tensors:        CPU buffer size =   281.81 MiB
llm_load_tensors:      CUDA0 buffer size =  4155.99 MiB
llama_kv_cache_init:      CUDA0 KV buffer size =  1024.00 MiB
llama_new_context_with_model: KV self size  = 1024.00 MiB, K (f16):  512.00 MiB, V (f16):  512.00 MiB
llama_new_context_with_model:  CUDA_Host  output buffer size =     0.50 MiB
llama_new_context_with_model:      CUDA0 compute buffer size =   560.00 MiB
`, &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: 4155.99, ContextMiB: 1024, ComputeMiB: 560}, {Name: measurement.Host, ModelMiB: 281.81, ContextMiB: 0, ComputeMiB: 0.5}}, GPULayers: 20, Layers: 33}},
		// ml/device.go of Ollama 0.17.4.
		{"Ollama's own engine", `time=2026-05-14T10:00:00.500Z level=INFO source=ggml.go:494 msg="offloaded 25/25 layers to GPU"
time=2026-05-14T10:00:00.600Z level=INFO source=device.go:240 msg="model weights" device=CUDA0 size="11.8 GiB"
time=2026-05-14T10:00:00.600Z level=INFO source=device.go:245 msg="model weights" device=CPU size="1.1 GiB"
time=2026-05-14T10:00:00.600Z level=INFO source=device.go:251 msg="kv cache" device=CUDA0 size="300.0 MiB"
time=2026-05-14T10:00:00.600Z level=INFO source=device.go:262 msg="compute graph" device=CUDA0 size="126.8 MiB"
time=2026-05-14T10:00:00.600Z level=INFO source=device.go:267 msg="compute graph" device=CPU size="512.0 KiB"
time=2026-05-14T10:00:00.600Z level=INFO source=device.go:272 msg="total memory" size="13.3 GiB"
`, &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: 12083.2, ContextMiB: 300, ComputeMiB: 126.8}, {Name: measurement.Host, ModelMiB: 1126.4, ContextMiB: 0, ComputeMiB: 0.5}}, GPULayers: 25, Layers: 25}},
		// tools/fit-params/README.md of llama.cpp b10091.
		{"only the table", `common_memory_breakdown_print: | memory breakdown [MiB] | total   free     self   model   context   compute    unaccounted |
common_memory_breakdown_print: |   - CUDA0 (RTX 4090)   | 24077 =  945 + (30187 = 17904 +   11384 +     898) +        3945 |
common_memory_breakdown_print: |   - Host               |                 58271 = 58259 +       0 +      12                |
common_memory_breakdown_print: | memory breakdown [MiB] | total   free     self   model   context   compute    unaccounted |
common_memory_breakdown_print: |   - CUDA0 (RTX 4090)   | 24077 =  945 + (19187 = 17904 +     384 +     898) +       -3945 |
common_memory_breakdown_print: |   - Host               |                 58271 = 58259 +       0 +      12                |
common_memory_breakdown_print: |   - CPU_REPACK         |                   504 =   504 +       0 +       0                |
`, &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: 17904, ContextMiB: 384, ComputeMiB: 898}, {Name: measurement.Host, ModelMiB: 58763, ContextMiB: 0, ComputeMiB: 12}}}},
		{"only the layers", "load_tensors: offloaded 29/29 layers to GPU\n", &measurement.Memory{GPULayers: 29, Layers: 29}},
		{"nothing", "llama_context: constructing llama_context\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, ServerLogMemory([]byte(begin+c.text)))
			journal := strings.ReplaceAll(begin+c.text, "\n", "\nmai 17 11:51:48 host ollama[1900]: ")
			assert.Equal(t, c.want, ServerLogMemory([]byte(journal)), "through journald")
			assert.Nil(t, ServerLogMemory([]byte(c.text+begin)), "a load without buffers yet")
		})
	}
}

// FuzzServerLogMemory checks that no log causes a panic or impossible figures.
func FuzzServerLogMemory(f *testing.F) {
	for _, name := range []string{"ollama-0.32.5-load-2048-64.log", "ollama-0.24.0-engine-format.log", "ollama-0.12.6-format.log"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Add("x: CUDA0 model buffer size = 1e999 MiB\nx: CUDA0 KV buffer size = 99999999999999 MiB\nx: offloaded 9/2 layers to GPU\n")
	f.Add("common_memory_breakdown_print: |   - Host               |                    4 =     1 +       2 +       0                |\n")
	f.Fuzz(func(t *testing.T, text string) {
		if m := ServerLogMemory([]byte(text)); m != nil {
			assert.True(t, m.Check(), "%+v", m)
		}
	})
}
