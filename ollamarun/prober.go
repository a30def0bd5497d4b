package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// prober takes the probes of a load.
type prober struct {
	*Server
	load     probedLoad
	tokens   int // of the prompt in whose middle the passes are
	text     passText
	kept     []string // units of the prompt that the server keeps
	head     int      // tokens before the first unit
	has      int      // tokens of the kept prompt that the server has
	first    measurement.Sample
	repeated []measurement.Sample // of the kept prompt, sent again
	passes   []pass
	others   int // requests during which another client seems to have used the model
}

// pass is the sample of a prompt that repeats depth tokens of the kept one and adds others.
type pass struct {
	measurement.Sample
	size, depth int
	at          time.Time
}

const (
	// A size is small if it has at most this share of the prompt, on CPUs also if its pass takes no longer than
	// shortPass. What a server does besides for a size is a negligible share of a larger pass, and a pass costs
	// more.
	smallShare = 8
	shortPass  = 20 * time.Millisecond
	// Tokens to generate after a prompt. A pass needs one, so that the server ends the prompt. Several
	// show how long the generation of one takes.
	predictOne = 1
	predictFew = 4
	// timesAgain is how many times a round sends the kept prompt again. That takes as long as a few
	// tokens, and the shortest time is the one that counts.
	timesAgain = 3
	// mostOthers is how many requests may be sent again because of other clients. On a busy machine
	// a delayed answer looks like one.
	mostOthers = 5
)

// run takes the probes: it has the server keep a prompt, then measures a pass of each size in rounds. The
// error is an *Unprobeable as soon as something else than a kept prompt explains the answers.
func (p *prober) run(ctx context.Context, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error) {
	if err := p.load.known.find(ctx, p, words); err != nil {
		return nil, err
	}
	p.text = passText{units: p.load.known.units}
	if err := p.keep(ctx, sizes[0]); err != nil {
		return nil, err
	}
	last := repeats // of the rounds, from 0: on GPUs one more
	if p.onCPU {
		last--
	}
	if err := p.repeat(ctx); err != nil {
		return nil, err
	}
	for round := range last + 1 {
		if err := p.round(ctx, round, last, sizes); err != nil {
			return nil, err
		}
	}
	if err := p.repeat(ctx); err != nil {
		return nil, err
	}
	return p.probes()
}

// depthOf returns the tokens before a pass in the middle of the prompt.
func (p *prober) depthOf(size int) int {
	return max(nonceUnits+p.head, (p.tokens-size)/2)
}

// sendUnits sends a prompt to which the server adds no template, and another one if another client
// seems to have used the model meanwhile.
func (p *prober) sendUnits(ctx context.Context, units func() []string, predict int) (measurement.Sample, error) {
	options := maps.Clone(p.load.options)
	if options == nil {
		options = make(map[string]any)
	}
	options["num_predict"] = predict
	prompt := func() string { return strings.Join(units(), "") }
	for {
		sample, err := p.sample(ctx, p.load.model, p.load.base, prompt, func(ctx context.Context, prompt string) (measurement.Sample, error) {
			return p.send(ctx, &api.GenerateRequest{
				Model: p.load.model, Prompt: prompt, Raw: true, Options: options, Truncate: &noTruncate,
				KeepAlive: &api.Duration{Duration: keepAlive},
			})
		})
		var f *measurement.Failure
		if errors.As(err, &f) && f.Class == measurement.NoFigures {
			err = &measurement.Unprobeable{Reason: f.Detail, Temporary: true}
		}
		if err != nil || !sample.OtherClient && !sample.Reloaded {
			return sample, err
		}
		if p.others++; sample.Reloaded || p.others > mostOthers {
			return sample, &measurement.Unprobeable{Reason: "another client used the model", Temporary: true}
		}
	}
}

// count returns the number of tokens of a prompt.
func (p *prober) count(ctx context.Context, prompt string) (int, error) {
	sample, err := p.sendUnits(ctx, func() []string { return []string{prompt} }, predictOne)
	return sample.PromptEvalCount, err
}

// keep sends the prompt that the server then keeps, as far as the middle of the smallest size needs it.
func (p *prober) keep(ctx context.Context, smallest int) (err error) {
	depth := p.depthOf(smallest)
	p.first, err = p.sendUnits(ctx, func() []string { p.kept = p.text.start(depth); return p.kept }, predictOne)
	p.head, p.has = p.first.PromptEvalCount-len(p.kept), p.first.PromptEvalCount
	if err == nil && (p.head < 0 || p.head > mostHead) {
		return &measurement.Unprobeable{Reason: fmt.Sprintf("the server counts %d tokens in a text of %d", p.first.PromptEvalCount, len(p.kept))}
	}
	return err
}

