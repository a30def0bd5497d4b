package search

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// square returns a plan of n × n cells.
func square(n int) []cell.Key {
	var plan []cell.Key
	for ctx := range n {
		for batch := range n {
			plan = append(plan, cell.Key{Ctx: 10000 * (ctx + 1), Batch: 100 * (batch + 1)})
		}
	}
	return plan
}

// feasible returns a search's probability that a cell works, given failures and rates.
func feasible(known map[cell.Key]checkpoint.Measured) func(ctx, batch int) float64 {
	var s searcher
	v := s.update(sweep.State{Plan: square(10), Measured: known})
	return func(ctx, batch int) float64 { return v.feas.works(v.index[cell.Key{Ctx: ctx, Batch: batch}]) }
}

func TestFeasibility(t *testing.T) {
	works := feasible(nil)
	assert.Equal(t, 1.0, works(100000, 1000), "nothing failed")

	known := map[cell.Key]checkpoint.Measured{
		{Ctx: 80000, Batch: 500}: {Failed: true, Memory: true},
		{Ctx: 40000, Batch: 500}: {Rates: []float64{7}},
	}
	works = feasible(known)
	assert.Equal(t, dominated, works(90000, 500))
	assert.Equal(t, dominated, works(80000, 600))
	assert.Equal(t, dominating, works(40000, 400))
	assert.InDelta(t, 0.5, works(60000, 500), 0.01, "half way between what worked and what failed")
	assert.Greater(t, works(50000, 500), works(70000, 500))
	assert.Greater(t, works(80000, 100), works(80000, 400))

	known[cell.Key{Ctx: 100000, Batch: 1000}] = checkpoint.Measured{Rates: []float64{7}}
	works = feasible(known)
	assert.Greater(t, works(90000, 900), 0.5, "dominance does not hold here")
	assert.Less(t, works(80000, 600), 0.5, "but a cell near a failure likely fails")
}

func TestFeasibilityOfOtherFailures(t *testing.T) {
	works := feasible(map[cell.Key]checkpoint.Measured{
		{Ctx: 50000, Batch: 500}: {Failed: true},
		{Ctx: 10000, Batch: 100}: {Rates: []float64{7}},
	})
	assert.Greater(t, works(100000, 1000), 0.3, "a timeout does not predict that of all larger cells")
	assert.Less(t, works(50000, 600), 0.2, "only of near cells")
}
