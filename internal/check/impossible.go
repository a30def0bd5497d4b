package check

import (
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// clocks is by how much the durations of an answer may exceed the whole that they are parts of:
// server and runner take them by clocks of their own, and each is rounded.
const clocks = time.Millisecond

// impossible refuses a sample whose figures contradict each other, the settings or the wall clock.
// One that the check of the prompt cache refuses has its reason there.
func impossible(e *Evidence) []Finding {
	if slices.ContainsFunc(promptCache(e), func(f Finding) bool { return f.Again }) {
		return nil
	}
	found := contradictions(e, e.Sample)
	for i := range found {
		found[i].Again = true
	}
	return found
}

// impossibleLoad does the same with the warm-up, whose load duration is reported.
func impossibleLoad(e *Evidence) []Finding { return contradictions(e, e.Loaded.Warmup) }

func contradictions(e *Evidence, s measurement.Sample) []Finding {
	if e.NumPredict > 0 && s.EvalCount > e.NumPredict {
		return fail(measurement.NoFigures, "%d tokens were generated, and num_predict allows %d: what answers is not Ollama, or changes what it is asked", s.EvalCount, e.NumPredict)
	}
	parts := sum(s.LoadDuration, s.PromptEvalDuration, s.EvalDuration)
	if s.TotalDuration > 0 && parts > s.TotalDuration+clocks {
		return fail(measurement.NoFigures, "load (%v), prompt (%v) and generation (%v) took %v, and the whole request %v by the same clock", s.LoadDuration, s.PromptEvalDuration, s.EvalDuration, parts, s.TotalDuration)
	}
	if whole := max(s.TotalDuration, parts); s.Wall > 0 && whole > s.Wall+clocks && !otherClock(e.Loaded.Warmup) {
		return fail(measurement.NoFigures, "the server says that the request took %v, which by the wall clock took %v", whole, s.Wall)
	}
	return nil
}

// sum adds durations that may be as long as a Duration can be.
func sum(ds ...time.Duration) (total time.Duration) {
	for _, d := range ds {
		if total+d < total {
			return 1<<63 - 1
		}
		total += d
	}
	return total
}
