package check

import (
	"math"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const (
	// requestSlack is how much longer a request may take than the server's own
	// work. 1 ms was measured; the rest is for a busy machine.
	requestSlack = 25 * time.Millisecond
	// commandSlack is the same for the ollama command, which has to start first.
	commandSlack = time.Second

	// A forward pass can't be faster than that of a single token, which reads the
	// same weights. Several GPUs work on several passes at once, so the limit is
	// an eighth of that.
	passesAtOnce = 8
	// Nor can a token of a long prompt take less than a thousandth of the time of a
	// generated one: a GPU does 300 to 1,100 operations in the time that it takes
	// to read a byte (H100 in FP16 to B200 in FP4), a token takes two for each
	// weight of half a byte to two, and generating one reads each weight once:
	// 70 to 600 tokens in the time of one.
	promptTokensPerGenerated = 1000
)

// promptCache compares a rate with the wall clock, with the time of a generated
// token, and with all earlier rates. A prompt that begins like an earlier one is
// evaluated in part and counted whole; some servers count whole prompts and time
// the last batch alone. Every prompt begins with a nonce, so that the first
// should not occur at all.
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
	slack := requestSlack + s.NetworkTime
	if e.CLI {
		slack = commandSlack + s.NetworkTime
	}
	other := otherClock(e.Loaded.Warmup)
	const lastBatch = "the prompt was not evaluated whole, or only its last batch was timed, as some servers before 0.12.7 do: update Ollama"
	partly := !timesAllTokens(e)
	switch {
	case s.PromptCached != nil && *s.PromptCached > e.Head:
		return refuse("%d of the prompt's %d tokens came out of the server's cache, and no more than %d can: those of the template's start and of a nonce", *s.PromptCached, s.PromptEvalCount, e.Head)
	case s.Wall > 0 && s.PromptEvalDuration > s.Wall+time.Millisecond && !other:
		return refuse("the whole request took %v by the wall clock, which is %v less", s.Wall, s.PromptEvalDuration-s.Wall)
	case partly && s.OtherClient && (unaccounted(s, s.TotalDuration, requestSlack) || unaccounted(s, s.Wall, slack)):
		return waited(s)
	case partly && unaccounted(s, s.TotalDuration, requestSlack):
		return refuse("the server's own total is %v, of which load and generation are %v: %s", s.TotalDuration, s.LoadDuration+s.EvalDuration, lastBatch)
	case partly && unaccounted(s, s.Wall, slack) && s.TotalDuration > 0:
		return refuse("the request took %v by the wall clock and %v by the server's: the rest is the way to the server (%v for a request of that size that needs no model), or unknown; run the sweep on the server's machine, or use a longer prompt", s.Wall, s.TotalDuration, s.NetworkTime)
	case partly && unaccounted(s, s.Wall, slack):
		return refuse("the request took %v by the wall clock, of which load and generation are %v: %s", s.Wall, s.LoadDuration+s.EvalDuration, lastBatch)
	case s.PromptEvalDuration < leastDuration(e):
		return refuse("%v is the least that the time of a generated token allows: the prompt came out of a cache", leastDuration(e))
	case e.Ceiling > 0 && rate > e.Ceiling:
		return refuse("%.0f is the most that earlier prompts allow: the prompt came out of a cache", e.Ceiling)
	case other:
		return warn("the server reports longer times than requests took (%v, and %v by the wall clock): its clock can't be checked, and rates compare only with each other", s.TotalDuration, s.Wall)
	}
	return nil
}

// waited refuses a sample whose request took longer than load, prompt and generation while another
// client used the model: it may have waited for that client, so the cell has not failed.
func waited(s measurement.Sample) []Finding {
	f := warn("the request took %v, of which the prompt took %v: it may have waited for another client's, or not all of the prompt was evaluated; stop whatever else uses this server", max(s.Wall, s.TotalDuration), s.PromptEvalDuration)
	f[0].Again = true
	return f
}

// timesAllTokens reports whether the prompt's duration covers all evaluated tokens, even where the
// request took much longer. So it is with llama-server, from 0.30 on, which may first save an older
// prompt into a cache in the machine's memory, and that can take longer than a short evaluation.
func timesAllTokens(e *Evidence) bool {
	return e.Sample.PromptCached != nil || released(e.Version) && !Before(e.Version, "0.30.0")
}

// sharedStart warns of prompts that all begin with the model's system prompt. Over
// the API the nonce precedes it, which the ollama command can't do.
func sharedStart(e *Evidence) []Finding {
	if !e.CLI || e.System == 0 || e.Loaded.Warmup.PromptCached != nil {
		return nil
	}
	return warn("the model's system prompt (%d bytes) precedes every prompt and is evaluated once after each load, yet always counted: rates are too high by its part of the prompt; use -runner api, or a template without SYSTEM", e.System)
}

// otherClock reports whether the server's clock runs faster than ours, as in a
// virtual machine that is slowed down, or where answers are replayed: the short
// warm-up prompt took longer by the server's clock than by ours. Rates by such a
// clock compare only with each other.
func otherClock(warmup measurement.Sample) bool {
	return warmup.Wall > 0 && max(warmup.TotalDuration, warmup.PromptEvalDuration) > warmup.Wall+time.Millisecond
}

// unaccounted reports whether the prompt's duration is less than half of the
// request's time without load and generation.
func unaccounted(s measurement.Sample, whole, slack time.Duration) bool {
	rest := whole - sum(s.LoadDuration, s.EvalDuration)
	return s.PromptEvalDuration < rest/2 && rest-s.PromptEvalDuration > slack
}

// leastDuration returns the shortest plausible duration of the prompt, given the
// fastest generated token of this load; zero where no token was timed.
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

// A rate is refused above these multiples of an accepted rate, and of the rate of
// the warm-up, the first and slower prompt of a load. Cells differ by less, and a
// prompt of a thousand tokens out of the cache was 190 times too fast.
const (
	aboveAccepted = 20
	aboveWarmup   = 100
)

// AcceptedRate is a prompt whose rate was accepted.
type AcceptedRate struct {
	Rate  float64 // tokens per second
	Batch int     // most tokens in a pass
}

// Ceiling returns the rate in tokens per second above which a sample with this
// num_batch is refused, zero where no prompt is known. A pass of more tokens does
// not take less time, so that the rate grows at most in proportion to num_batch.
// Prompts with a much smaller num_batch count only where there are no others; the
// warm-up is of the same load, and always counts.
func Ceiling(batch int, accepted []AcceptedRate, warmup AcceptedRate) float64 {
	scaled := func(k AcceptedRate, factor float64) float64 {
		if k.Batch > 0 && batch > k.Batch {
			factor *= float64(batch) / float64(k.Batch)
		}
		return k.Rate * factor
	}
	var alike, smaller float64
	for _, k := range accepted {
		if bound := scaled(k, aboveAccepted); 4*k.Batch >= batch {
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
