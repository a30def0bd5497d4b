package parse

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestLogFailure(t *testing.T) {
	const gpu = "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 99.00 MiB on device 0: cudaMalloc failed: out of memory\n"
	for _, test := range []struct {
		name, text string
		class      measurement.Class
		detail     string
	}{
		{"the captured one", string(captured(t, "load-no-memory.log")), measurement.OutOfSystemMemory, "ggml_gallocr_reserve_n: failed to allocate CPU buffer of size 1343232000"},
		{"of a GPU", gpu + "llama_context: n_ubatch = 5\n", measurement.OutOfGPUMemory, "allocating 99.00 MiB on device 0"},
		{"the newest counts", gpu + "CUDA error: the resource allocation failed\n  in function cublas_handle at ggml-cuda/common.cuh\n", measurement.ResourceAllocation, "the resource allocation failed"},
		{"a line that names no memory, alone", "graph_reserve: failed to allocate compute buffers\n", measurement.OutOfGPUMemory, "graph_reserve"},
		{"another failure after a load", gpu + "msg=\"llama-server started in 1.50 seconds\"\nggml_aligned_malloc: insufficient memory (attempted to allocate 9.00 MB)\n", measurement.OutOfSystemMemory, "ggml_aligned_malloc"},
		{"by the kernel", "Nov 23 09:38:55 host systemd[1]: ollama.service: A process of this unit has been killed by the OOM killer.\n", measurement.OutOfSystemMemory, "killed by the OOM killer"},
		{"a line that names no memory, after one that does", "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99\ngraph_reserve: failed to allocate compute buffers\nmsg=\"runtime OOM detected; expiring loaded models to clear memory before next request\" error=\"x: failed to allocate compute pp buffers\"\n", measurement.OutOfSystemMemory, "ggml_backend_cpu_buffer_type_alloc_buffer"},
		{"a panic that lists buffers", "panic: insufficient memory - required allocations: {InputWeights:1 CPU:{Weights:[2] Graph:3} GPUs:[]}\n", measurement.OutOfSystemMemory, "panic"},
		{"by the kernel itself", "kernel: Out of memory: Killed process 4711 (llama-server) total-vm:99kB\n", measurement.OutOfSystemMemory, "Killed process"},
		{"long", strings.Repeat("x", 5000) + " " + gpu, measurement.OutOfGPUMemory, "cudaMalloc failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, ok := LogFailure([]byte(test.text))
			require.True(t, ok)
			assert.Equal(t, test.class, f.Class)
			assert.Contains(t, f.Detail, test.detail)
			assert.LessOrEqual(t, len(f.Detail), maxDetail)
		})
	}
	for name, text := range map[string]string{
		"a load that continued":    gpu + "graph_reserve: failed to allocate compute buffers\ncompute buffer allocation failed, retrying without pipeline parallelism\nmsg=\"loaded runners\" count=1\n",
		"a load that was retried":  gpu + `msg="llama-server load failed; reducing automatic context and retrying once" error="llama-server reported out-of-memory during startup: x"` + "\n" + `msg="llama-server started in 1.50 seconds"`,
		"another layout is tried":  gpu + "msg=\"model layout did not fit, applying backoff\" backoff=0.10\n",
		"a layout is tried":        gpu + "msg=load request=\"{Operation:commit LoraPath:[] Parallel:1}\"\npanic: runtime error: index out of range\n",
		"the projector on the CPU": `msg="llama-server startup failed with projector GPU offload; retrying with projector CPU offload" error="llama-server reported out-of-memory during startup: x"`,
		"others are unloaded":      gpu + `msg="llama-server load failed; evicting all other models and retrying once" error="cudaMalloc failed: out of memory"` + "\n" + `msg="evicting all other loaded models for OOM retry" count=1`,
		"page-locked memory":       "llm_load_tensors:  CUDA_Host buffer size =   281.81 MiB\n",
		"no page-locked memory":    "ggml_cuda_host_malloc: failed to allocate 9.00 MiB of pinned memory: out of memory\nggml_cuda_register_host_buffer: failed to register 9.00 MiB of pinned memory: out of memory\nggml_vulkan: Failed to allocate pinned memory (vk::Device::allocateMemory: ErrorOutOfDeviceMemory)\nWARNING: failed to allocate 9.00 MB of pinned memory: out of memory\n",
		"the prompt cache":         "srv         alloc: failed to allocate memory for prompt cache state: std::bad_alloc\n",
		"uploads":                  "load_all_data: failed to allocate host buffer for async uploads for device CUDA0\n",
		"a successful load":        string(captured(t, "load-2048-1024.log")),
		"nothing":                  "",
	} {
		_, ok := LogFailure([]byte(text))
		assert.False(t, ok, name)
	}
}

