package parse

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// texts are error messages of servers, runners and commands, 0.5 to 0.33, from reports
// of users or from the source.
var texts = map[measurement.Class][]string{
	measurement.OutOfGPUMemory: {
		"llama runner process has terminated: cudaMalloc failed: out of memory",
		"CUDA error: out of memory",
		"ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 10737418240",
		"allocating 9210.00 MiB on device 0: cudaMalloc failed: out of memory",
		"graph_reserve: failed to allocate compute buffers",
		"failed to initialize the context: failed to allocate compute pp buffers",
		"unable to allocate CUDA0 buffer",
		"llama runner process has terminated: error loading model: unable to allocate ROCm0 buffer",
		"llama-server reported out-of-memory during startup: cudaMalloc failed",
		"failed to allocate Metal buffer of size 12884901888",
		"Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
		"kIOGPUCommandBufferCallbackErrorOutOfMemory",
		"llama runner process has terminated: error:failed to allocate buffer, size = 33074.89 MiB",
		"ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
		"unable to load full model on GPU",
		"memory layout cannot be allocated with num_gpu = 49",
		"the GPU is OOM",
		"compute buffer allocation failed, retrying without pipeline parallelism\ncudaMalloc failed: out of memory",
		"llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory\nalloc_tensor_range: failed to allocate CUDA0 buffer of size 99\nllama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
		"llama-server reported out-of-memory during startup: llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
		"{\"error\":{\"code\":500,\"message\":\"Compute error.\",\"type\":\"server_error\"}}\nerror: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
		"model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details: CUDA error: out of memory",
		"an error was encountered while running the model: ROCm error: out of memory",
		"timed out waiting for llama-server to start - cudaMalloc failed: out of memory",
		"error loading model: unable to allocate MTL0_Mapped buffer",
		"failed to allocate CUDA0_Split buffer of size 99",
		"ggml_vulkan: Requested buffer size exceeds device buffer size limit: ErrorOutOfDeviceMemory",
		"VK_ERROR_OUT_OF_DEVICE_MEMORY",
		"level_zero backend failed with error: 39 [UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY]",
		"Native API failed. Native API returns: -4 (PI_ERROR_MEM_OBJECT_ALLOCATION_FAILURE)",
		"hipErrorOutOfMemory",
		"mlx runner failed: mlx: cudaMallocAsync(&data, size, stream) failed: out of memory (exit: exit status 2)",
		"timeout waiting for mlx runner: error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
		"failed to allocate memory for model",
		"panic: insufficient memory - required allocations: {InputWeights:1A CPU:{Name:CPU ID: Weights:[2A] Cache:[0U] Graph:0U} GPUs:[{Name:CUDA0 ID:GPU-5c95549f-53d6 Weights:[3A] Cache:[4F] Graph:0U}]}",
	},
	measurement.ResourceAllocation: {
		"CUDA error: the resource allocation failed\n  current device: 0, in function cublas_handle at common.cuh:1052\n  cublasCreate_v2(&cublas_handles[device])",
		"CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
		"llama-server reported out-of-memory during startup: CUDA error: the resource allocation failed",
		"ROCm error: HIPBLAS_STATUS_ALLOC_FAILED",
		"Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES)",
		"mlx runner failed: mlx: [metal::malloc] Resource limit (499000) exceeded. (exit: exit status 2)",
	},
	measurement.OutOfSystemMemory: {
		"model requires more system memory (164.8 GiB) than is available (13.4 GiB)",
		"unable to allocate CPU buffer",
		"llama runner process has terminated: error loading model: unable to allocate CPU_REPACK buffer",
		"ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 2147483648",
		"ggml_aligned_malloc: insufficient memory (attempted to allocate 2048.00 MB)",
		"alloc_tensor_range: failed to allocate CPU buffer of size 2147483648",
		"failed to allocate CUDA_Host buffer of size 4096",
		"ggml_gallocr_reserve_n: failed to allocate CPU buffer of size 2147483648",
		"vk::Device::allocateMemory: ErrorOutOfHostMemory",
		"llama runner process has terminated: signal: killed",
		"llama-server process has terminated: exit status 1: ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99\nllama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
		"failed to initialize the context: failed to allocate buffer for kv cache",
		"ggml_backend_amx_buffer_type_alloc_buffer: failed to allocate buffer of size 99",
		"unable to allocate Vulkan_Host buffer",
		"failed to allocate ROCm_Host buffer of size 99",
		"CL_OUT_OF_HOST_MEMORY",
		"ggml_backend_sycl_host_buffer_type_alloc_buffer: can't allocate 99 Bytes of memory on host",
		"llama runner process has terminated: error loading model: mmap failed: Cannot allocate memory",
		"error starting llama-server: fork/exec /usr/lib/ollama/llama-server: cannot allocate memory ",
		"llama-server process has terminated: exit status 1: error loading model: std::bad_alloc",
		"error loading model: bad allocation",
		"fatal error: runtime: out of memory",
		"error loading model: The paging file is too small for this operation to complete.",
		"mlx runner failed: mlx: [malloc] Unable to allocate 99 bytes. (exit: exit status 2)",
		"panic: insufficient memory - required allocations: {InputWeights:1A CPU:{Name:CPU ID: Weights:[2A] Cache:[3A] Graph:4F} GPUs:[]}",
		"insufficient memory - required allocations: {InputWeights:1 CPU:{DeviceID:{ID:cpu Library:cpu} Name:CPU Weights:[2] Cache:[3] Graph:4} GPUs:[]}",
		"model requires more system memory than is currently available unable to load full model on GPU",
		"kernel: Out of memory: Killed process 4711 (llama-server)",
		"kernel: Memory cgroup out of memory: Killed process 4711 (llama-server)",
		"OOMKilled",
	},
	measurement.Timeout: {
		"timed out waiting for llama runner to start - progress 0.00 - ",
		"timed out waiting for llama-server to start - progress 0.91 - ",
		"context deadline exceeded",
		"no output",
		"timed out waiting for llama-server to start: context canceled",
		"timeout waiting for mlx runner: Loaded tensors from manifest",
		"health resp: context deadline exceeded",
	},
	measurement.RunnerCrashed: {
		"llama runner process has terminated: exit status 2",
		"llama runner process has terminated: signal: aborted (core dumped)",
		"llama-server process no longer running: exit status 1",
		"model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details",
		"an error was encountered while running the model: unexpected EOF",
		"error reading llm response: unexpected EOF",
		`POST predict: Post "http://127.0.0.1:35943/completion": EOF`,
		`do load request: Post "http://127.0.0.1:38187/load": EOF`,
		`health resp: Get "http://127.0.0.1:38187/health": dial tcp 127.0.0.1:38187: connect: connection refused`,
		"error reading llm response: read tcp 127.0.0.1:1->127.0.0.1:2: connection reset by peer",
		"llama-server process has terminated",
		"llama-server process has terminated: exit status 0xe06d7363: NTSTATUS 0xe06d7363",
		"llama-server process no longer running: unknown ",
		`llama-server error: {"status":"error"}`,
		"llama-server startup failed after projector CPU offload retry: llama-server process has terminated: exit status 1",
		"llama-server reported out-of-memory during startup: ggml_metal_init: error: failed to allocate context",
		"llama-server reported out-of-memory during startup: ggml_cuda_host_malloc: failed to allocate 1104.61 MiB of pinned memory: out of memory",
		"llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory\ngraph_reserve: compute buffer allocation failed, retrying without pipeline parallelism\nGGML_ASSERT(false) failed",
		"llama-server process has terminated: signal: aborted (core dumped): cudaMalloc failed: out of memory\ngraph_reserve: compute buffer allocation failed, retrying without pipeline parallelism",
		"error loading model: vk::Queue::submit: ErrorDeviceLost",
		"Native API failed. Native API returns: 20 (UR_RESULT_ERROR_DEVICE_LOST)",
		`{"error":{"code":500,"message":"Compute error.","type":"server_error"}}`,
		"CUDA error: an illegal memory access was encountered",
		"GGML_ASSERT(ggml_nelements(a) == ne0*ne1) failed",
		"model failed to load, this may be due to resource limitations or an internal error, check ollama server logs for details",
		"unexpected server status: llm server not responding",
		"server error: {Status:4 Progress:0}",
		"error unmarshalling llama-server response: invalid character 'e' looking for beginning of value",
		"an error was encountered while running the model: read tcp 127.0.0.1:1->127.0.0.1:2: wsarecv: An existing connection was forcibly closed by the remote host.",
		"llama-server chat stream event exceeded 8 MB limit",
		"mlx runner exited unexpectedly: exit status 2",
		"mlx runner failed: error: [METAL] Command buffer execution failed: Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout). (exit: signal: abort trap)",
		"failed to decode batch: llama_decode failed with code -3",
		"mlx runner failed: cudaMallocManaged failed: an illegal memory access was encountered. (exit: exit status 2)",
		"error starting runner: fork/exec /tmp/ollama: text file busy ",
		"500 Internal Server Error: dial tcp 127.0.0.1:35943: connect: connection refused",
		`Post "http://127.0.0.1:35943/v1/chat/completions": read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer`,
	},
	measurement.PromptTruncated: {
		"the prompt is longer than the context length currently available to the model; shorten it",
		"the input length exceeds the context length",
		`{"error":{"code":400,"message":"request (3620 tokens) exceeds the available context size (512 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":3620,"n_ctx":512}}`,
		"the request exceeds the available context size. try increasing the context size or enable context shift",
		"input (3620 tokens) is larger than the max context size (512 tokens). skipping",
		"Context size has been exceeded.",
		"input after truncation exceeds maximum context length",
		"entire prompt removed by truncation",
		"failed to decode batch: could not find a kv cache slot",
	},
	measurement.ModelError: {
		"model 'nosuch' not found",
		"pull model manifest: file does not exist",
		`pull model manifest: Get "https://example.com/v2/library/nosuch/manifests/latest": dial tcp 127.0.0.1:9: connect: connection refused`,
		"missing tensor: no output.weight",
		"this model may be incompatible with your version of Ollama. If you previously pulled this model, try updating it",
		"kv size must be at least as large as batch size * parallel (16 < 512 * 1)",
		"there is room for a zoom here",
		"compute buffer allocation failed, retrying without pipeline parallelism",
		"",
		"llama runner process has terminated: error loading model: missing tensor 'output.weight'",
		"llama-server process has terminated: exit status 1: error loading model: tensor 'blk.1.ffn_up.weight' data is not within the file bounds, model is corrupted or incomplete",
		"500 Internal Server Error: mlx runner failed: Error: MLX runner not available: build with mlx tag (exit: exit status 1)",
		"mlx runner failed: Error: MLX not available: failed to load MLX dynamic library (searched: [/usr/lib/ollama]) (exit: exit status 1)",
		"pull model manifest: 503: server busy",
		"llama-server process has terminated: exit status 127: error while loading shared libraries: libgomp.so.1: cannot allocate memory in static TLS block",
		"llama-server process has terminated: exit status 1: llama_init_from_model: failed to initialize the context: quantized V cache was requested, but this requires Flash Attention",
		"llama-server process has terminated: exit status 1: llama_prepare_model_devices: invalid value for main_gpu: 3 (available devices: 2)",
		"mlx runner failed: Error: failed to load model: unsupported architecture: NewForCausalLM (exit: exit status 1)",
		`"tiny" does not support generate`,
		"input (4096 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
		"unexpected EOF",
		`{"error":{}}`,
		`{"error":`,
	},
	measurement.ServerBusy: {
		"server busy, please try again.  maximum pending requests exceeded",
		"no slots available after 10 retries",
		`{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`,
		`503 Service Unavailable: {"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`,
		"503 Service Unavailable: try later",
		"503 Service Unavailable",
		"503: no room",
		"unexpected server status: llm busy - no slots available",
		"Failed to load cache: no available cache slots",
	},
	measurement.ServerAway: {
		"could not connect to ollama server, run 'ollama serve' to start it",
		"ollama server not responding - could not connect to ollama server, run 'ollama serve' to start it",
		"could not connect to a running Ollama instance",
		"dial tcp 127.0.0.1:11434: connect: connection refused",
		"dial tcp 127.0.0.1:11434: connectex: No connection could be made because the target machine actively refused it.",
		"dial tcp: lookup gpu.invalid: no such host",
		`Post "http://127.0.0.1:11434/api/generate": EOF`,
		"502 Bad Gateway: upstream",
		"504 Gateway Timeout",
		"499: request canceled",
		"read tcp 127.0.0.1:52531->127.0.0.1:11434: i/o timeout",
		"write tcp 127.0.0.1:1->127.0.0.1:2: write: broken pipe",
		"write tcp 127.0.0.1:1->127.0.0.1:2: wsasend: An established connection was aborted by the software in your host machine.",
	},
}

func TestClassify(t *testing.T) {
	for class, list := range texts {
		t.Run(string(class), func(t *testing.T) {
			for _, text := range list {
				assert.Equal(t, class, Classify(text), text)
				assert.Equal(t, class, Classify(strings.ToUpper(text)), "in upper case: %s", text)
			}
		})
	}
}

func TestClassifyCapturedAnswers(t *testing.T) {
	for file, want := range map[string]measurement.Class{
		"generate-missing.json":        measurement.ModelError,
		"generate-negative-batch.json": measurement.RunnerCrashed,
		"generate-runner-killed.json":  measurement.RunnerCrashed,
		"generate-no-memory.json":      measurement.RunnerCrashed,
	} {
		var answer struct{ Error string }
		require.NoError(t, json.Unmarshal(captured(t, file), &answer), file)
		require.NotEmpty(t, answer.Error)
		assert.Equal(t, want, Classify(answer.Error), file)
	}
}

func FuzzClassify(f *testing.F) {
	for _, list := range texts {
		for _, text := range list {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, known := texts[Classify(text)]; !known {
			t.Fatalf("%q of %q", Classify(text), text)
		}
		if message := Message(text); len(message) > 3*len(text) {
			t.Fatalf("%q of %q", message, text)
		}
	})
}
