package measurement

import (
	"fmt"
	"time"
)

// Sample holds the figures that Ollama reports for one prompt, in the form of
// the final message of /api/generate: counts in tokens, durations in
// nanoseconds. A figure of zero is one that Ollama left out, and is left out
// of the JSON again.
type Sample struct {
	PromptEvalCount    int           `json:"prompt_eval_count,omitempty"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration_ns,omitempty"`
	EvalCount          int           `json:"eval_count,omitempty"`
	EvalDuration       time.Duration `json:"eval_duration_ns,omitempty"`
	LoadDuration       time.Duration `json:"load_duration_ns,omitempty"`
	TotalDuration      time.Duration `json:"total_duration_ns,omitempty"`

	// PromptCached is how many of the prompt's tokens came out of the server's cache, and
	// PromptEvaluated how many were evaluated, which is what the duration is of. Ollama's answer
	// has the first from 0.33.3 on, its log both from 0.30 on; nil and 0 where neither tells.
	PromptCached    *int `json:"prompt_eval_cached_count,omitempty"`
	PromptEvaluated int  `json:"prompt_evaluated_count,omitempty"`

	// Unfinished is how many prompts were sent before this one whose answers ended without figures.
	Unfinished int `json:"unfinished_answers,omitempty"`

	// What was seen from outside meanwhile, which is not Ollama's own word.

	// Wall is the time of the whole request, or of the command, by our clock.
	Wall time.Duration `json:"wall_duration_ns,omitempty"`
	// Way is what the network, or a proxy in between, adds to a request of that size, where it
	// adds enough to matter: measured by requests that need no model.
	Way time.Duration `json:"way_duration_ns,omitempty"`
	// GPU is the state of the server's GPUs, where they are this machine's.
	GPU []GPU `json:"gpu,omitempty"`
	// CPU is the use of the server's CPUs, where they are this machine's and the model computes
	// on them.
	CPU *CPUUse `json:"cpu,omitempty"`
	// OtherClient says that somebody else used the model after the prompt before, or while this one
	// was read, as its time of expiry tells.
	OtherClient bool `json:"other_client,omitempty"`
	// LoadedAnew says that the server had loaded the model for somebody else since the prompt before,
	// or had it in memory no more.
	LoadedAnew bool `json:"-"`
	// Others names models of somebody else that were in the server's memory
	// when the prompt was read.
	Others []string `json:"other_models,omitempty"`
}

// CPUUse is who used a machine's CPUs over the time of a measurement, in CPUs: 0.5 is half of one.
type CPUUse struct {
	Count  int     `json:"count"`  // that the machine has
	Server float64 `json:"server"` // used by the server
	Others float64 `json:"others"` // used by all else, on a virtual machine's host too
	// MemoryWait is the share of the time in which some process waited for memory.
	MemoryWait float64 `json:"memory_wait,omitempty"`
}

// Check returns a *Failure of class NoFigures where a figure is negative, which
// no server means.
func (s Sample) Check() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"prompt_eval_count", int64(s.PromptEvalCount)},
		{"prompt_eval_duration", int64(s.PromptEvalDuration)},
		{"prompt_evaluated_count", int64(s.PromptEvaluated)},
		{"eval_count", int64(s.EvalCount)},
		{"eval_duration", int64(s.EvalDuration)},
		{"load_duration", int64(s.LoadDuration)},
		{"total_duration", int64(s.TotalDuration)},
	} {
		if f.value < 0 {
			return &Failure{NoFigures, fmt.Sprintf("a negative figure: %s is %d", f.name, f.value)}
		}
	}
	if c := s.PromptCached; c != nil && (*c < 0 || *c > s.PromptEvalCount && s.PromptEvaluated == 0) {
		return &Failure{NoFigures, fmt.Sprintf("prompt_eval_cached_count is %d of a prompt_eval_count of %d", *c, s.PromptEvalCount)}
	}
	return nil
}

// Evaluated returns how many of the prompt's tokens were evaluated, as far as that is known: else
// all that were counted.
func (s Sample) Evaluated() int {
	switch {
	case s.PromptEvaluated > 0:
		return s.PromptEvaluated
	case s.PromptCached != nil:
		return s.PromptEvalCount - *s.PromptCached
	}
	return s.PromptEvalCount
}

// PromptEvalRate returns the prompt's evaluated tokens per second of evaluation, and
// false when count or duration is missing.
func (s Sample) PromptEvalRate() (tokensPerSec float64, ok bool) {
	return rate(s.Evaluated(), s.PromptEvalDuration)
}

// EvalRate returns the generated tokens per second, and false when count or
// duration is missing.
func (s Sample) EvalRate() (tokensPerSec float64, ok bool) {
	return rate(s.EvalCount, s.EvalDuration)
}

func rate(tokens int, d time.Duration) (float64, bool) {
	if tokens <= 0 || d <= 0 {
		return 0, false
	}
	return float64(tokens) / d.Seconds(), true
}
