package measurement

import (
	"fmt"
	"time"
)

// Sample has the figures of one prompt. The first ones are those that Ollama reports
// in the final message of /api/generate: counts in tokens, durations in nanoseconds. A
// figure of zero means that Ollama omitted it; it is omitted in the JSON too.
type Sample struct {
	PromptEvalCount    int           `json:"prompt_eval_count,omitempty"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration_ns,omitempty"`
	EvalCount          int           `json:"eval_count,omitempty"`
	EvalDuration       time.Duration `json:"eval_duration_ns,omitempty"`
	LoadDuration       time.Duration `json:"load_duration_ns,omitempty"`
	TotalDuration      time.Duration `json:"total_duration_ns,omitempty"`

	// PromptCached is the number of the prompt's tokens that came out of the server's cache, and
	// PromptEvaluated of those that were evaluated during PromptEvalDuration. Ollama's answer has
	// the first from 0.33.3 on, its log both from 0.30 on; else they are nil and 0.
	PromptCached    *int `json:"prompt_eval_cached_count,omitempty"`
	PromptEvaluated int  `json:"prompt_evaluated_count,omitempty"`

	// Unfinished is the number of prompts before this one whose answers ended without figures.
	Unfinished int `json:"unfinished_answers,omitempty"`

	// The remaining fields were observed from outside and not reported by Ollama.

	// Wall is the duration of the whole request, or of the command, by our clock.
	Wall time.Duration `json:"wall_duration_ns,omitempty"`
	// Way is the time that the network, or a proxy, adds to a request of that size, measured with
	// requests that need no model; 0 if it is too short to matter.
	NetworkTime time.Duration `json:"way_duration_ns,omitempty"`
	// GPU is the state of the server's GPUs, if they are this machine's.
	GPU []GPU `json:"gpu,omitempty"`
	// CPU is the use of the server's CPUs, if they are this machine's and the model computes
	// on them.
	CPU *CPUUse `json:"cpu,omitempty"`
	// OtherClient reports whether another client used the model since the previous prompt or while
	// this one was evaluated, according to the time at which the model expires.
	OtherClient bool `json:"other_client,omitempty"`
	// Reloaded reports whether, since the previous prompt, the server has unloaded the model or
	// loaded it with another client's settings.
	Reloaded bool `json:"-"`
	// Others are the names of other models that were in the server's memory when the prompt
	// was evaluated.
	Others []string `json:"other_models,omitempty"`
}

// CPUUse is the mean use of a machine's CPUs during a measurement, in CPUs: 0.5 is half of one.
type CPUUse struct {
	Count  int     `json:"count"`  // CPUs of the machine
	Server float64 `json:"server"` // used by the server
	Others float64 `json:"others"` // used by all others, including other guests of a virtual machine's host
	// MemoryWait is the share of the time in which some process waited for memory.
	MemoryWait float64 `json:"memory_wait,omitempty"`
}

// Check returns a *Failure of class NoFigures if a figure is negative or otherwise
// impossible.
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

// Evaluated returns the number of the prompt's tokens that were evaluated. If that is unknown, it
// returns the number of all tokens of the prompt.
func (s Sample) Evaluated() int {
	switch {
	case s.PromptEvaluated > 0:
		return s.PromptEvaluated
	case s.PromptCached != nil:
		return s.PromptEvalCount - *s.PromptCached
	}
	return s.PromptEvalCount
}

// PromptEvalRate returns the prompt eval rate, the evaluated tokens per second, and
// false if count or duration is missing.
func (s Sample) PromptEvalRate() (tokensPerSec float64, ok bool) {
	return rate(s.Evaluated(), s.PromptEvalDuration)
}

// EvalRate returns the generated tokens per second, and false if count or duration
// is missing.
func (s Sample) EvalRate() (tokensPerSec float64, ok bool) {
	return rate(s.EvalCount, s.EvalDuration)
}

func rate(tokens int, d time.Duration) (float64, bool) {
	if tokens <= 0 || d <= 0 {
		return 0, false
	}
	return float64(tokens) / d.Seconds(), true
}
