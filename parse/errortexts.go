package parse

import (
	"regexp"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// errorText matches the error texts of a class.
type errorText struct {
	class measurement.Class
	// causes match messages that name the cause; the first row that matches decides.
	// If none does, symptoms decide in the same way: they occur together with a cause
	// or instead of one.
	causes, symptoms *regexp.Regexp
}

// errorTexts has the error texts of the classes, in the order in which they are tried. The order
// matters because servers wrap one message in another: "the resource allocation
// failed" can be part of an out-of-memory message, and a server that can't reach its
// runner, or the registry, reports the same error as a client that can't reach the
// server. If a message can mean two classes, the one that prunes less comes first. The
// patterns match only text that is the same in every build. Source: the messages of
// Ollama, llama.cpp and MLX, Ollama 0.5 to 0.33.
var errorTexts = []errorText{
	{
		class: measurement.ServerBusy,
		causes: anyOf(
			`server busy, please try again`, `maximum pending requests exceeded`,
			`no slots? available`, `no available cache slots`,
			`^loading model$`, // llama-server, with status 503
			`too many requests`,
		),
		symptoms: none,
	},
	{
		class: measurement.PromptTruncated,
		causes: anyOf(
			`prompt is longer than the context length`,
			`(?:input|prompt|request)[^\n]* exceeds [^\n]*context`,
			`larger than the max context size`,
			`context size has been exceeded`,
			`context shift is disabled`,
			`entire prompt removed by truncation`,
			`could not find a kv (?:cache )?slot`,
		),
		symptoms: none,
	},
	{
		class: measurement.ResourceAllocation,
		causes: anyOf(
			`resource allocation failed`,
			`blas_status_(?:alloc_failed|memory_error)`, // CUBLAS, HIPBLAS, rocblas
			`out_of_resources`,                          // SYCL and OpenCL
			`resource limit \(\d+\) exceeded`,           // MLX
		),
		symptoms: none,
	},
	{
		class: measurement.OutOfSystemMemory,
		causes: anyOf(
			`requires more system memory`,
			`ggml_aligned_malloc`,
			`ggml_backend_(?:cpu|amx)\w*_alloc_buffer: failed`,
			`(?:failed|unable) to allocate (?:cpu|amx|hbm|blas)\w* buffer`,
			`(?:failed|unable) to allocate \w+_host buffer`, // page-locked memory of the machine
			`cuda(?:mallochost|hostalloc|hostregister)[^\n]*out of memory`,
			`out_?of_?host_?memory`,
			`can't allocate \d+ bytes of memory on host`,    // SYCL
			`cannot allocate memory`,                        // ENOMEM
			`runtime: out of memory`,                        // Go
			`bad[_ ]alloc`,                                  // C++
			`paging file is too small`, `not enough memory`, // Windows
			`required allocations: [^\n]*(?:inputweights:\d+f\b|cpu:\{[^}]*[:\[ ]\d+f\b)`, // F: failed
			`signal: killed`, `oom[ -]?kill`, `out of memory: kill`,
		),
		symptoms: anyOf( // these do not name the kind of memory
			`(?:failed|unable) to allocate (?:backend|output|input|host) buffer`,
			`failed to allocate buffer (?:for|of size)`, // the KV cache and such
			`\[malloc\w*\] unable to allocate`,          // MLX
			`required allocations`,
		),
	},
	{
		class: measurement.OutOfGPUMemory,
		causes: anyOf(
			`(?:cuda|hip|rocm|musa|sycl|vulkan|metal|opencl)[^\n]*out[ _-]of[ _-]memory`,
			`(?:cuda|hip|musa)malloc failed`,
			`out[ _]?of[ _]?device[ _]?memory`, // Vulkan and SYCL
			`erroroutofmemory`,                 // Metal, HIP
			`mem_object_allocation_failure`,    // OpenCL and SYCL
			`can't allocate \d+ bytes of memory on device`,
			`device memory allocation of size \d+ failed`,
			`(?:failed|unable) to allocate (?:[a-z]+\d+|metal|opencl|kompute)(?:_[a-z]+)? buffer`,
			`failed to allocate buffer, size`, // Metal
			`\[metal::malloc\]`,
			`model requires [^\n]* but only [^\n]* available`, // MLX
			`unable to load full model on gpu`,
			`required allocations: [^\n]*gpus:\[[^\n]*[:\[ ]\d+f\b`,
		),
		symptoms: anyOf(
			`out[ -]of[ -]memory`,
			`insufficient memory`,
			`ggml_gallocr_reserve_n\w*: failed to allocate`,
			`failed to allocate compute`,
			`memory layout cannot be allocated`,
			`failed to (?:commit|allocate) memory for model`,
			`\boom\b`,
		),
	},
	{
		class: measurement.ModelError,
		causes: anyOf(
			`pull model manifest`, // `ollama run`, if the server does not have the model
			`(?:unknown|unsupported) (?:model )?architecture`,
			`cache quantization requires`, `requires flash attention`, `does not support k-shift`,
			`invalid value for main_gpu`,
			`error while loading shared libraries`, `cannot open shared object file`, `library not loaded`,
			`mlx(?: runner)? not available`, `failed to initialize mlx`, `build with mlx tag`,
		),
		symptoms: anyOf(`error loading model`, `failed to load model`),
	},
	{
		class: measurement.Timeout,
		causes: anyOf(
			`timed out waiting for llama`, `timeout waiting for (?:mlx|image) runner`,
			`context deadline exceeded`,
			`^no output`,
		),
		symptoms: none,
	},
	{
		class: measurement.RunnerCrashed,
		causes: anyOf(
			`(?:cuda|rocm|hip|musa|sycl|vulkan) error`, `ggml_assert`, `native api failed`, `device_?lost`,
			`command buffer execution failed`, `compute error`, `segmentation fault`, `illegal instruction`,
		),
		symptoms: anyOf(
			`(?:llama runner|llama-server) process (?:has terminated|no longer running)`,
			`llama-server (?:error|reported|startup failed)`,
			`(?:mlx|image) runner (?:failed|exited)`,
			`error starting (?:runner|llama-server)`,
			`model runner has unexpectedly stopped`,
			`model failed to load, this may be due to`,
			`an error was encountered while running the model`,
			`(?:reading|unmarshalling|closing) (?:llm|llama-server) `,
			`llama-server \w+ stream event exceeded`,
			`"http://127\.0\.0\.1:\d+/(?:completion|tokenize|detokenize|embedding|load|health|apply-template|v1/)`, // requests to the runner
			`health (?:re(?:sp|quest)|unmarshal|check failed)`,
			`do (?:load|embedding) request`,
			`failed to decode batch`, `unable to create llama context`,
			`unexpected server status`, `server error: \{`,
			`exit status \w`, `signal: \w`, `\bsig(?:segv|abrt|bus|ill|fpe)\b`, `\bpanic: `, `fatal error: `,
		),
	},
	{
		class:  measurement.ServerAway,
		causes: none,
		symptoms: anyOf(
			`could not connect to (?:a running )?ollama`, `ollama server not responding`,
			`connection refused`, `actively refused`, // Windows
			`dial tcp`, `no such host`, `no route to host`, `network is unreachable`,
			`connection reset by peer`, `forcibly closed`, `broken pipe`, `i/o timeout`,
			`connection (?:was )?aborted`, `closed (?:idle|network) connection`,
			`: (?:unexpected )?eof$`,
		),
	},
}

// none matches no text.
var none = regexp.MustCompile(`[^\s\S]`)

func anyOf(patterns ...string) *regexp.Regexp {
	text := `(?i)` + patterns[0]
	for _, p := range patterns[1:] {
		text += `|` + p
	}
	return regexp.MustCompile(text)
}
