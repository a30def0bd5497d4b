package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// A server keeps the prompt that it has read. Of a prompt that repeats it and adds b tokens, it
// evaluates only those b, in one pass if the load's num_batch is b or more. So one load shows how long
// the passes of a smaller num_batch take.

// Probe measures passes of the given sizes on the loaded model, repeats times each, at about this
// depth: after that many tokens of a prompt that the server keeps. Each size must be at most the load's
// num_batch; a size that does not fit num_ctx at that depth is left out. Words returns n words of a list, from
// place first on; the list repeats as needed. The error is of type *measurement.Unprobeable if the load
// can't be probed.
func (a *API) Probe(ctx context.Context, depth int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	return a.probe(ctx, probedLoad{a.model, a.model, a.options, a.numCtx, a.numBatch, &a.units}, depth, sizes, repeats, words)
}

// Probe is like API.Probe. It sends its prompts over the API.
func (c *CLI) Probe(ctx context.Context, depth int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	return c.probe(ctx, probedLoad{c.model, c.template.From(), nil, c.numCtx, c.numBatch, &c.units}, depth, sizes, repeats, words)
}

// probedLoad is the load that is probed.
type probedLoad struct {
	model, base      string         // base is the model from which the models of all cells are created
	options          map[string]any // of its requests
	numCtx, numBatch int
	units            *[]string // of one token each, found with the first probe of a model
}

// Tokens to generate after a prompt. A pass needs one, so that the server ends the prompt. Several show
// how long the generation of one takes.
const (
	predictOne = 1
	predictFew = 4
)

// prober takes the probes of a load.
type prober struct {
	*Server
	load     probedLoad
	text     passText
	kept     string             // prompt that the server keeps
	first    measurement.Sample // of the kept prompt
	repeated []measurement.Sample
	passes   []pass
}

// pass is the sample of a kept prompt with size tokens more.
type pass struct {
	size int
	measurement.Sample
	at time.Time
}

func (s *Server) probe(ctx context.Context, load probedLoad, depth int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	sizes, err := load.fitting(depth, sizes)
	if err != nil {
		return nil, err
	}
	p := &prober{Server: s, load: load}
	if *load.units == nil {
		if *load.units, err = findUnits(ctx, words, p.count); err != nil {
			return nil, err
		}
	}
	p.text = passText{units: *load.units}
	if err := p.keep(ctx, depth); err != nil {
		return nil, err
	}
	for round := range 1 + repeats { // the first one warms the sizes up
		if err := p.round(ctx, round, sizes); err != nil {
			return nil, err
		}
	}
	return p.probes(sizes)
}

// fitting returns the sizes that fit the load's num_ctx, in ascending order.
func (l probedLoad) fitting(depth int, sizes []int) ([]int, error) {
	sizes = slices.Compact(slices.Sorted(slices.Values(sizes)))
	if last := len(sizes) - 1; last < 0 || sizes[0] < 1 || l.numBatch > 0 && sizes[last] > l.numBatch {
		return nil, fmt.Errorf("probing passes of %v tokens with num_batch=%d", sizes, l.numBatch)
	}
	fit := slices.DeleteFunc(sizes, func(size int) bool { return depth+size+predictFew > l.numCtx })
	if len(fit) == 0 {
		return nil, &measurement.Unprobeable{Reason: fmt.Sprintf("num_ctx=%d has no room for a pass after %d tokens", l.numCtx, depth), Temporary: true}
	}
	return fit, nil
}

// sendPrompt sends a prompt to which the server adds no template.
func (p *prober) sendPrompt(ctx context.Context, prompt func() string, predict int) (measurement.Sample, error) {
	options := map[string]any{"num_predict": predict}
	maps.Copy(options, p.load.options)
	options["num_predict"] = predict
	sample, err := p.sample(ctx, p.load.model, p.load.base, prompt, func(ctx context.Context, prompt string) (measurement.Sample, error) {
		return p.send(ctx, &api.GenerateRequest{
			Model: p.load.model, Prompt: prompt, Raw: true, Options: options, Truncate: &noTruncate,
			KeepAlive: &api.Duration{Duration: keepAlive},
		})
	})
	var f *measurement.Failure
	switch {
	case errors.As(err, &f) && f.Class == measurement.NoFigures:
		return sample, &measurement.Unprobeable{Reason: f.Detail, Temporary: true}
	case err == nil && (sample.OtherClient || sample.Reloaded):
		return sample, &measurement.Unprobeable{Reason: "another client used the model", Temporary: true}
	}
	return sample, err
}

// count returns the number of tokens of a prompt.
func (p *prober) count(ctx context.Context, prompt string) (int, error) {
	sample, err := p.sendPrompt(ctx, func() string { return prompt }, predictOne)
	return sample.PromptEvalCount, err
}

// keep sends the prompt that the server then keeps.
func (p *prober) keep(ctx context.Context, depth int) (err error) {
	p.first, err = p.sendPrompt(ctx, func() string { p.kept = p.text.start(depth); return p.kept }, predictOne)
	return err
}

// round sends the kept prompt alone and with each number of tokens added. The order alternates, so
// that a slow drift acts on all sizes alike.
func (p *prober) round(ctx context.Context, round int, sizes []int) error {
	again, err := p.sendPrompt(ctx, func() string { return p.kept }, predictFew)
	if err != nil {
		return err
	}
	p.repeated = append(p.repeated, again)
	if err := p.checkKept(again); err != nil {
		return err
	}
	sizes = slices.Clone(sizes)
	if round%2 == 1 {
		slices.Reverse(sizes)
	}
	for _, size := range sizes {
		at := time.Now()
		sample, err := p.sendPrompt(ctx, func() string { return p.kept + p.text.take(size) }, predictOne)
		if err != nil {
			return err
		}
		if err := p.checkPass(size, sample); err != nil {
			return err
		}
		if round > 0 {
			p.passes = append(p.passes, pass{size, sample, at})
		}
	}
	return nil
}

// probes returns the probes of all passes, if they can be believed.
func (p *prober) probes(sizes []int) ([]measurement.Probe, error) {
	if err := p.checkDurations(sizes); err != nil {
		return nil, err
	}
	cost := p.requestCost()
	probes := make([]measurement.Probe, 0, len(p.passes))
	for _, pass := range p.passes {
		probe := measurement.Probe{
			NumBatch: pass.size, Depth: p.first.PromptEvalCount, Tokens: pass.PromptEvalCount - p.first.PromptEvalCount,
			Duration: pass.PromptEvalDuration, RequestCost: cost, Timestamp: pass.at,
		}
		if pass.PromptCached != nil {
			probe.Depth, probe.Tokens, probe.Verified = *pass.PromptCached, pass.Evaluated(), true
		}
		probes = append(probes, probe)
	}
	return probes, nil
}
