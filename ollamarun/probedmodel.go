package ollamarun

import (
	"context"
	"errors"
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
)

// probedModel is what probes need to know of a model. It is found once.
type probedModel struct {
	units  []string                 // texts of one token each
	reason *measurement.Unprobeable // why the model can't be probed, nil for none
}

// find finds the units, or the reason why there can't be probes of the model.
func (m *probedModel) find(ctx context.Context, p *prober, words func(first, n int) string) error {
	if m.reason != nil {
		return m.reason
	}
	if m.units != nil {
		return nil
	}
	err := p.continues(ctx)
	if err == nil {
		m.units, err = findUnits(ctx, words, p.count)
	}
	if u := new(measurement.Unprobeable); errors.As(err, &u) && !u.Temporary && p.others == 0 {
		m.reason = u
	}
	return err
}

// continues returns an *Unprobeable if the server can't continue every part of a prompt with this model:
// it has no state to return to, or only the few that the server saves. Near the end of a prompt
// llama-server splits the pass of such a model in order to save one, within the prompt's time.
func (p *prober) continues(ctx context.Context) error {
	info, weights, err := p.ModelInfo(ctx, p.load.model)
	if err != nil {
		return err
	}
	model, err := memory.FromInfo(info, weights)
	if err != nil { // a new kind of model, of which less is known
		name, _ := info["general.architecture"].(string)
		window, _ := info[name+".attention.sliding_window"].(float64)
		model.Window = int(window)
	}
	switch {
	case model.State > 0:
		return &measurement.Unprobeable{Reason: "the model has recurrent layers, which can't continue a part of a prompt"}
	case model.Window > 0:
		return &measurement.Unprobeable{Reason: fmt.Sprintf("the model has layers with a sliding window of %d tokens, which can't continue every part of a prompt", model.Window)}
	}
	return nil
}
