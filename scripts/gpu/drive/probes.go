package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ollama/ollama/api"
)

// Ways to read b tokens. A server caches the prompt that it has read. Of a prompt that repeats it and
// adds b tokens, it evaluates only those b, in one pass, at that depth.
const (
	wayStart  = "start"  // b tokens at depth 0
	wayMiddle = "middle" // b tokens after a cached prompt
	wayPieces = "pieces" // a whole prompt, b tokens at a time
	wayWhole  = "whole"  // a whole prompt at once, which the server reads num_batch tokens at a time
)

// load is a model and the settings that it is loaded with.
type load struct {
	model    string
	flash    flash
	numCtx   int
	numBatch int
}

func (l load) options() map[string]any {
	return map[string]any{"num_ctx": l.numCtx, "num_batch": l.numBatch, "num_predict": 1}
}

// reading is a measurement of how long the evaluation of tokens took.
type reading struct {
	load
	batch    int // tokens per pass
	way      string
	depth    int // tokens before the first one
	tokens   int // evaluated
	duration time.Duration
	begun    time.Time
	// verified means that the number of evaluated tokens is from the server's log.
	verified bool
}

// rate returns tokens per second.
func (r reading) rate() float64 { return float64(r.tokens) / r.duration.Seconds() }

// evaluations reports how many tokens of a request were evaluated, from the server's log.
type evaluations interface {
	// Mark is called before each request.
	Mark() error
	// Evaluated returns the tokens of the request whose evaluation took this long, or false if the
	// log has none.
	Evaluated(ctx context.Context, took time.Duration) (cached, evaluated int, ok bool)
}

// prober takes readings.
type prober struct {
	client *api.Client
	log    evaluations
	text   *texts
	depth  int // of wayMiddle, in tokens
	whole  int // tokens of a whole prompt

	onReading func(reading) error
	overhead  map[string]int // tokens of a prompt besides its text, by model
	cached    string         // the prompt that readings with wayMiddle continue
}

// request sends a prompt and returns a reading. The number of evaluated tokens is from the log, or else
// excludes the tokens that are expected in the server's cache.
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
	if depth, evaluated, ok := p.log.Evaluated(ctx, answer.PromptEvalDuration); ok {
		r.depth, r.tokens, r.verified = depth, evaluated, true
	}
	if r.tokens <= 0 || r.duration <= 0 {
		return r, fmt.Errorf("a prompt of %d tokens: %d evaluated in %v", answer.PromptEvalCount, r.tokens, r.duration)
	}
	return r, nil
}

// begin loads the model, unless it is loaded, and determines its overhead: the tokens at the beginning of
// each prompt, which are in the cache from then on.
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
	overhead := p.overhead[l.model]
	return p.request(ctx, l, p.text.fresh(b-overhead), overhead)
}

// fillCache sends a prompt of p.depth tokens, which the server then has in its cache.
func (p *prober) fillCache(ctx context.Context, l load) error {
	overhead := p.overhead[l.model]
	p.cached = p.text.fresh(p.depth - overhead)
	_, err := p.request(ctx, l, p.cached, overhead)
	if errors.Is(err, errNoFigures) {
		return nil // the server has read it all the same
	}
	return err
}

// middle reads b tokens after the cached prompt.
func (p *prober) middle(ctx context.Context, l load, b int) (reading, error) {
	return p.request(ctx, l, p.cached+p.text.fresh(b), p.depth)
}

// pieces reads a whole prompt, b tokens at a time.
func (p *prober) pieces(ctx context.Context, l load, b int) (sum reading, err error) {
	overhead := p.overhead[l.model]
	text := p.text.fresh(p.whole - overhead)
	sum = reading{load: l, begun: time.Now(), verified: true}
	for at := overhead; at < p.whole; {
		next := min(p.whole, at+b)
		if at == overhead {
			next = b // the overhead is a part of the first pass
		}
		r, err := p.request(ctx, l, text[:next-overhead], at)
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
	overhead := p.overhead[l.model]
	return p.request(ctx, l, p.text.fresh(p.whole-overhead), overhead)
}

// unrecorded is the number of readings of each way, except wayPieces, that are dropped at first: some work is
// done only once for each size of a pass. On an H200 the second reading took up to three times as long as
// the third, since the driver's graph of such a pass is recorded when it comes again.
const unrecorded = 2

// take takes readings in each way, and passes each to onReading, without those that are dropped.
func (p *prober) take(ctx context.Context, l load, b, repeats int, ways ...string) error {
	do := map[string]func(context.Context, load, int) (reading, error){
		wayStart: p.start, wayMiddle: p.middle, wayPieces: p.pieces, wayWhole: p.wholePrompt,
	}
	for _, way := range ways {
		warm, kept := unrecorded, repeats
		switch way {
		case wayPieces:
			warm, kept = 0, 1 // one reading has many passes
		case wayMiddle:
			if err := p.fillCache(ctx, l); err != nil {
				return fmt.Errorf("filling the prompt cache with num_batch=%d: %w", l.numBatch, err)
			}
		}
		for i := range warm + kept {
			r, err := do[way](ctx, l, b)
			if errors.Is(err, errNoFigures) {
				continue // the next prompt may have them
			}
			if err != nil {
				return fmt.Errorf("reading %s of %d tokens with num_batch=%d: %w", way, b, l.numBatch, err)
			}
			if i < warm {
				continue
			}
			r.batch, r.way = b, way
			if err := p.onReading(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// combination takes the readings of a model: those of one load that probes all sizes, before and again
// after those of a direct load of each size.
func (p *prober) combination(ctx context.Context, l load, batches []int, repeats, leastPieces int) error {
	probes := func() error {
		if err := p.begin(ctx, l); err != nil {
			return err
		}
		for _, b := range batches {
			ways := []string{wayStart, wayMiddle}
			if b >= leastPieces {
				ways = append(ways, wayPieces) // each piece costs a request
			}
			if err := p.take(ctx, l, b, repeats, ways...); err != nil {
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
