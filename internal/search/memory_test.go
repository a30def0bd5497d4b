package search

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// sized returns the result of a cell that was loaded: with 0.5 GB of weights, and
// 1.2 GB of GPU memory.
func sized(c cell.Key) checkpoint.Measured {
	ctx, batch := float64(c.Ctx)/100000, float64(c.Batch)/1000
	size := int64(1e9 * (0.5 + ctx + 0.2*batch + 0.1*ctx*batch))
	return checkpoint.Measured{Rates: []float64{7}, Size: size, SizeVRAM: min(size, 1.2e9)}
}

func TestMemory(t *testing.T) {
	plan := square(10)
	s := newSpace(plan, len(plan))
	known := make(map[cell.Key]checkpoint.Measured)
	for _, i := range []int{0, 9, 35, 48, 80, 99} {
		known[plan[i]] = sized(plan[i])
	}
	m := newMemory(s, known)
	require.NotNil(t, m)
	assert.InDelta(t, 0.2, m.batchWeight, 0.01)
	assert.InDelta(t, 0.1, m.product, 0.01)
	for i, c := range plan {
		k := sized(c)
		assert.InDelta(t, 1-float64(k.SizeVRAM)/float64(k.Size), m.spill[i], 0.01, c)
	}
	assert.True(t, m.equal(newMemory(s, known)))
	known[plan[50]] = checkpoint.Measured{Rates: []float64{7}, Size: 3e9, SizeVRAM: 3e9}
	assert.False(t, m.equal(newMemory(s, known)))
	assert.False(t, m.equal(nil))
}

func TestMemoryOfUselessSizes(t *testing.T) {
	plan := square(10)
	s := newSpace(plan, len(plan))
	known := make(map[cell.Key]checkpoint.Measured)
	for _, i := range []int{0, 9, 35} {
		known[plan[i]] = sized(plan[i])
	}
	assert.Nil(t, newMemory(s, known), "too few")
	for _, c := range plan {
		known[c] = checkpoint.Measured{Rates: []float64{7}, Size: 5, SizeVRAM: 5}
	}
	assert.Nil(t, newMemory(s, known), "all the same")
	for _, c := range plan {
		known[c] = checkpoint.Measured{Rates: []float64{7}}
	}
	assert.Nil(t, newMemory(s, known), "not known")
	for _, c := range plan {
		k := sized(c)
		k.SizeVRAM = 0
		known[c] = k
	}
	assert.Equal(t, make([]float64, 100), newMemory(s, known).spill, "a server without a GPU spills nothing")
}

// TestMemoryOnAGPU: with the parts of two loads in the log, the sizes of a whole grid on an H200 are known.
func TestMemoryOnAGPU(t *testing.T) {
	cp, err := checkpoint.Load("../plan/testdata/h200.json")
	require.NoError(t, err)
	plan := cp.Plan()
	s := newSpace(plan, len(plan))
	all, sizes, two := make(map[cell.Key]checkpoint.Measured), make(map[cell.Key]checkpoint.Measured), make(map[cell.Key]checkpoint.Measured)
	for i := range cp.Results {
		r := &cp.Results[i]
		m := r.Measured()
		require.NotNil(t, m.Parts)
		all[r.Cell()] = m
		m.Parts = nil
		sizes[r.Cell()] = m
	}
	first, second := cell.Key{Ctx: 8192, Batch: 4096}, cell.Key{Ctx: 32768, Batch: 1024}
	two[first], two[second] = all[first], all[second]
	want, got := newMemory(s, sizes), newMemory(s, two)
	require.NotNil(t, got)
	assert.InEpsilon(t, want.batchWeight, got.batchWeight, 0.05)
	assert.InEpsilon(t, want.product, got.product, 0.05)
	delete(two, second)
	assert.Nil(t, newMemory(s, two), "one load does not tell them apart")

	// A load of which a part has spilled shows how much memory there is: 5 GB.
	two[second] = all[second]
	spilled := cell.Key{Ctx: 131072, Batch: 128}
	two[spilled] = checkpoint.Measured{Rates: []float64{7}, Size: all[spilled].Size, SizeVRAM: 5e9}
	m := newMemory(s, two)
	for i, c := range plan {
		if k, ok := all[c]; ok {
			assert.InDelta(t, max(0, 1-5e9/float64(k.Size)), m.spill[i], 0.02, c)
		}
	}
}
