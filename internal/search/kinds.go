package search

import (
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Kind is a strategy of this package, which a config names.
type Kind struct {
	Name string // the value of the config's strategy
	// Columns means that it looks for the fastest num_batch of every num_ctx, and not for the
	// fastest cell alone. What it costs grows with the number of num_ctx.
	Columns bool
	// SimulatedColumns and SimulatedRows are the largest grid on which it is simulated for an
	// estimate of its cost, because each decision takes computing time; larger ones are thinned.
	SimulatedColumns, SimulatedRows int

	make func(tolerance float64, repeat int) sweep.Strategy
}

// Kinds are the searches, in the order in which plans and comparisons show them.
var Kinds = []Kind{
	{config.StrategyBest, false, 24, 12, func(tolerance float64, repeat int) sweep.Strategy {
		return &Best{Tolerance: tolerance, Repeat: repeat}
	}},
	{config.StrategyFrontier, true, 8, 7, func(tolerance float64, repeat int) sweep.Strategy {
		return &Frontier{Tolerance: tolerance, Repeat: repeat}
	}},
}

// KindOf returns the kind with that name, and false for other names.
func KindOf(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// New returns a search of the kind. tolerance is the relative difference in rate for which it
// measures no further cell, repeat the least number of samples of each measured cell.
func (k Kind) New(tolerance float64, repeat int) sweep.Strategy { return k.make(tolerance, repeat) }
