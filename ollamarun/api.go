package ollamarun

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// API measures with options that go along with each request. Make one with
// NewAPI and end it with Close.
type API struct {
	*Server
	model      string
	temporary  bool   // model is ours and goes at Close
	system     string // the model's system prompt
	numPredict int
	options    map[string]any // of the load in force
}

// NewAPI returns a runner for a model of the server, or for one made of a
// template, which is created at once; template is nil for the model as it is.
func NewAPI(ctx context.Context, s *Server, model string, template *Modelfile, numPredict int) (*API, error) {
	a := &API{Server: s, model: model, numPredict: numPredict}
	if template != nil {
		name, err := s.newTemporary()
		if err != nil {
			return nil, err
		}
		a.model, a.temporary = name, true
		// Each request names these, but for a num_batch that is to be the server's own.
		if err := s.create(ctx, a.model, template.Without("num_ctx", "num_batch", "num_predict")); err != nil {
			// A creation that fails can leave a broken model behind.
			return nil, errors.Join(err, s.delete(context.WithoutCancel(ctx), a.model))
		}
	}
	show, err := s.Model(ctx, a.model)
	if err != nil {
		return nil, errors.Join(err, a.Close(context.WithoutCancel(ctx)))
	}
	a.system = show.System
	return a, nil
}

// Load brings the model into memory with the two settings and ends with the
// warm-up prompt. A numBatch of 0 is the server's own choice.
func (a *API) Load(ctx context.Context, numCtx, numBatch int, warmup func() string) (measurement.Loaded, error) {
	// The client library takes 8 MB for each request. They are given back while
	// the server loads, so that the collector does not run beside a measurement.
	go runtime.GC()
	if err := a.beforeLoad(ctx, a.model); err != nil {
		return measurement.Loaded{}, err
	}
	a.options = map[string]any{"num_ctx": numCtx, "num_batch": numBatch, "num_predict": a.numPredict}
	if numBatch == 0 {
		delete(a.options, "num_batch")
	}
	sample, err := warmUp(ctx, warmup, a.read)
	if err != nil {
		return measurement.Loaded{}, a.explain(ctx, a.model, err)
	}
	return a.loaded(ctx, a.model, sample)
}

// Sample has the loaded model read a prompt, and another where the answer lacks its figures.
func (a *API) Sample(ctx context.Context, prompt func() string) (measurement.Sample, error) {
	return a.sample(ctx, a.model, a.model, prompt, a.read)
}

// noTruncate asks for an error instead of a prompt that is cut; servers before
// 0.12.6 don't know of it and pass over it.
var noTruncate = false

// read sends a prompt and returns the server's figures and the time that it took.
func (a *API) read(ctx context.Context, prompt string) (measurement.Sample, error) {
	req := &api.GenerateRequest{
		Model:     a.model,
		Prompt:    prompt,
		Options:   a.options,
		Truncate:  &noTruncate,
		KeepAlive: &api.Duration{Duration: keepLoaded},
	}
	if a.system != "" {
		// It stands before the prompt, so that its start is what must be unlike
		// that of any prompt before.
		req.System = prompt[:min(len(prompt), ownStart)] + a.system
	}
	// One answer without streaming sends no header until it is done, and one
	// token a message costs nothing: a stream fails sooner.
	var final *api.GenerateResponse
	var w wire
	begin := time.Now()
	err := a.clientOn(&w).Generate(ctx, req, func(r api.GenerateResponse) error {
		if r.Done {
			final = &r
		}
		return nil
	})
	switch {
	case ctx.Err() == nil && w.broken != nil && final == nil:
		// The library does not report it, or takes half a line for the server's words.
		return measurement.Sample{}, &measurement.Failure{Class: measurement.ServerAway, Detail: "the answer broke off: " + words(w.broken.Error())}
	case err != nil:
		return measurement.Sample{}, a.failure(ctx, "reading a prompt", err)
	case final == nil && ctx.Err() != nil:
		return measurement.Sample{}, context.Cause(ctx)
	case final == nil:
		return measurement.Sample{Wall: time.Since(begin)}, noFigures
	}
	a.busy = busy{}
	sample := measurement.Sample{
		PromptEvalCount:    final.PromptEvalCount,
		PromptEvalDuration: final.PromptEvalDuration,
		PromptCached:       final.PromptEvalCachedCount,
		EvalCount:          final.EvalCount,
		EvalDuration:       final.EvalDuration,
		LoadDuration:       final.LoadDuration,
		TotalDuration:      final.TotalDuration,
		Wall:               time.Since(begin),
	}
	return sample, sample.Check()
}

// ownStart is how many bytes of a prompt are its own, and of no other prompt.
const ownStart = 32

// Settle unloads the model and waits for its memory to be given back.
func (a *API) Settle(ctx context.Context) error { return a.settle(ctx, a.model) }

// Unload frees the model's memory.
func (a *API) Unload(ctx context.Context) error { return a.Server.Unload(ctx, a.model) }

// Close unloads the model, and deletes it if it is a temporary one.
func (a *API) Close(ctx context.Context) error { return a.Server.close(ctx, a.model, a.temporary) }
