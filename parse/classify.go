package parse

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Classify returns the class of an error message of a server, a runner or the
// command. ServerBusy and ServerAway are conditions of the server, not failures
// of a cell. A message that matches nothing is a ModelError.
func Classify(text string) measurement.Class { return ClassifyAnswer(0, text) }

// ClassifyAnswer is Classify for the message of an answer with an HTTP status, 0 for
// none. The status decides if the message matches nothing.
func ClassifyAnswer(status int, text string) measurement.Class {
	text, code := unwrap(text)
	class, by := classify(text)
	status = cmp.Or(code, status, statusOf(text))
	condition, temporary := temporaryStatuses[status]
	switch {
	case by == byNothing && temporary:
		return condition
	case class == measurement.ServerAway && status != 0 && !temporary:
		return measurement.RunnerCrashed // the server answers, but can't reach its runner
	}
	return class
}

// temporaryStatuses are the HTTP statuses of temporary conditions.
var temporaryStatuses = map[int]measurement.Class{
	http.StatusTooManyRequests:    measurement.ServerBusy,
	http.StatusServiceUnavailable: measurement.ServerBusy,
	http.StatusBadGateway:         measurement.ServerAway,
	http.StatusGatewayTimeout:     measurement.ServerAway,
	statusCanceled:                measurement.ServerAway,
}

// statusCanceled is Ollama's status for a request that its sender has canceled. If we
// have not, a proxy has.
const statusCanceled = 499

// evidence is the basis of a classification.
type evidence int

const (
	byNothing evidence = iota
	bySymptom
	byCause
)

func classify(text string) (measurement.Class, evidence) {
	return match(errorTexts, strings.TrimSpace(status.ReplaceAllString(failureText(text), "")))
}

// match returns the class of an error text according to these given rows.
func match(rows []errorText, words string) (measurement.Class, evidence) {
	for _, r := range rows {
		if r.causes.MatchString(words) {
			return r.class, byCause
		}
	}
	for _, r := range rows {
		if r.symptoms.MatchString(words) {
			return r.class, bySymptom
		}
	}
	return measurement.ModelError, byNothing
}

// status matches the HTTP status at the start of the command's error messages:
//
//	503 Service Unavailable: server busy, please try again.  maximum pending requests exceeded
//	500: unexpected server status: llm server loading model
var status = regexp.MustCompile(`^\s*(\d{3})(?: [A-Za-z' -]+)?(?::\s+|$)`)

// statusOf returns the HTTP status at the start of an error message, 0 for none.
func statusOf(text string) int {
	if match := status.FindStringSubmatch(text); match != nil {
		code, _ := strconv.Atoi(match[1])
		return code
	}
	return 0
}

// recovered matches the part of a message about an attempt to load after which the
// server tried again. The first group is the preceding part that names what ended:
//
//	ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 99
//	graph_reserve: compute buffer allocation failed, retrying without pipeline parallelism
var recovered = regexp.MustCompile(`(?is)^(.*?(?:process has terminated|process no longer running|llama-server reported)\b)?.*retrying without pipeline parallelism`)

// harmless matches messages that do not mean a failed load, together with the server's
// prefix that memory ran out. Instead of page-locked memory, other memory is used; for
// Vulkan, the reason follows on the next line. A Metal context fails for other reasons
// than memory:
//
//	ggml_cuda_host_malloc: failed to allocate 1104.61 MiB of pinned memory: out of memory
//	ggml_vulkan: Failed to allocate pinned memory.
//	ggml_vulkan: Requested buffer size exceeds device memory allocation limit: ErrorOutOfDeviceMemory
//	srv alloc: failed to allocate memory for prompt cache state: std::bad_alloc
//	llama_model_loader: failed to allocate host buffer for async uploads for device CUDA0
//	ggml_metal_init: error: failed to allocate context
var harmless = regexp.MustCompile(`(?i)(?:out-of-memory during startup: (?:\w+: )*)?(?:` +
	`failed to (?:allocate|register)[^\n]* pinned memory[^\n]*(?:\n[^\n]*ggml_vulkan: [^\n]*erroroutof\w*)?` +
	`|failed to allocate[^\n]* (?:for prompt cache state|for async uploads|skipping|falling back)[^\n]*` +
	`|failed to allocate context\b` +
	`|cannot allocate memory in static tls block` + // of a library
	`|runtime oom detected)`) // which repeats another line

// failureText returns the text without the parts about things that did not fail.
func failureText(text string) string {
	return harmless.ReplaceAllString(recovered.ReplaceAllString(text, "$1"), "")
}
