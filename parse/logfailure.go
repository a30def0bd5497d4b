package parse

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// anew matches the lines with which a load goes on after memory that could not be
// had, or has ended well. Servers from 0.11.11 to 0.24 find by trying what fits.
//
//	graph_reserve: compute buffer allocation failed, retrying without pipeline parallelism
//	msg="llama-server load failed; evicting all other models and retrying once"
//	msg="llama-server startup failed with projector GPU offload; retrying with projector CPU offload"
//	msg="model layout did not fit, applying backoff"
//	msg=load request="{Operation:alloc …}"
//	msg="llama-server started in 1.50 seconds"
var anew = regexp.MustCompile(`retrying without pipeline parallelism|retrying once|retrying with projector CPU offload` +
	`|model layout did not fit|msg=load request="?\{Operation:(?:fit|alloc|commit)|for OOM retry|` + started.String())

// mostDetail bounds the words of a failure, in bytes.
const mostDetail = 500

// LogFailure returns the newest line of a server's log that tells of memory that
// could not be had, and false when none does, or when the load went on after it.
// A runner that dies of it can show over the API as no more than an exit status.
// A line that does not say which memory follows one that does, and so does one of
// the server's own with the words of its runner:
//
//	level=INFO source=sched.go:646 msg="Load failed" model=… error="llama-server process has terminated: …"
func LogFailure(text []byte) (*measurement.Failure, bool) {
	var found *measurement.Failure
	for line := range strings.Lines(harmless.ReplaceAllString(aboutMemory(text), "")) {
		if anew.MatchString(line) {
			found = nil
			continue
		}
		class, by := match(ofMemory, line)
		news := by == byCause && !strings.Contains(line, " error=")
		if news || by != byNothing && found == nil {
			found = &measurement.Failure{Class: class, Detail: lastBytes(strings.TrimSpace(line), mostDetail)}
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

// ofMemory are the texts that are looked for in a log.
var ofMemory = slices.DeleteFunc(slices.Clone(errorTexts), func(t errorText) bool { return !t.class.LacksResources() })

// memoryWords are in all lines that LogFailure looks for, in lower case. Most lines have
// none, and looking for them is cheap.
var memoryWords = []string{"memory", "alloc", "oom", "resource", "kill", "paging file", "available", "full model", "retrying", "did not fit", "msg=load", "started in"}

// aboutMemory returns the lines that may tell of memory, or of a load that goes on.
func aboutMemory(log []byte) string {
	var b strings.Builder
	for line := range strings.Lines(Plain(unwrapLog(log))) {
		lower := strings.ToLower(line)
		if slices.ContainsFunc(memoryWords, func(word string) bool { return strings.Contains(lower, word) }) {
			b.WriteString(line)
		}
	}
	return b.String()
}
