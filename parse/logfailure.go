package parse

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// loadContinues matches lines which show that a load continued after a failed allocation, or
// succeeded. Servers from 0.11.11 to 0.24 determine what fits by trying.
//
//	graph_reserve: compute buffer allocation failed, retrying without pipeline parallelism
//	msg="llama-server load failed; evicting all other models and retrying once"
//	msg="llama-server startup failed with projector GPU offload; retrying with projector CPU offload"
//	msg="model layout did not fit, applying backoff"
//	msg=load request="{Operation:alloc …}"
//	msg="llama-server started in 1.50 seconds"
var loadContinues = regexp.MustCompile(`retrying without pipeline parallelism|retrying once|retrying with projector CPU offload` +
	`|model layout did not fit|msg=load request="?\{Operation:(?:fit|alloc|commit)|for OOM retry|` + started.String())

// maxDetail limits the detail of a failure, in bytes.
const maxDetail = 500

// LogFailure returns the newest line of a server's log that reports a failed
// allocation, and false if there is none or the load continued after it. Over the API,
// a runner that ran out of memory may show only an exit status. A line that does not
// name the kind of memory does not replace an earlier line, and neither does a line in
// which the server repeats its runner's message:
//
//	level=INFO source=sched.go:646 msg="Load failed" model=… error="llama-server process has terminated: …"
func LogFailure(text []byte) (*measurement.Failure, bool) {
	var found *measurement.Failure
	for line := range strings.Lines(harmless.ReplaceAllString(memoryLines(text), "")) {
		if loadContinues.MatchString(line) {
			found = nil
			continue
		}
		class, by := match(memoryRows, line)
		replaces := by == byCause && !strings.Contains(line, " error=")
		if replaces || by != byNothing && found == nil {
			found = &measurement.Failure{Class: class, Detail: lastBytes(strings.TrimSpace(line), maxDetail)}
		}
	}
	return found, found != nil
}

// LogMayExplain reports whether the server's log may name a lack of memory that
// the failure does not.
func LogMayExplain(f *measurement.Failure) bool {
	if f.Class == measurement.OutOfSystemMemory {
		_, by := classify(f.Detail)
		return by != byCause
	}
	return f.Class.MayHideMemory() || f.Class == measurement.OutOfGPUMemory
}

// memoryRows are the texts that a log is searched for.
var memoryRows = slices.DeleteFunc(slices.Clone(errorTexts), func(t errorText) bool { return !t.class.LacksResources() })

// memoryWords, in lower case, select the lines that LogFailure searches: each of those has one.
// Most lines have none, and the test is cheap.
var memoryWords = []string{"memory", "alloc", "oom", "resource", "kill", "paging file", "available", "full model", "retrying", "did not fit", "msg=load", "started in"}

// memoryLines returns the lines that may be about memory, or about a load that continues.
func memoryLines(log []byte) string {
	var b strings.Builder
	for line := range strings.Lines(Plain(unwrapLog(log))) {
		lower := strings.ToLower(line)
		if slices.ContainsFunc(memoryWords, func(word string) bool { return strings.Contains(lower, word) }) {
			b.WriteString(line)
		}
	}
	return b.String()
}
