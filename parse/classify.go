package parse

import (
	"regexp"
	"strings"
)

// classes decides the class of an error text: the first pattern that matches
// does. The order matters, because servers wrap one message in another:
// "the resource allocation failed" can come inside an out-of-memory text, what
// is said of the CPU's buffers is said of the GPU's in the same words, and each
// of them can follow "llama runner process has terminated". A server that can't
// reach its own runner, or the registry, says so in the words of a client that
// can't reach the server, so those come last. Only the parts that are the same
// in every build are matched. Source: the texts of Ollama and llama.cpp, 0.5 to
// 0.33.
var classes = []struct {
	class   Class
	pattern *regexp.Regexp
}{
	{ServerBusy, anyOf(`server busy, please try again`, `maximum pending requests exceeded`, `no slots available after`)},
	{ModelError, anyOf(`pull model manifest`)}, // how `ollama run` says that the server lacks a model
	{PromptTruncated, anyOf(`prompt is longer than the context length`, `input length exceeds the context length`)},
	{ResourceAllocation, anyOf(`resource allocation failed`, `cublas_status_alloc_failed`)},
	{OutOfSystemMemory, anyOf(
		`requires more system memory`,
		`ggml_aligned_malloc`,
		`unable to allocate cpu`,
		`ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate`,
		`failed to allocate cpu`,
		`cuda_host buffer`, // page-locked memory of the machine
		`outofhostmemory`,  // vk::Device::allocateMemory: ErrorOutOfHostMemory
		`terminated: signal: killed`,
	)},
	{OutOfGPUMemory, anyOf(
		`out[ -]of[ -]memory`,
		`outof(device)?memory`, // kIOGPUCommandBufferCallbackErrorOutOfMemory, ErrorOutOfDeviceMemory
		`insufficient memory`,
		`ggml_gallocr_reserve_n: failed to allocate`,
		`failed to allocate [a-z]+\d* buffer`,
		`failed to allocate compute`,
		`failed to allocate buffer, size`, // Metal
		`unable to allocate [a-z]+\d* buffer`,
		`unable to load full model on gpu`,
		`memory layout cannot be allocated`,
		`\boom\b`,
	)},
	{Timeout, anyOf(`timed out waiting for llama`, `context deadline exceeded`, `^no output`)},
	{RunnerCrashed, anyOf(
		`llama runner process (has terminated|no longer running)`,
		`llama-server process (has terminated|no longer running)`,
		`model runner has unexpectedly stopped`,
		`an error was encountered while running the model`,
		`error reading llm response`,
		`post predict: `, // up to 0.6: POST predict: Post "http://127.0.0.1:35943/completion": EOF
		`health re(sp|quest): `,
		`do load request`,
	)},
	{ServerAway, anyOf(
		`could not connect to (a running )?ollama`,
		`connection refused`,
		`actively refused`, // Windows
		`dial tcp`,
		`connection reset by peer`,
		`: eof$`,
	)},
}

func anyOf(patterns ...string) *regexp.Regexp {
	return regexp.MustCompile(strings.Join(patterns, "|"))
}

// goesOn is a message of a load that does not fail.
const goesOn = "compute buffer allocation failed, retrying without pipeline parallelism"

// Classify returns the class of an error text of a server, a runner or the
// command. ServerBusy and ServerAway are conditions of the server and no
// failures of a cell. A text that matches nothing is a ModelError.
func Classify(text string) Class {
	text = strings.ReplaceAll(strings.ToLower(text), goesOn, "")
	text = strings.TrimSpace(text)
	for _, c := range classes {
		if c.pattern.MatchString(text) {
			return c.class
		}
	}
	return ModelError
}
