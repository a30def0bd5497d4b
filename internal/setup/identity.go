package setup

import (
	"cmp"
	"context"
	"io"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// identity asks again who measures what.
type identity struct {
	server  *ollamarun.Server
	model   string             // that each load is made of, empty where that can't change
	weights *ollamarun.Weights // the same
	cfg     config.Config
	log     io.Writer // takes lines that begin with "# "
}

// newIdentity returns that of a subject. Over the API a template's model is made once, when the
// sweep starts; the command makes it for each load.
func newIdentity(server *ollamarun.Server, s subject, cfg config.Config, log io.Writer) *identity {
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

// again returns the header as it is now. After an absence of the server it asks for the GPUs too:
// what took the server away may have taken one of them.
func (i *identity) again(ctx context.Context, h checkpoint.Header, when sweep.Moment) (checkpoint.Header, error) {
	var err error
	if h.OllamaVersion, err = i.server.Version(ctx); err != nil {
		return h, err
	}
	if i.model != "" && when >= sweep.BeforeKept { // which takes longer, the more models there are
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
	if err := told(i.server, &h); err != nil {
		return h, err
	}
	if when == sweep.AfterAbsence && usesOurGPUs(i.server, i.cfg, h.Devices) {
		if names, driver := ollamarun.GPUs(ctx); len(names) > 0 {
			h.GPU, h.Driver = names, driver
		}
	}
	return h, nil
}

// told adds what the server's log says of its newest start, where it does.
func told(server *ollamarun.Server, h *checkpoint.Header) error {
	start, err := server.ServerLog.Start()
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
