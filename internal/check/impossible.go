package check

import (
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// clockTolerance is how much the durations in an answer may exceed its total: server and runner measure
// them with different clocks, and each is rounded.
const clockTolerance = time.Millisecond

// impossible refuses a sample whose figures contradict each other, the settings or the wall clock.
// Samples that the check of the prompt cache refuses are left to it.
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

// impossibleLoad does the same for the warm-up, whose load duration is reported.
func impossibleLoad(e *Evidence) []Finding { return contradictions(e, e.Loaded.Warmup) }

func contradictions(e *Evidence, s measurement.Sample) []Finding {
	if e.NumPredict > 0 && s.EvalCount > e.NumPredict {
		return fail(measurement.NoFigures, "%d tokens were generated, and num_predict allows %d: the server is not Ollama, or a proxy changes the requests", s.EvalCount, e.NumPredict)
	}
	parts := sum(s.LoadDuration, s.PromptEvalDuration, s.EvalDuration)
	if s.TotalDuration > 0 && parts > s.TotalDuration+clockTolerance {
		return fail(measurement.NoFigures, "load (%v), prompt (%v) and generation (%v) took %v, and the whole request %v by the same clock", s.LoadDuration, s.PromptEvalDuration, s.EvalDuration, parts, s.TotalDuration)
	}
	if whole := max(s.TotalDuration, parts); s.Wall > 0 && whole > s.Wall+clockTolerance && !otherClock(e.Loaded.Warmup) {
		return fail(measurement.NoFigures, "the server reports that the request took %v, but it took %v by the wall clock", whole, s.Wall)
	}
	return nil
}

// sum adds durations. Where they overflow, it returns the longest Duration.
func sum(ds ...time.Duration) (total time.Duration) {
	for _, d := range ds {
		if total+d < total {
			return 1<<63 - 1
		}
		total += d
	}
	return total
}
