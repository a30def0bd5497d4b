package setup

import (
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/plan"
)

// suggestSearch prints what a search would cost, where the sweep measures very many cells.
func (b *Sweep) suggestSearch(o Options, cp *checkpoint.Checkpoint) error {
	if o.Filtered || o.Cells > 0 {
		return nil
	}
	text, err := plan.Suggest(plan.Input{Config: b.config, Checkpoint: cp})
	if text != "" {
		fmt.Fprintln(b.log, text)
	}
	return err
}
