package search

import (
	"maps"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

// TestFastTogetherOnly: two values that are slower each, and twice as fast together, are found, whichever they are.
func TestFastTogetherOnly(t *testing.T) {
	race.SkipSequential(t)
	axes := []cell.SettingAxis{
		{Name: "num_gpu", Values: []string{"auto", "20", "30", "40"}}, {Name: "num_thread", Values: []string{"auto", "4", "8", "16"}},
		{Name: "flash_attention", Values: []string{"auto", "on", "off"}}, {Name: "kv_cache_type", Values: []string{"auto", "f16", "q8_0"}},
	}
	cell.SortAxes(axes)
	plan, _ := cell.Grid{Ctx: []int{4096, 8192}, Batch: []int{256, 512, 1024}, Settings: axes}.Cells()
	together := func(threads, cache string) func(cell.Key) float64 {
		return func(c cell.Key) float64 {
			r := float64(1000 + c.Batch)
			switch t, k := value(c, "num_thread") == threads, value(c, "kv_cache_type") == cache; {
			case t && k:
				r *= 2
			case t || k:
				r *= 0.8
			}
			return r
		}
	}
	for _, pair := range [][2]string{{"4", "q8_0"}, {"16", "f16"}} {
		threads, cache := pair[0], pair[1]
		order, answer := played(t, &Best{Tolerance: 0.01, Repeat: 1}, plan, together(threads, cache))
		assert.Equal(t, threads+" "+cache, value(answer.Best, "num_thread")+" "+value(answer.Best, "kv_cache_type"))
		assert.Less(t, len(order), mostForPairs+20)
	}
	_, answer := played(t, &Frontier{Tolerance: 0.01, Repeat: 1}, plan, together("4", "q8_0"))
	require.Len(t, answer.Columns, 2)
	for _, col := range answer.Columns {
		assert.Equal(t, "4 q8_0", value(col.Cell(), "num_thread")+" "+value(col.Cell(), "kv_cache_type"), "num_ctx=%d", col.NumCtx)
	}
}

// TestUnseenProbes: the first load with a value of a setting is probed at each num_batch that it can have.
func TestUnseenProbes(t *testing.T) {
	own := cell.Key{Ctx: 2048, Batch: 1024, Settings: "num_thread=auto/flash_attention=auto"}
	eight := own.With("num_thread", "8").WithBatch(512)
	probed := func(readings ...checkpoint.ProbeRates) checkpoint.Measured {
		return checkpoint.Measured{Rates: []float64{100}, Probes: readings}
	}
	all := []checkpoint.ProbeRates{{NumBatch: 128, Rates: []float64{90}}, {NumBatch: 256, Rates: []float64{95}}, {NumBatch: 512, Rates: []float64{99}}}
	st := sweep.State{Plan: gridWithSettings(), Probes: true, PromptTokens: 7000, Loaded: eight, Measured: map[cell.Key]checkpoint.Measured{
		own: probed(all...), eight: probed(),
	}}
	assert.Equal(t, []int{128, 256}, (&Best{Tolerance: 0.01, Repeat: 1}).Next(st).Probes, "the load has had a prompt with 512")

	st.Measured[eight] = probed(all...)
	b := &Best{Tolerance: 0.01, Repeat: 1}
	assert.Empty(t, b.update(st).unseenProbes())
}

// TestPairsAtOtherBatch: where loads can be probed, a value that has no reading at the larger num_batch is
// measured at one of them, also where all its pairs have been seen. Without probes each value is measured at a
// small and at a large num_batch.
func TestPairsAtOtherBatch(t *testing.T) {
	st := sweep.State{Plan: gridWithSettings(), PromptTokens: 7000, Measured: make(map[cell.Key]checkpoint.Measured)}
	for _, c := range st.Plan { // all pairs at a num_batch of 256
		if c.Ctx == 2048 && c.Batch == 256 {
			st.Measured[c] = checkpoint.Measured{Rates: []float64{100}, Probes: []checkpoint.ProbeRates{{NumBatch: 128, Rates: []float64{90}}}}
		}
	}
	own := cell.Key{Ctx: 2048, Batch: 1024, Settings: "num_thread=auto/flash_attention=auto"}
	st.Measured[own] = checkpoint.Measured{Rates: []float64{100}}
	next := func(recommended cell.Key) (cell.Key, bool) {
		b := &Best{Tolerance: 0.01, Repeat: 1}
		v := b.update(st)
		i, ok := v.nextOfPairs(v.index[recommended], v.means(b.prospects(v)))
		return v.cells[max(i, 0)], ok
	}
	assert.Equal(t, 5, (&Best{Tolerance: 0.01, Repeat: 1}).update(st).pairsLeft(), "three values at 128, two at 1024")
	unprobed := maps.Clone(st.Measured)
	for range 5 {
		c, ok := next(own.WithBatch(256))
		assert.True(t, ok)
		assert.Equal(t, 2048, c.Ctx)
		assert.Contains(t, []int{128, 1024}, c.Batch)
		st.Measured[c] = checkpoint.Measured{Rates: []float64{100}}
	}
	_, ok := next(own.WithBatch(256))
	assert.False(t, ok, "each value has been measured in each band")
	st.Probes, st.Measured = true, unprobed
	c, ok := next(own.WithBatch(256))
	assert.True(t, ok)
	assert.Equal(t, 2048, c.Ctx)
	assert.Equal(t, 1024, c.Batch)
	assert.NotEqual(t, "auto", value(c, "num_thread"))
	assert.NotEqual(t, "auto", value(c, "flash_attention"))
}

// TestPairsLeft: the loads that the pairs of values may still take are among those expected.
func TestPairsLeft(t *testing.T) {
	own := cell.Key{Ctx: 2048, Batch: 512, Settings: "num_thread=auto/flash_attention=auto"}
	st := sweep.State{Plan: gridWithSettings(), PromptTokens: 7000, Measured: map[cell.Key]checkpoint.Measured{own: {Rates: []float64{100}}}}
	b := &Best{Tolerance: 0.01, Repeat: 1}
	assert.Equal(t, 8, b.update(st).pairsLeft(), "of 3 × 3, and of 3 values × 3 bands of num_batch")
	before := b.Next(st).Ahead
	for _, settings := range []cell.Settings{"num_thread=auto/flash_attention=on", "num_thread=4/flash_attention=off"} {
		st.Measured[own.With("num_thread", "4")] = checkpoint.Measured{Failed: true}
		st.Measured[cell.Key{Ctx: 2048, Batch: 512, Settings: settings}] = checkpoint.Measured{Rates: []float64{101}}
	}
	assert.Equal(t, 7, b.update(st).pairsLeft(), "no value was measured outside the middle band, and one not at all")
	st.Probes = true
	assert.Equal(t, 5, b.update(st).pairsLeft())
	st.Probes = false
	assert.Greater(t, before.Most, b.update(st).bestAhead(math.Inf(1)).Most)
}

func value(c cell.Key, name string) string {
	v, _ := c.Settings.Value(name)
	return v
}
