package verdict

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// withFlash returns cells with and without flash attention, which gains effect; and their pairs.
func withFlash(rng *rand.Rand, ctxs, batches, samples int, noise, effect float64) (cells []Cell, pairs [][2]Cell) {
	for ctx := 1; ctx <= ctxs; ctx++ {
		for batch := 1; batch <= batches; batch++ {
			rate := 1000 * (1 + 0.05*float64(batch)) * (1 - 0.03*float64(ctx))
			on := Cell{Key: cell.Key{Ctx: 1024 * ctx, Batch: 64 * batch, Settings: "flash_attention=on"}, Rates: noisy(rng, rate*(1+effect), noise, samples)}
			off := Cell{Key: on.With("flash_attention", "off"), Rates: noisy(rng, rate, noise, samples)}
			cells = append(cells, on, off)
			pairs = append(pairs, [2]Cell{on, off})
		}
	}
	return cells, pairs
}

// TestMeanGainCovers checks that the interval contains the true effect about as often as it says, for grids
// of several shapes.
func TestMeanGainCovers(t *testing.T) {
	const effect, plays = 0.05, 200
	for _, tt := range []struct {
		name                   string
		ctxs, batches, samples int
	}{
		{"grid", 4, 4, 1}, {"repeated", 3, 3, 3}, {"one num_batch", 6, 1, 1}, {"one num_batch, repeated", 4, 1, 3}, {"one num_ctx", 1, 6, 1}, {"one cell of each", 1, 1, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			covered, found := 0, 0
			for range plays {
				cells, pairs := withFlash(rng, tt.ctxs, tt.batches, tt.samples, 0.01, effect)
				v, ok := Judge(cells, nil)
				require.True(t, ok)
				g, ok := v.MeanGain(pairs)
				require.True(t, ok)
				if g.Low <= effect && effect <= g.High {
					covered++
				}
				if g.Low > 0 {
					found++
				}
			}
			t.Logf("covered %d, found %d of %d", covered, found, plays)
			assert.GreaterOrEqual(t, covered, plays*90/100)
			assert.GreaterOrEqual(t, found, plays*95/100)
		})
	}
}

func TestMeanGainOfOnePairIsItsGain(t *testing.T) {
	cells, pairs := withFlash(rand.New(rand.NewPCG(1, 2)), 3, 4, 2, 0.01, 0.05)
	v, ok := Judge(cells, nil)
	require.True(t, ok)
	g, ok := v.MeanGain(pairs[:1])
	require.True(t, ok)
	one, _ := v.GainOver(pairs[0][0], pairs[0][1])
	assert.InDelta(t, one.Ratio, g.Ratio, 1e-9)
	assert.InDelta(t, one.Low, g.Low, 1e-3)
	assert.InDelta(t, one.High, g.High, 1e-3)

	_, ok = v.MeanGain([][2]Cell{{cells[0], {Key: cell.Key{Ctx: 1, Batch: 1}}}})
	assert.False(t, ok, "a cell that was not measured")
}
