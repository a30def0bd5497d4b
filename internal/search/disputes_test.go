package search

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDisputes: two shapes hold different cells of a column for the fastest. Measuring one of these decides,
// a third cell, of which they predict the same, does not.
func TestDisputes(t *testing.T) {
	post := func(weight float64) *posterior {
		return &posterior{k: &kernel{shape: shape{noise: 0.01}}, weight: weight}
	}
	believe := func(means ...float64) *beliefs {
		return &beliefs{mean: means, variance: []float64{1e-6, 1e-6, 1e-6}}
	}
	c := &columns{
		view:     &view{m: &model{posts: []*posterior{post(0.6), post(0.4)}}},
		believed: []*beliefs{believe(1, 0.8, 0.5), believe(1, 1.2, 0.5)},
		works:    []float64{1, 1, 1}, logWorks: []float64{0, 0, 0},
		picks: []column{{pick: 0, cells: []int{0, 1, 2}}, {pick: -1}, {pick: 2, cells: []int{2}}},
	}
	all := c.disputes()
	require.Len(t, all, 1, "of the second column no cell works, and of the third only one is left")
	assert.Equal(t, []int{0, 1}, all[0].cells)
	gains := make([]float64, 3)
	c.addDisputed(gains, []int{0, 1, 2})
	assert.Zero(t, gains[0], "both predict the same")
	assert.InDelta(t, 0.4*0.2, gains[1], 1e-3, "the second shape's probability times what it gains")
	assert.Zero(t, gains[2])
}
