package search

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

// TestLayersOf: edges are further apart the more layers are outside GPU memory, as each takes its part of
// the context with it.
func TestLayersOf(t *testing.T) {
	plan := square(10)
	s := newSpace(plan, len(plan))
	hypothesis := stairs{batchWeight: 0.1, first: 0.36, layer: 0.2, layers: 1e9}
	outside := func(ctx int) int { return hypothesis.layersOf(s, 10*ctx+4) } // with a num_batch of 0.5
	assert.Equal(t, []int{0, 1, 1, 2, 2, 3, 3, 4}, []int{outside(2), outside(3), outside(4), outside(5), outside(6), outside(7), outside(8), outside(9)})
	hypothesis.layers = 8
	assert.Equal(t, []int{0, 1, 1, 2, 2, 2, 3, 3}, []int{outside(2), outside(3), outside(4), outside(5), outside(6), outside(7), outside(8), outside(9)})
}

// stepped returns readings of a third of the cells of a grid, with rates that are slower by the layers outside
// GPU memory of these stairs, and a little noise.
func stepped(s *space, truth stairs) []*measured {
	rng := rand.New(rand.NewPCG(3, 4))
	var all []*measured
	for i := range s.cells {
		if (s.ctx[i]+s.batch[i])%3 > 0 {
			continue
		}
		log := 0.3*s.b[s.batch[i]] - truth.slow(truth.layersOf(s, i), 1) + 0.003*rng.NormFloat64()
		all = append(all, &measured{point: s.sampled(i), logs: []float64{log}})
	}
	return all
}

func TestFindsStairs(t *testing.T) {
	race.SkipSequential(t)
	plan := square(12)
	s := newSpace(plan, len(plan))
	var kernels []*kernel
	for _, h := range shapes(drawnShapes, false, false) {
		kernels = append(kernels, newKernel(s, h, nil))
	}
	truth := stairs{batchWeight: 0.2, product: 0.1, first: 0.6, layer: 0.15, layers: 40, time: 0.2}
	m := newModel(s, kernels, nil, stepped(s, truth), true)
	require.NotNil(t, m.posts[0].k.stairs)
	assert.True(t, slices.ContainsFunc(m.posts, func(p *posterior) bool { return p.sampled }))
	right := 0
	for i := range plan {
		if m.posts[0].k.stairs.outside[i] == truth.layersOf(s, i) {
			right++
		}
	}
	assert.Greater(t, right, 130, "of 144 cells")

	never := truth
	never.first = 10
	m = newModel(s, kernels, nil, stepped(s, never), true)
	believed, everyCell := make([]float64, len(plan)), make([]point, len(plan))
	for i := range plan {
		everyCell[i] = s.sampled(i)
	}
	for _, p := range m.posts {
		for i, mean := range m.beliefs(p, everyCell).mean {
			believed[i] += p.weight * mean
		}
	}
	for i := range plan {
		assert.InDelta(t, 0.3*s.b[s.batch[i]], believed[i], 0.01, "there are no steps")
	}
	m = newModel(s, kernels, nil, stepped(s, truth), false)
	for _, p := range m.posts {
		assert.Nil(t, p.k.stairs)
	}
}

// TestRelativeRates: the highest reading counts, and rates between two num_batch are interpolated.
func TestRelativeRates(t *testing.T) {
	plan := square(4) // num_batch 100 to 400
	s := newSpace(plan, len(plan))
	reading := func(ctx, batch int, rate float64) *measured {
		return &measured{point: s.sampled(4*ctx + batch), logs: []float64{math.Log(rate)}, weight: []float64{1}}
	}
	m := &model{s: s, all: []*measured{reading(0, 1, 20), reading(1, 1, 15), reading(0, 3, 40)}, level: math.Log(10)}
	relative := m.relativeRates()
	assert.InDelta(t, 2, relative[0], 1e-9)
	assert.InDelta(t, 2, relative[1], 1e-9)
	assert.InDelta(t, 3, relative[2], 1e-9, "rates in proportion to num_batch")
	assert.InDelta(t, 4, relative[3], 1e-9)
}

// TestDisplaced: only cells next to a step may have other layers than a hypothesis says.
func TestDisplaced(t *testing.T) {
	plan := square(10)
	s := newSpace(plan, len(plan))
	hypothesis := stairs{batchWeight: 0.5, first: 1.02, layer: 10, layers: 40, time: 0.5}
	hypothesis.place(s, slices.Repeat([]float64{1}, 10))
	displaced := func(batch int) float64 { return hypothesis.displaced(s, 70+batch, 1) } // with a num_ctx of 0.8
	require.Equal(t, 0, hypothesis.outside[73])
	require.Equal(t, 1, hypothesis.outside[74])
	one := hypothesis.slow(1, 1)
	assert.Zero(t, displaced(2))
	assert.InDelta(t, stepDoubt*one, displaced(3), 1e-9, "the step may be lower")
	assert.InDelta(t, -stepDoubt*one, displaced(4), 1e-9, "the step may be higher")
	assert.Zero(t, displaced(5))
	assert.Zero(t, displaced(0), "the smallest num_batch")
	hypothesis.first = 1.31
	hypothesis.place(s, slices.Repeat([]float64{1}, 10))
	assert.InDelta(t, stepDoubt*one, displaced(9), 1e-9, "the step may be below the largest num_batch")
}
