package ollamarun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// mostPrompts is how many prompts are sent for one sample: the first, and up to three in place of
// those whose answers lack their figures.
const mostPrompts = 4

// unfinished is an answer that ended, without an error, before the message that holds the figures.
// From 0.30 on the server leaves that message out where the generated text ends within a UTF-8
// character, so that it depends on chance, and another prompt may do.
//
// A request could make it impossible by a format (a JSON schema) that allows ASCII alone. But
// llama-server then looks at the whole vocabulary within the prompt's time: measured on 0.32.5 with
// a vocabulary of 150,000, 30 ms were added to a prompt of 150 ms.
type unfinished struct{ detail string }

func (u *unfinished) Error() string { return u.detail }

// noFigures is the answer over the API that lacks its last message, or figures in it.
var noFigures = &unfinished{"the answer ended without the message that holds the figures"}

// reader sends a prompt and returns the figures of its answer.
type reader func(ctx context.Context, prompt string) (measurement.Sample, error)

// readFinished sends prompts until an answer has figures. The sample says how many had none.
func readFinished(ctx context.Context, prompt func() string, read reader) (measurement.Sample, error) {
	for tries := 0; ; tries++ {
		sample, err := read(ctx, prompt())
		if _, ok := sample.PromptEvalRate(); err == nil && !ok {
			err = noFigures
		}
		sample.Unfinished = tries
		var u *unfinished
		if !errors.As(err, &u) {
			return sample, err
		}
		if tries+1 == mostPrompts {
			return sample, &measurement.Failure{Class: measurement.NoFigures, Detail: fmt.Sprintf("%s, for each of %d prompts: Ollama 0.30 and later send no figures where the generated text ends within a character; use another num_predict, such as 8", u.detail, mostPrompts)}
		}
	}
}

// warmUp reads the prompt that ends a load. Where the first answer lacked its figures, those of the
// load are lost with them: it took as much longer as that request took longer than the one whose
// answer has figures.
func warmUp(ctx context.Context, prompt func() string, read reader) (measurement.Sample, error) {
	var first time.Duration
	sample, err := readFinished(ctx, prompt, func(ctx context.Context, prompt string) (measurement.Sample, error) {
		sample, err := read(ctx, prompt)
		first = cmp.Or(first, sample.Wall)
		return sample, err
	})
	if sample.Unfinished > 0 {
		sample.LoadDuration = max(sample.LoadDuration, first-sample.Wall)
	}
	return sample, err
}
