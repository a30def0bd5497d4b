package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ollama/ollama/api"
)

// Ways to read b tokens. A server keeps the prompt that it has read: of one that repeats it and
// adds b tokens it evaluates those b alone, as one pass, at that depth.
const (
	wayStart  = "start"  // b tokens at depth 0
	wayMiddle = "middle" // b tokens behind a kept prompt
	wayPieces = "pieces" // a whole prompt, b tokens at a time
	wayWhole  = "whole"  // a whole prompt at once, which the server reads num_batch tokens at a time
)

// load is what a model is loaded with.
type load struct {
	model    string
	flash    flash
	numCtx   int
	numBatch int
}

func (l load) options() map[string]any {
	return map[string]any{"num_ctx": l.numCtx, "num_batch": l.numBatch, "num_predict": 1}
}

// reading is what the evaluation of tokens took.
type reading struct {
	load
	batch    int // tokens in a pass
	way      string
	depth    int // tokens before the first one
	tokens   int // evaluated
	duration time.Duration
	begun    time.Time
	// verified says that the server's log has the number of tokens that were evaluated.
	verified bool
}

// rate is in tokens per second.
func (r reading) rate() float64 { return float64(r.tokens) / r.duration.Seconds() }

// evaluations says of a request what was evaluated, by the server's log.
type evaluations interface {
	// Mark is called before each request.
	Mark() error
	// Evaluated returns false where the log does not tell.
	Evaluated(ctx context.Context, took time.Duration) (cached, evaluated int, ok bool)
}

// prober takes readings.
type prober struct {
	client *api.Client
	log    evaluations
	text   *texts
	depth  int // of the middle, in tokens
	whole  int // tokens of a whole prompt
	took   func(reading) error

	overhead map[string]int // tokens of a prompt that are not its text's, by model
	kept     string         // the prompt that readings of the middle add to
}

// request sends a prompt and returns what of it was evaluated: by the log where that tells, else
// all but the tokens that are in the server's cache.
func (p *prober) request(ctx context.Context, l load, prompt string, cached int) (r reading, err error) {
	if err := p.log.Mark(); err != nil {
		return r, err
	}
	begun := time.Now()
	answer, err := generate(ctx, p.client, l.model, prompt, l.options())
	if err != nil {
		return r, err
	}
	r = reading{load: l, begun: begun, depth: cached, tokens: answer.PromptEvalCount - cached, duration: answer.PromptEvalDuration}
	if logged, evaluated, ok := p.log.Evaluated(ctx, answer.PromptEvalDuration); ok {
		r.depth, r.tokens, r.verified = logged, evaluated, true
	}
	if r.tokens <= 0 || r.duration <= 0 {
		return r, fmt.Errorf("a prompt of %d tokens: %d evaluated in %v", answer.PromptEvalCount, r.tokens, r.duration)
	}
	return r, nil
}

// begin loads the model, unless it is loaded, and learns how many tokens a prompt has besides its
// text: the beginning of each prompt, which is in the cache from then on.
func (p *prober) begin(ctx context.Context, l load) error {
	text := p.text.fresh(200)
	answer, err := generate(ctx, p.client, l.model, text, l.options())
	for tries := 0; errors.Is(err, errNoFigures) && tries < 3; tries++ {
		text = p.text.fresh(200)
		answer, err = generate(ctx, p.client, l.model, text, l.options())
	}
	if err != nil {
		return fmt.Errorf("loading %s with num_ctx=%d and num_batch=%d: %w", l.model, l.numCtx, l.numBatch, err)
	}
	p.overhead[l.model] = answer.PromptEvalCount - len(text)
	return nil
}

// start reads a prompt of b tokens.
func (p *prober) start(ctx context.Context, l load, b int) (reading, error) {
	over := p.overhead[l.model]
	return p.request(ctx, l, p.text.fresh(b-over), over)
}

// keep has the server read a prompt up to the depth of the middle.
func (p *prober) keep(ctx context.Context, l load) error {
	over := p.overhead[l.model]
	p.kept = p.text.fresh(p.depth - over)
	_, err := p.request(ctx, l, p.kept, over)
	if errors.Is(err, errNoFigures) {
		return nil // it was read all the same
	}
	return err
}

// middle reads b tokens behind the kept prompt.
func (p *prober) middle(ctx context.Context, l load, b int) (reading, error) {
	return p.request(ctx, l, p.kept+p.text.fresh(b), p.depth)
}

// pieces reads a whole prompt, b tokens at a time.
func (p *prober) pieces(ctx context.Context, l load, b int) (sum reading, err error) {
	over := p.overhead[l.model]
	text := p.text.fresh(p.whole - over)
	sum = reading{load: l, begun: time.Now(), verified: true}
	for at := over; at < p.whole; {
		next := min(p.whole, at+b)
		if at == over {
			next = b // the beginning's tokens are of the first pass
		}
		r, err := p.request(ctx, l, text[:next-over], at)
		if err != nil {
			return sum, err
		}
		sum.tokens += r.tokens
		sum.duration += r.duration
		sum.verified = sum.verified && r.verified
		at = next
	}
	return sum, nil
}

// wholePrompt reads a whole prompt at once.
func (p *prober) wholePrompt(ctx context.Context, l load, _ int) (reading, error) {
	over := p.overhead[l.model]
	return p.request(ctx, l, p.text.fresh(p.whole-over), over)
}

// take takes readings of each way, as often as asked for, and hands them over at once. The first one
// of each is not kept where the way is quick: some work is done only once for each size of a pass.
func (p *prober) take(ctx context.Context, l load, b, repeats int, ways ...string) error {
	do := map[string]func(context.Context, load, int) (reading, error){
		wayStart: p.start, wayMiddle: p.middle, wayPieces: p.pieces, wayWhole: p.wholePrompt,
	}
	for _, way := range ways {
		warm, kept := 1, repeats
		switch way {
		case wayPieces:
			warm, kept = 0, 1 // there are many passes in one
		case wayMiddle:
			if err := p.keep(ctx, l); err != nil {
				return fmt.Errorf("a prompt to add to, with num_batch=%d: %w", l.numBatch, err)
			}
		}
		for i := range warm + kept {
			r, err := do[way](ctx, l, b)
			if errors.Is(err, errNoFigures) {
				continue // another prompt may have them
			}
			if err != nil {
				return fmt.Errorf("%s of %d tokens with num_batch=%d: %w", way, b, l.numBatch, err)
			}
			if i < warm {
				continue
			}
			r.batch, r.way = b, way
			if err := p.took(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// combination takes the readings of a model: by one load that probes all sizes, before and after
// direct loads of each.
func (p *prober) combination(ctx context.Context, l load, batches []int, repeats int) error {
	probes := func() error {
		if err := p.begin(ctx, l); err != nil {
			return err
		}
		for _, b := range batches {
			if err := p.take(ctx, l, b, repeats, wayStart, wayMiddle, wayPieces); err != nil {
				return err
			}
		}
		return nil
	}
	if err := probes(); err != nil {
		return err
	}
	for _, b := range slices.Backward(batches) {
		direct := l
		direct.numBatch = b
		if b != l.numBatch {
			if err := p.begin(ctx, direct); err != nil {
				return err
			}
		}
		if err := p.take(ctx, direct, b, repeats, wayWhole, wayStart, wayMiddle); err != nil {
			return err
		}
	}
	return probes()
}