// TestLogFailureOfErrorTexts checks that error messages about memory are also found in a log.
func TestLogFailureOfErrorTexts(t *testing.T) {
	for class, list := range texts {
		for _, text := range list {
			if !class.LacksResources() || strings.Contains(text, "\n") {
				continue
			}
			f, ok := LogFailure([]byte(text))
			require.True(t, ok, text)
			assert.Equal(t, class, f.Class, text)
		}
	}
}

func FuzzLogFailure(f *testing.F) {
	f.Add(captured(f, "load-no-memory.log"))
	for _, list := range texts {
		f.Add([]byte(strings.Join(list, "\n")))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		f, ok := LogFailure(text)
		if ok != (f != nil) || ok && (f.Detail == "" || !f.Class.LacksResources()) {
			t.Fatalf("%+v, %v", f, ok)
		}
	})
}

// TestLogMayExplain: what the log says of memory counts unless the failure's own words
// name it, and GPU memory only for a runner that died.
func TestLogMayExplain(t *testing.T) {
	gpu := &measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "cudaMalloc failed: out of memory"}
	system := &measurement.Failure{Class: measurement.OutOfSystemMemory, Detail: "killed by the OOM killer"}
	for _, test := range []struct {
		text   string
		logged *measurement.Failure
		want   measurement.Class
	}{
		{"llama runner process has terminated: exit status 2", gpu, measurement.OutOfGPUMemory},
		{"timed out waiting for llama-server to start - ", gpu, measurement.OutOfGPUMemory},
		{"failed to load model", gpu, measurement.OutOfGPUMemory},
		{`Post "http://127.0.0.1:11434/api/generate": EOF`, gpu, measurement.ServerAway},
		{`Post "http://127.0.0.1:11434/api/generate": EOF`, system, measurement.OutOfSystemMemory},
		{"cudaMalloc failed: out of memory", system, measurement.OutOfSystemMemory},
		{"failed to initialize the context: failed to allocate compute pp buffers", system, measurement.OutOfSystemMemory},
		{"error loading model: unable to allocate backend buffer", gpu, measurement.OutOfGPUMemory},
		{"error loading model: unable to allocate CPU buffer", gpu, measurement.OutOfSystemMemory},
		{"CUDA error: the resource allocation failed", gpu, measurement.ResourceAllocation},
		{"the input length exceeds the context length", gpu, measurement.PromptTruncated},
		{"server busy, please try again", gpu, measurement.ServerBusy},
	} {
		f := &measurement.Failure{Class: Classify(test.text), Detail: test.text}
		if LogMayExplain(f) {
			f = f.Explained(test.logged)
		}
		assert.Equal(t, test.want, f.Class, test.text)
	}
	f := &measurement.Failure{Class: measurement.RunnerCrashed, Detail: "exit status 2"}
	assert.Equal(t, &measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "exit status 2 (the server's log: cudaMalloc failed: out of memory)"}, f.Explained(gpu))
	assert.Same(t, gpu, gpu.Explained(gpu))
	assert.True(t, LogMayExplain(&measurement.Failure{Class: measurement.NoFigures, Detail: ""}))
}
