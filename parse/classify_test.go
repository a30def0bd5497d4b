package parse

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// texts are what real servers, runners and commands said, 0.5 to 0.33.
var texts = map[Class][]string{
	OutOfGPUMemory: {
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
	},
	ResourceAllocation: {
		"CUDA error: the resource allocation failed\n  current device: 0, in function cublas_handle at common.cuh:1052\n  cublasCreate_v2(&cublas_handles[device])",
		"CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
		"llama-server reported out-of-memory during startup: CUDA error: the resource allocation failed",
	},
	OutOfSystemMemory: {
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
	},
	Timeout: {
		"timed out waiting for llama runner to start - progress 0.00 - ",
		"timed out waiting for llama-server to start - progress 0.91 - ",
		"context deadline exceeded",
		"no output",
	},
	RunnerCrashed: {
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
	},
	PromptTruncated: {
		"the prompt is longer than the context length currently available to the model; shorten it",
		"the input length exceeds the context length",
	},
	ModelError: {
		"model 'nosuch' not found",
		"pull model manifest: file does not exist",
		`pull model manifest: Get "https://example.com/v2/library/nosuch/manifests/latest": dial tcp 127.0.0.1:9: connect: connection refused`,
		"missing tensor: no output.weight",
		"this model may be incompatible with your version of Ollama. If you previously pulled this model, try updating it",
		"kv size must be at least as large as batch size * parallel (16 < 512 * 1)",
		"there is room for a zoom here",
		"compute buffer allocation failed, retrying without pipeline parallelism",
		"",
	},
	ServerBusy: {
		"server busy, please try again.  maximum pending requests exceeded",
		"no slots available after 10 retries",
	},
	ServerAway: {
		"could not connect to ollama server, run 'ollama serve' to start it",
		"ollama server not responding - could not connect to ollama server, run 'ollama serve' to start it",
		"could not connect to a running Ollama instance",
		"dial tcp 127.0.0.1:11434: connect: connection refused",
		"dial tcp 127.0.0.1:11434: connectex: No connection could be made because the target machine actively refused it.",
		"dial tcp: lookup gpu.invalid: no such host",
		`Post "http://127.0.0.1:11434/api/generate": EOF`,
	},
}

func TestClassify(t *testing.T) {
	for class, list := range texts {
		t.Run(string(class), func(t *testing.T) {
			for _, text := range list {
				assert.Equal(t, class, Classify(text), text)
				assert.Equal(t, class, Classify(strings.ToUpper(text)), "in capitals: %s", text)
			}
		})
	}
}

func TestClassifyCapturedAnswers(t *testing.T) {
	for file, want := range map[string]Class{
		"generate-missing.json":        ModelError,
		"generate-negative-batch.json": RunnerCrashed,
		"generate-runner-killed.json":  RunnerCrashed,
		"generate-no-memory.json":      RunnerCrashed,
	} {
		var answer struct{ Error string }
		require.NoError(t, json.Unmarshal(captured(t, file), &answer), file)
		require.NotEmpty(t, answer.Error)
		assert.Equal(t, want, Classify(answer.Error), file)
	}
}

func TestConditionsAreNoFailuresOfACell(t *testing.T) {
	for class := range texts {
		assert.Equal(t, class != ServerBusy && class != ServerAway, class.OfCell(), class)
	}
	assert.EqualError(t, &Failure{Class: Timeout}, "Timeout or no output")
	assert.EqualError(t, &Failure{Class: Timeout, Detail: "x"}, "Timeout or no output: x")
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
	})
}