// mostHead is the most tokens that a server may add to the beginning of a prompt without a template.
const mostHead = 4

// round measures a pass of each size. On CPUs the order of the sizes alternates, so that a slow drift acts on
// all alike; on GPUs that would have two passes of a size follow each other.
func (p *prober) round(ctx context.Context, round, last int, sizes []int) error {
	for i, size := range sizes {
		var err error
		switch {
		case !p.onCPU:
			err = p.onGPU(ctx, size, round, last)
		case round%2 == 0:
			err = p.onCPUs(ctx, size)
		default:
			err = p.onCPUs(ctx, sizes[len(sizes)-1-i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// onGPU measures a size whose passes are all on a GPU. The first of a small size does not count, since the server
// does some work only once for a size. No two of a size follow each other: CUDA graphs are recorded in the
// second of them.
func (p *prober) onGPU(ctx context.Context, size, round, last int) error {
	small := size <= p.tokens/smallShare
	if round == last && !small {
		return nil // it has no pass that does not count
	}
	pass, err := p.pass(ctx, size)
	if err == nil && (round > 0 || !small) {
		p.passes = append(p.passes, pass)
	}
	return err
}

// onCPUs measures a size whose passes are on CPUs, at least in part. Another size than that of the last pass takes
// some work, and in a prompt passes of one size follow each other. So of a small size the faster one of two passes in
// a row counts.
func (p *prober) onCPUs(ctx context.Context, size int) error {
	pass, err := p.pass(ctx, size)
	if err != nil {
		return err
	}
	if size <= p.tokens/smallShare || pass.PromptEvalDuration <= shortPass {
		again, err := p.pass(ctx, size)
		if err != nil {
			return err
		}
		if again.PromptEvalDuration < pass.PromptEvalDuration {
			pass = again
		}
	}
	p.passes = append(p.passes, pass)
	return nil
}

// repeat sends the kept prompt again, a few times.
func (p *prober) repeat(ctx context.Context) error {
	if err := p.fill(ctx, len(p.kept)+p.head); err != nil {
		return err
	}
	for range timesAgain {
		again, err := p.sendUnits(ctx, func() []string { return p.kept }, predictFew)
		if err != nil {
			return err
		}
		p.repeated = append(p.repeated, again)
		if err := p.checkKept(again); err != nil {
			return err
		}
	}
	return nil
}

// fill sends the kept prompt up to this depth, unless the server has that.
func (p *prober) fill(ctx context.Context, depth int) error {
	if p.has >= depth {
		return nil
	}
	_, err := p.sendUnits(ctx, func() []string { return p.kept[:depth-p.head] }, predictOne)
	p.has = depth
	return err
}

// pass measures a pass.
func (p *prober) pass(ctx context.Context, size int) (pass, error) {
	depth := min(p.depthOf(size), len(p.kept)+p.head)
	if err := p.fill(ctx, depth); err != nil {
		return pass{}, err
	}
	taken := pass{size: size, depth: depth, at: time.Now()}
	p.has = depth // the pass replaces what is after it
	var err error
	taken.Sample, err = p.sendUnits(ctx, func() []string {
		return p.units(depth, min(size, p.tokens-depth))
	}, predictOne)
	if err == nil {
		err = checkPass(taken)
	}
	return taken, err
}

// units returns the kept prompt up to a depth, and n other units. The server may have the kept prompt
// beyond that depth, or another pass, so they begin like neither: what they repeat is not evaluated.
func (p *prober) units(depth, n int) []string {
	kept, unlike := p.kept[:depth-p.head], ""
	if len(kept) < len(p.kept) {
		unlike = p.kept[len(kept)]
	}
	return slices.Concat(kept, p.text.take(n, unlike))
}

// probes returns the probes of all passes, if they can be believed.
func (p *prober) probes() ([]measurement.Probe, error) {
	if err := p.checkDurations(); err != nil {
		return nil, err
	}
	cost := p.requestCost()
	probes := make([]measurement.Probe, 0, len(p.passes))
	for _, pass := range p.passes {
		probe := measurement.Probe{
			NumBatch: pass.size, Depth: pass.depth, Tokens: pass.PromptEvalCount - pass.depth,
			Duration: pass.PromptEvalDuration, RequestCost: cost, Timestamp: pass.at,
		}
		if pass.PromptCached != nil {
			probe.Depth, probe.Tokens, probe.Verified = *pass.PromptCached, pass.Evaluated(), true
		}
		probes = append(probes, probe)
	}
	return probes, nil
}
