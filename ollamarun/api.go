package ollamarun

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// API measures with options that go along with each request. Make one with
// NewAPI and end it with Close.
type API struct {
	*Server
	model      string
	temporary  bool // model is ours and goes at Close
	numPredict int
	options    map[string]any // of the load in force
}

// NewAPI returns a runner for a model of the server, or for one made of a
// template, which is created at once; template is nil for the model as it is.
func NewAPI(ctx context.Context, s *Server, model string, template *Modelfile, numPredict int) (*API, error) {
	a := &API{Server: s, model: model, numPredict: numPredict}
	if template == nil {
		return a, nil
	}
	a.model, a.temporary = newTemporaryName(), true
	if err := s.create(ctx, a.model, *template); err != nil {
		// A creation that fails can leave a broken model behind.
		return nil, errors.Join(err, s.delete(context.WithoutCancel(ctx), a.model))
	}
	return a, nil
}

// keepLoaded is how long the server shall keep a model after a prompt. Its own
// default may be nothing, and the next prompt follows at once.
const keepLoaded = 15 * time.Minute

// Load brings the model into memory with the two settings and ends with the
// warm-up prompt.
func (a *API) Load(ctx context.Context, numCtx, numBatch int, warmup string) (parse.Loaded, error) {
	// The client library takes 8 MB for each request. They are given back while
	// the server loads, so that the collector does not run beside a measurement.
	go runtime.GC()
	a.options = map[string]any{"num_ctx": numCtx, "num_batch": numBatch, "num_predict": a.numPredict}
	sample, err := a.Sample(ctx, warmup)
	if err != nil {
		return parse.Loaded{}, err
	}
	return a.loaded(ctx, a.model, sample)
}

// loaded completes a load with what the server has in memory since.
func (s *Server) loaded(ctx context.Context, model string, warmup parse.Sample) (parse.Loaded, error) {
	l := parse.Loaded{Warmup: warmup}
	m, ok, err := s.Loaded(ctx, model)
	if err != nil || !ok {
		return l, err
	}
	l.ContextLength, l.Size, l.SizeVRAM = m.ContextLength, m.Size, m.SizeVRAM
	return l, nil
}

// Sample has the loaded model read the prompt.
func (a *API) Sample(ctx context.Context, prompt string) (parse.Sample, error) {
	// One answer without streaming sends no header until it is done, and one
	// token a message costs nothing: a stream fails sooner.
	var final *api.GenerateResponse
	err := a.client().Generate(ctx, &api.GenerateRequest{
		Model:     a.model,
		Prompt:    prompt,
		Options:   a.options,
		KeepAlive: &api.Duration{Duration: keepLoaded},
	}, func(r api.GenerateResponse) error {
		if r.Done {
			final = &r
		}
		return nil
	})
	if err != nil {
		return parse.Sample{}, a.failure(ctx, "reading a prompt", err)
	}
	if final == nil {
		return parse.Sample{}, a.brokenStream(ctx)
	}
	return parse.Sample{
		PromptEvalCount:    final.PromptEvalCount,
		PromptEvalDuration: final.PromptEvalDuration,
		EvalCount:          final.EvalCount,
		EvalDuration:       final.EvalDuration,
		LoadDuration:       final.LoadDuration,
		TotalDuration:      final.TotalDuration,
	}, nil
}

// brokenStream says why a stream ended without its final message, which the
// client library does not report: the server is gone, or it gave up.
func (s *Server) brokenStream(ctx context.Context) error {
	if _, err := s.Version(ctx); err != nil {
		return err
	}
	return &parse.Failure{Class: parse.NoFigures, Detail: "the answer ended without the message that holds the figures"}
}

// Unload frees the model's memory.
func (a *API) Unload(ctx context.Context) error { return a.Server.Unload(ctx, a.model) }

// Close unloads the model, and deletes it if it is a temporary one.
func (a *API) Close(ctx context.Context) error {
	err := a.Unload(ctx)
	if a.temporary {
		err = errors.Join(err, a.delete(ctx, a.model))
	}
	return err
}
