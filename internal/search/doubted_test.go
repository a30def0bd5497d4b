package search_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// doubted is the reason for measuring a recommended cell again.
const doubted = "measuring the recommended cell again: its rate does not fit those of others"

// TestDoubtedRecommendation: a cell that a search recommends against its own sample is measured again first.
func TestDoubtedRecommendation(t *testing.T) {
	for name, tt := range map[string]struct {
		strategy  sweep.Strategy
		disturbed cell.Key // the fastest of what the strategy chooses from
	}{
		"best":     {&search.Best{Tolerance: 0.01}, cell.Key{Ctx: 2048, Batch: 512}},
		"frontier": {&search.Frontier{Tolerance: 0.01}, cell.Key{Ctx: 8192, Batch: 512}},
	} {
		t.Run(name, func(t *testing.T) {
			disturbed := tt.disturbed
			st := sweep.State{Measured: make(map[cell.Key]checkpoint.Measured)}
			for i, ctx := range []int{2048, 4096, 8192, 16384, 32768} {
				for j, batch := range []int{64, 128, 256, 512, 1024, 2048} {
					c := cell.Key{Ctx: ctx, Batch: batch}
					rate := 1000 * math.Exp(-0.02*float64((j-3)*(j-3))-0.05*float64(i)) * (1 + 0.002*float64((i+j)%3))
					if c == disturbed {
						rate *= 0.83
					}
					st.Plan = append(st.Plan, c)
					st.Measured[c] = checkpoint.Measured{Rates: []float64{rate}}
				}
			}
			st.Loaded = st.Plan[len(st.Plan)-1]
			choice := tt.strategy.Next(st)
			require.Equal(t, []cell.Key{disturbed}, choice.Cells, choice.Why)
			assert.Equal(t, 2, choice.Samples)
			assert.Equal(t, doubted, choice.Why)

			recommended := func() int {
				choice := tt.strategy.Next(st)
				require.Empty(t, choice.Cells, choice.Why)
				if len(choice.Answer.Columns) == 0 {
					return choice.Answer.Best.Batch
				}
				i := slices.IndexFunc(choice.Answer.Columns, func(c checkpoint.ColumnAnswer) bool { return c.NumCtx == disturbed.Ctx })
				return choice.Answer.Columns[i].NumBatch
			}
			low := st.Measured[disturbed].Rates[0]
			st.Measured[disturbed] = checkpoint.Measured{Rates: []float64{low, low / 0.83}}
			assert.Equal(t, disturbed.Batch, recommended(), "it was an outlier")
			st.Measured[disturbed] = checkpoint.Measured{Rates: []float64{low, low * 1.002}}
			assert.NotEqual(t, disturbed.Batch, recommended(), "it is as slow as it was read")
		})
	}
}
