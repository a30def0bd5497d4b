package parse

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Classify returns the class of an error text of a server, a runner or the
// command. ServerBusy and ServerAway are conditions of the server and no
// failures of a cell. A text that matches nothing is a ModelError.
func Classify(text string) measurement.Class { return ClassifyAnswer(0, text) }

// ClassifyAnswer is Classify for the words of an answer with a status of HTTP, 0 for
// none. It decides where the words match nothing.
func ClassifyAnswer(status int, text string) measurement.Class {
	text, code := unwrap(text)
	class, by := classify(text)
	status = cmp.Or(code, status, statusOf(text))
	condition, passes := passing[status]
	switch {
	case by == byNothing && passes:
		return condition
	case class == measurement.ServerAway && status != 0 && !passes:
		return measurement.RunnerCrashed // the server is there, and can't reach its runner
	}
	return class
}

// passing are the statuses of conditions that pass.
var passing = map[int]measurement.Class{
	http.StatusTooManyRequests:    measurement.ServerBusy,
	http.StatusServiceUnavailable: measurement.ServerBusy,
	http.StatusBadGateway:         measurement.ServerAway,
	http.StatusGatewayTimeout:     measurement.ServerAway,
	statusCanceled:                measurement.ServerAway,
}

// statusCanceled is Ollama's status for a request whose sender has gone, which is
// a proxy where it is not us.
const statusCanceled = 499

// evidence is what a class was decided by.
type evidence int

const (
	byNothing evidence = iota
	bySymptom
	byCause
)

func classify(text string) (measurement.Class, evidence) {
	return match(errorTexts, strings.TrimSpace(status.ReplaceAllString(failing(text), "")))
}

// match returns the class of an error text by these rows.
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

// status matches the status with which the command begins its error texts:
//
//	503 Service Unavailable: server busy, please try again.  maximum pending requests exceeded
//	500: unexpected server status: llm server loading model
var status = regexp.MustCompile(`^\s*(\d{3})(?: [A-Za-z' -]+)?(?::\s+|$)`)

// statusOf returns the status at the start of an error text, 0 for none.
func statusOf(text string) int {
	if match := status.FindStringSubmatch(text); match != nil {
		code, _ := strconv.Atoi(match[1])
		return code
	}
	return 0
}

// recovered matches what a text says of an attempt to load after which the server
// made another, behind the words that say what ended, which the first group holds:
//
//	ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 99
//	graph_reserve: compute buffer allocation failed, retrying without pipeline parallelism
var recovered = regexp.MustCompile(`(?is)^(.*?(?:process has terminated|process no longer running|llama-server reported)\b)?.*retrying without pipeline parallelism`)

// harmless matches the words of a failure that is none, with the claim that memory
// ran out which a server makes of them. Page-locked memory is replaced by other;
// of Vulkan's the reason follows on a line of its own; a Metal context is not made
// for other reasons:
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

// failing returns the text without what it says of things that did not fail.
func failing(text string) string {
	return harmless.ReplaceAllString(recovered.ReplaceAllString(text, "$1"), "")
}
