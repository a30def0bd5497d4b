package setup

import (
	"cmp"
	"context"
	"io"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// identified is what the identity of a sweep needs of its server.
type identified interface {
	located
	Version(ctx context.Context) (string, error)
	Model(ctx context.Context, name string) (measurement.Model, error)
	Digest(ctx context.Context, model string) (string, error)
	HasLog() bool
	Start() (measurement.ServerStart, error)
}

// identity gets the current identity of server and model.
type identity struct {
	server  identified
	model   string             // whose digest is checked, empty where it can't change loads
	weights *ollamarun.Weights // files that are checked, nil where they can't change loads
	cfg     config.Config
	log     io.Writer // lines for people
}

// newIdentity returns the identity of a subject. Over the API a template's model is created once, when
// the sweep starts; the cli runner creates it for each load.
func newIdentity(server identified, s subject, cfg config.Config, log io.Writer) *identity {
	i := &identity{server: server, cfg: cfg, log: log}
	switch {
	case s.template != nil && cfg.Runner == config.RunnerAPI:
	case s.fromFile():
		i.weights = s.template.Weights()
	default:
		i.model = s.base()
		if s.template != nil {
			i.weights = s.template.Weights() // adapters
		}
	}
	return i
}

// update returns the header with the current identity. After the server was away it includes the GPUs,
// since one of them may be gone.
func (i *identity) update(ctx context.Context, h checkpoint.Header, when sweep.Moment) (checkpoint.Header, error) {
	var err error
	if h.OllamaVersion, err = i.server.Version(ctx); err != nil {
		return h, err
	}
	if i.model != "" && when >= sweep.BeforeSave { // slow on a server with many models
		digest, err := i.server.Digest(ctx, i.model)
		if err != nil {
			return h, err
		}
		h.Digest = cmp.Or(digest, h.Digest)
	}
	if i.weights != nil {
		if h.Weights, err = i.weights.Hash(ctx, i.log); err != nil {
			return h, err
		}
	}
	if err := addLogged(i.server, &h); err != nil {
		return h, err
	}
	if when == sweep.AfterAbsence && usesOurGPUs(i.server, i.cfg, h.Devices) {
		if names, driver := ollamarun.GPUs(ctx); len(names) > 0 {
			h.GPU, h.Driver = names, driver
		}
	}
	return h, nil
}

// addLogged adds the devices and settings of the server's newest start, where its log shows them.
func addLogged(server identified, h *checkpoint.Header) error {
	start, err := server.Start()
	if err != nil {
		return err
	}
	if len(start.Devices) > 0 {
		h.Devices = start.Devices
	}
	if start.Settings != nil {
		h.Settings = start.Settings
	}
	return nil
}
