package check

import (
	"math"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const (
	// wire is what a request may take beside the server's own work; 1 ms was
	// measured, the rest is for a machine that is busy.
	wire = 25 * time.Millisecond
	// command is the same for the ollama command, which has to start first.
	command = time.Second

	// A forward pass can't be faster than that of a single token, which reads the
	// same weights. Several GPUs work on several passes at once, so passes
	// are held against an eighth of it.
	passesAtOnce = 8
	// Nor can a token of a long prompt cost less than so small a part of a
	// generated one: a GPU does 300 to 1,100 operations in the time that it takes
	// to read a byte (H100 in FP16 to B200 in FP4), a token takes two for each
	// weight of half a byte to two, and generating one reads each weight once:
	// 70 to 600 tokens in the time of one.
	promptTokensPerGenerated = 1000
)

// promptCache holds a rate against the wall clock, against what the model can
// do at all, and against all rates before. A prompt that begins like the one
// before is evaluated in part and counted whole; some servers count whole
// prompts and time the last batch alone. Every prompt begins with text of its
// own, so that the first should not occur at all.
func promptCache(e *Evidence) []Finding {
	s := e.Sample
	rate, ok := s.PromptEvalRate()
	if !ok {
		return nil // refused as a sample without figures
	}
	refuse := func(format string, args ...any) []Finding {
		f := fail(measurement.NoFigures, "%d tokens in %v are %.0f tokens/s, but "+format, append([]any{s.Evaluated(), s.PromptEvalDuration, rate}, args...)...)
		f[0].Again = true
		return f
	}
	slack := wire + s.Way
	if e.CLI {
		slack = command + s.Way
	}
	other := otherClock(e.Loaded.Warmup)
	const lastBatch = "the prompt was not evaluated whole, or only its last batch was timed, as some servers before 0.12.7 do: update Ollama"
	partly := !timesWhole(e)
	switch {
	case s.PromptCached != nil && *s.PromptCached > e.Head:
		return refuse("%d of the prompt's %d tokens came out of the server's cache, and no more than %d can: those of the template's start and of a nonce", *s.PromptCached, s.PromptEvalCount, e.Head)
	case s.Wall > 0 && s.PromptEvalDuration > s.Wall+time.Millisecond && !other:
		return refuse("the whole request took %v by the wall clock, which is %v less", s.Wall, s.PromptEvalDuration-s.Wall)
	case partly && s.OtherClient && (unaccounted(s, s.TotalDuration, wire) || unaccounted(s, s.Wall, slack)):
		return waited(s)
	case partly && unaccounted(s, s.TotalDuration, wire):
		return refuse("the server's own total is %v, of which load and generation are %v: %s", s.TotalDuration, s.LoadDuration+s.EvalDuration, lastBatch)
	case partly && unaccounted(s, s.Wall, slack) && s.TotalDuration > 0:
		return refuse("the request took %v by the wall clock and %v by the server's: what takes the rest is the way to the server (%v for a request of that size that needs no model), or cannot be known; run the sweep beside the server, or use a longer prompt", s.Wall, s.TotalDuration, s.Way)
	case partly && unaccounted(s, s.Wall, slack):
		return refuse("the request took %v by the wall clock, of which load and generation are %v: %s", s.Wall, s.LoadDuration+s.EvalDuration, lastBatch)
	case s.PromptEvalDuration < leastDuration(e):
		return refuse("%v is the least that the time of a generated token allows: the prompt came out of a cache", leastDuration(e))
	case e.Ceiling > 0 && rate > e.Ceiling:
		return refuse("%.0f is the most that the prompts before allow: the prompt came out of a cache", e.Ceiling)
	case other:
		return warn("the server says that requests took longer than they did (%v, and %v by the wall clock): its clock can't be checked, and rates compare only among themselves", s.TotalDuration, s.Wall)
	}
	return nil
}

// waited refuses a sample of which nobody knows what its request took beside the prompt: it may have
// waited for another client's, so the server is busy, and the cell has not failed.
func waited(s measurement.Sample) []Finding {
	f := warn("the request took %v, of which the prompt took %v: it may have waited for somebody else's, or not all of the prompt was evaluated; stop what else uses this server", max(s.Wall, s.TotalDuration), s.PromptEvalDuration)
	f[0].Again = true
	return f
}

// timesWhole reports whether the duration is that of all tokens that were evaluated, whatever else
// the request took: llama-server, from 0.30 on, counts so, and may save an older prompt into the
// cache in the machine's memory before, which can take longer than a short evaluation.
func timesWhole(e *Evidence) bool {
	return e.Sample.PromptCached != nil || released(e.Version) && !Before(e.Version, "0.30.0")
}

// sharedStart tells of prompts that all begin with the model's system prompt.
// Requests over the API put text of their own before it, the command can't.
func sharedStart(e *Evidence) []Finding {
	if !e.CLI || e.System == 0 || e.Loaded.Warmup.PromptCached != nil {
		return nil
	}
	return warn("the model's system prompt (%d bytes) stands before every prompt and is evaluated once after each load, yet always counted: rates are too high by its part of the prompt; use -runner api, or a template without SYSTEM", e.System)
}

// otherClock reports whether the server's clock is not ours, as in a virtual
// machine that is slowed down, or where answers are played back: the short
// warm-up prompt took longer by it than by ours. Rates by such a clock compare
// with each other and nothing else.
func otherClock(warmup measurement.Sample) bool {
	return warmup.Wall > 0 && max(warmup.TotalDuration, warmup.PromptEvalDuration) > warmup.Wall+time.Millisecond
}

// unaccounted reports whether more than half of what is left of the whole
// request after load and generation is not in the prompt's time.
func unaccounted(s measurement.Sample, whole, slack time.Duration) bool {
	rest := whole - sum(s.LoadDuration, s.EvalDuration)
	return s.PromptEvalDuration < rest/2 && rest-s.PromptEvalDuration > slack
}

// leastDuration returns what the prompt must have taken at least, by the fastest
// generated token that is known of this load; zero when none is.
func leastDuration(e *Evidence) time.Duration {
	step := math.Inf(1)
	for _, s := range []measurement.Sample{e.Sample, e.Loaded.Warmup} {
		if rate, ok := s.EvalRate(); ok {
			step = min(step, 1/rate)
		}
	}
	if math.IsInf(step, 1) {
		return 0
	}
	least := float64(e.Sample.Evaluated()) / promptTokensPerGenerated
	if e.NumBatch > 0 {
		least = max(least, math.Ceil(float64(e.Sample.Evaluated())/float64(e.NumBatch))/passesAtOnce)
	}
	return time.Duration(least * step * float64(time.Second))
}

// Above a rate that is believed, and above that of the first, cold prompt of a
// load, by which factors a rate is no longer believed. Cells differ by less, and
// a prompt of a thousand tokens out of the cache came out 190 times too fast.
const (
	aboveBelieved = 20
	aboveWarmup   = 100
)

// Known is a prompt whose rate is believed.
type Known struct {
	Rate  float64 // tokens per second
	Batch int     // most tokens in a pass
}

// Ceiling returns the rate above which a sample of batches of this size is not
// believed, zero when nothing is known. A pass of more tokens takes no less
// time, so that the rate grows with the batch at most in proportion. Prompts of
// batches that are much smaller say little, and count only where there are no
// others; the warm-up is of the same load, and counts always.
func Ceiling(batch int, believed []Known, warmup Known) float64 {
	scaled := func(k Known, factor float64) float64 {
		if k.Batch > 0 && batch > k.Batch {
			factor *= float64(batch) / float64(k.Batch)
		}
		return k.Rate * factor
	}
	var alike, smaller float64
	for _, k := range believed {
		if bound := scaled(k, aboveBelieved); 4*k.Batch >= batch {
			alike = max(alike, bound)
		} else {
			smaller = max(smaller, bound)
		}
	}
	if alike == 0 {
		alike = smaller
	}
	first := scaled(warmup, aboveWarmup)
	if alike == 0 || first == 0 {
		return max(alike, first)
	}
	return min(alike, first)
}
