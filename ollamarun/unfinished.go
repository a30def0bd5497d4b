package ollamarun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// maxPrompts is how many prompts are sent for one sample: the first, and up to three more when an
// answer has no figures.
const maxPrompts = 4

// unfinished is an answer that ended, without an error, before the message that holds the figures.
// From 0.30 on the server omits that message when the generated text ends within a UTF-8 character.
// That depends on chance, so another prompt may succeed.
//
// A request could prevent it with a format (a JSON schema) that allows ASCII only. But llama-server
// then scans the whole vocabulary within the prompt's time: on 0.32.5, with a vocabulary of 150,000,
// that added 30 ms to a prompt of 150 ms.
type unfinished struct{ detail string }

// Error implements error.
func (u *unfinished) Error() string { return u.detail }

// noFigures is an answer over the API without its last message, or without figures in it.
var noFigures = &unfinished{"the answer ended without the message that holds the figures"}

// A generateFunc sends a prompt and returns the figures of its answer.
type generateFunc func(ctx context.Context, prompt string) (measurement.Sample, error)

// generateWithFigures sends prompts until an answer has figures. The sample's Unfinished counts the
// answers that had none.
func generateWithFigures(ctx context.Context, prompt func() string, generate generateFunc) (measurement.Sample, error) {
	for tries := 0; ; tries++ {
		sample, err := generate(ctx, prompt())
		if _, ok := sample.PromptEvalRate(); err == nil && !ok {
			err = noFigures
		}
		sample.Unfinished = tries
		var u *unfinished
		if !errors.As(err, &u) {
			return sample, err
		}
		if tries+1 == maxPrompts {
			return sample, &measurement.Failure{Class: measurement.NoFigures, Detail: fmt.Sprintf("%s, for each of %d prompts: Ollama 0.30 and later send no figures where the generated text ends within a character; use another num_predict, such as 8", u.detail, maxPrompts)}
		}
	}
}

// warmUp sends the prompt that ends a load. If the first answer has no figures, the load's duration
// is lost with it. It is then estimated as the difference between the duration of that request and
// that of the request whose answer has figures.
func warmUp(ctx context.Context, prompt func() string, generate generateFunc) (measurement.Sample, error) {
	var first time.Duration
	sample, err := generateWithFigures(ctx, prompt, func(ctx context.Context, prompt string) (measurement.Sample, error) {
		sample, err := generate(ctx, prompt)
		first = cmp.Or(first, sample.Wall)
		return sample, err
	})
	if sample.Unfinished > 0 {
		sample.LoadDuration = max(sample.LoadDuration, first-sample.Wall)
	}
	return sample, err
}
