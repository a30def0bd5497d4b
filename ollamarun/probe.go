package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// A server keeps the prompt that it has read. Of a prompt that repeats it and adds b tokens, it
// evaluates only those b, in one pass if the load's num_batch is b or more. So one load shows how long
// the passes of each smaller num_batch take. Because the time of a pass grows linearly with the number
// of tokens before it, one pass in the middle of a prompt has the rate of all of them.

// Probe measures passes of the given sizes on the loaded model, repeats times each, in the middle of a
// prompt of the given number of tokens. Each size must be at most the load's num_batch. Words returns n
// words of a list, from place first on; the list repeats as needed. The error is of type
// *measurement.Unprobeable if the load can't be probed.
func (a *API) Probe(ctx context.Context, tokens int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	return a.probe(ctx, probedLoad{a.model, a.model, a.options, a.numCtx, a.numBatch, &a.probed}, tokens, sizes, repeats, words)
}

// Probe is like API.Probe. It sends its prompts over the API.
func (c *CLI) Probe(ctx context.Context, tokens int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	return c.probe(ctx, probedLoad{c.model, c.template.From(), nil, c.numCtx, c.numBatch, &c.probed}, tokens, sizes, repeats, words)
}

// probedLoad is the load that is probed.
type probedLoad struct {
	model, base      string         // base is the model from which the models of all cells are created
	options          map[string]any // of its requests
	numCtx, numBatch int
	known            *probedModel
}

// probe is Probe of both runners, which differ in the load only.
func (s *Server) probe(ctx context.Context, load probedLoad, tokens int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	sizes, err := load.check(tokens, sizes)
	if err != nil {
		return nil, err
	}
	p := &prober{Server: s, load: load, tokens: tokens}
	probes, err := p.run(ctx, sizes, repeats, words)
	if u := new(measurement.Unprobeable); errors.As(err, &u) && p.others > 0 {
		u.Temporary = true // the other client's prompts may be the reason
	}
	return probes, err
}

// check returns the sizes in ascending order, or an error if they can't be probed.
func (l probedLoad) check(tokens int, sizes []int) ([]int, error) {
	sizes = slices.Compact(slices.Sorted(slices.Values(sizes)))
	last := len(sizes) - 1
	switch {
	case last < 0 || sizes[0] < 1 || l.numBatch > 0 && sizes[last] > l.numBatch:
		return nil, fmt.Errorf("probing passes of %v tokens with num_batch=%d", sizes, l.numBatch)
	case tokens+predictOne > l.numCtx:
		return nil, &measurement.Unprobeable{Reason: fmt.Sprintf("a prompt of %d tokens does not fit num_ctx=%d", tokens, l.numCtx), Temporary: true}
	case tokens < measurement.LeastProbed:
		return nil, &measurement.Unprobeable{Reason: fmt.Sprintf("a prompt of %d tokens is too short: %d are needed", tokens, measurement.LeastProbed), Temporary: true}
	}
	return sizes, nil
}
