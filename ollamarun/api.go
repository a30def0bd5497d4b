package ollamarun

import (
	"context"
	"errors"
	"maps"
	"runtime"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// API measures over Ollama's HTTP API, with num_ctx and num_batch as options of each
// request. The server loads the model anew when they change, so no model has to be created
// for a cell. Create one with NewAPI and call Close when done.
type API struct {
	*Server
	model      string
	temporary  bool   // model was created by NewAPI; Close deletes it
	system     string // the model's system prompt
	numPredict int
	// loadOptions are those of SetOptions, and options all of the current load.
	loadOptions, options map[string]any
	numCtx               int // of the current load, like numBatch
	numBatch             int
	probed               probedModel
}

// NewAPI returns a runner for a model of the server, which generates numPredict tokens after each
// prompt. If template is not nil, it creates a temporary model from it and measures that instead; Close
// deletes it. The error is that of the creation, or of Server.Model where the model can't be measured.
func NewAPI(ctx context.Context, s *Server, model string, template *Modelfile, numPredict int) (*API, error) {
	a := &API{Server: s, model: model, numPredict: numPredict}
	if template != nil {
		name, err := s.newTemporary()
		if err != nil {
			return nil, err
		}
		a.model, a.temporary = name, true
		// Requests set these, except for num_batch where the server is to choose it.
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

// SetOptions sets the load options besides num_ctx and num_batch of the next loads, such as num_gpu: whole
// numbers and booleans by the names of Ollama's API. It replaces those of an earlier call; an option that
// is left out is the server's choice again. What is loaded stays as it is until the next Load.
func (a *API) SetOptions(options map[string]any) { a.loadOptions = options }

// Load loads the model with the two settings, in tokens, and the options of SetOptions, and sends the
// warm-up prompt: the first prompt after a load pays for what no later one does. With a numBatch of 0
// the server chooses. What it returns are the server's own figures of the load, from /api/ps, its
// answer and its log; effective settings are zero where the server does not tell them.
func (a *API) Load(ctx context.Context, numCtx, numBatch int, warmup func() string) (measurement.Loaded, error) {
	// The client library allocates 8 MB for each request. Freeing them while the
	// server loads keeps the garbage collector from running during a measurement.
	go runtime.GC()
	if err := a.beforeLoad(ctx, a.model); err != nil {
		return measurement.Loaded{}, err
	}
	a.numCtx, a.numBatch = numCtx, numBatch
	a.options = maps.Clone(a.loadOptions)
	if a.options == nil {
		a.options = make(map[string]any)
	}
	a.options["num_ctx"], a.options["num_predict"] = numCtx, a.numPredict
	if numBatch != 0 {
		a.options["num_batch"] = numBatch
	}
	sample, err := warmUp(ctx, warmup, a.generate)
	if err != nil {
		return measurement.Loaded{}, a.explain(ctx, a.model, err)
	}
	return a.loaded(ctx, a.model, sample)
}

// Sample measures one prompt on the loaded model, and another one if the answer has no figures. Prompt is
// called for each, and no two may begin alike: the server keeps the newest prompt, and evaluates only what
// differs from it. Counts and durations are those of the server's answer. A sample may still be
// impossible, or of a truncated prompt: the caller checks it.
func (a *API) Sample(ctx context.Context, prompt func() string) (measurement.Sample, error) {
	return a.sample(ctx, a.model, a.model, prompt, a.generate)
}

// noTruncate requests an error instead of a truncated prompt; servers before
// 0.12.6 ignore it.
var noTruncate = false

// generate sends a prompt and returns the server's figures and the wall-clock time.
func (a *API) generate(ctx context.Context, prompt string) (measurement.Sample, error) {
	req := &api.GenerateRequest{
		Model:     a.model,
		Prompt:    prompt,
		Options:   a.options,
		Truncate:  &noTruncate,
		KeepAlive: &api.Duration{Duration: keepAlive},
	}
	if a.system != "" {
		// The system prompt comes before the prompt, so it needs the nonce too:
		// otherwise the server would take it from its cache.
		req.System = prompt[:min(len(prompt), nonceSize)] + a.system
	}
	return a.send(ctx, req)
}

// nonceSize is the number of bytes at a prompt's start that no other prompt has.
const nonceSize = 32

// Settle unloads the model and waits until its memory is free, as far as nvidia-smi shows that: after a failed
// load the memory may still be taken, so that the next load would fail too.
func (a *API) Settle(ctx context.Context) error { return a.settle(ctx, a.model) }

// Unload frees the model's memory, without waiting for a GPU's as Settle does. The runner can load again.
func (a *API) Unload(ctx context.Context) error { return a.Server.Unload(ctx, a.model) }

// Close unloads the model, and deletes it if it is temporary. Give it a context that is not cancelled, also
// at the end of a run that was: otherwise the model stays on the server.
func (a *API) Close(ctx context.Context) error { return a.Server.close(ctx, a.model, a.temporary) }
