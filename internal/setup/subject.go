package setup

import (
	"context"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// subject is the model to sweep: one of the server's, or a template.
type subject struct {
	model    string
	template *ollamarun.Modelfile
}

func newSubject(cfg config.Config) (subject, error) {
	if cfg.Engine == config.EngineEmbedded && cfg.Model == "" {
		cfg.Model = ollamarun.TinyModel
	}
	if cfg.Modelfile == "" {
		return subject{model: cfg.Model}, nil
	}
	template, err := ollamarun.ReadModelfile(cfg.Modelfile)
	if err != nil {
		return subject{}, err
	}
	if err := template.Check(); err != nil {
		return subject{}, err
	}
	if cfg.Model == "" {
		cfg.Model = template.From()
	}
	return subject{model: cfg.Model, template: &template}, nil
}

// base returns the model that has the weights: the name of a model on the server, or a file.
func (s subject) base() string {
	if s.template != nil {
		return s.template.From()
	}
	return s.model
}

// fromFile reports whether the weights are in a file, and in no model on the server yet.
func (s subject) fromFile() bool { return filepath.IsAbs(s.base()) }

// header returns the checkpoint's header with the identity of server and model, and the
// evidence for the checks that is the same for all cells.
func (s subject) header(ctx context.Context, i *identity, prompter *sweep.Prompter) (checkpoint.Header, check.Evidence, error) {
	server, cfg := i.server, i.cfg
	grid := cfg.Grid()
	h := checkpoint.Header{
		Model:        s.model,
		PromptSHA256: prompter.SHA256(),
		Prompt:       cfg.Prompt.String(),
		NumPredict:   cfg.NumPredict,
		Runner:       cfg.Runner,
		NumCtx:       grid.Ctx,
		NumBatch:     grid.Batch,
		Axes:         grid.Settings,
		Fixed:        cfg.Fixed(),
		Shard:        cfg.Shard,
		Prune:        cfg.Prune,
	}
	if cfg.Searches() {
		h.Strategy = cfg.Strategy
	}
	known := check.Evidence{NumPredict: cfg.NumPredict, CLI: cfg.Runner == config.RunnerCLI, Exclusive: cfg.Exclusive}
	if s.template != nil {
		h.ModelfileSHA256, h.Modelfile = s.template.SHA256(), s.template.String()
		known.System = len(s.template.System())
		var err error
		if h.Weights, err = s.template.Weights().Hash(ctx, i.log); err != nil {
			return checkpoint.Header{}, check.Evidence{}, err
		}
	}
	if !s.fromFile() {
		model, err := server.Model(ctx, s.base())
		if err != nil {
			return checkpoint.Header{}, check.Evidence{}, err
		}
		h.Digest, h.Quantization = model.Digest, model.Quantization
		known.TrainedCtx = model.TrainedCtx
		if known.System == 0 {
			known.System = len(model.System)
		}
	}
	h, err := i.update(ctx, h, sweep.AfterAbsence)
	if err != nil {
		return checkpoint.Header{}, check.Evidence{}, err
	}
	known.Version, known.GPU, known.Log = h.OllamaVersion, len(h.GPUs()) > 0, server.HasLog()
	return h.WithoutVaried(), known, nil
}
