package sweep

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// lucky makes the fixture a sweep of 16 cells one of which has a first sample that is much too high.
func lucky(t *testing.T, c Cell) *fixture {
	t.Helper()
	f := retakes(t, map[Cell][]float64{c: {1.4}}, false)
	f.Store.Checkpoint().Sweep.OllamaVersion = "0.10.1"
	f.Baseline = BaselineOn
	f.fake.alterLoaded = func(l *parse.Loaded) {
		if f.fake.cell.Batch == 0 { // as its log says
			l.InForce = parse.InForce{NumCtx: f.fake.cell.Ctx, NumBatch: 200}
		}
	}
	return f
}

// TestBaselineCountsForItsCell: a cell both of whose samples were lucky is recommended until the turns
// of the baseline say better.
func TestBaselineCountsForItsCell(t *testing.T) {
	c := Cell{1000, 100}
	f := lucky(t, c)
	f.Repeat, f.Baseline, f.Retake = 2, BaselineOff, false
	steady, first := f.fake.rate, 2
	f.fake.rate = func(of Cell) float64 {
		if of == c && first > 0 {
			first--
			return 2400
		}
		return steady(of)
	}
	f.run(t.Context())
	cp := f.onDisk(t)
	v, _ := cp.Verdict()
	require.Equal(t, c, cellOf(v.Recommended))

	f.Baseline = BaselineOn
	f.run(t.Context())
	cp = f.onDisk(t)
	cells := cp.baselined()
	require.Len(t, cells, mostBaselines)
	assert.Equal(t, c, cells[0])
	v, _ = cp.Verdict()
	assert.Equal(t, cells[1], cellOf(v.Recommended))
	assert.Equal(t, 400, v.Recommended.Batch)
	assert.NotNil(t, v.Gain)
	assert.Zero(t, cp.BaselineLoads(BaselineOn))

	loads := len(f.fake.loads)
	f.run(t.Context())
	assert.Len(t, f.fake.loads, loads)
}

func TestALuckyCellIsMeasuredAgain(t *testing.T) {
	c := Cell{1000, 100}
	f := lucky(t, c)
	f.run(t.Context())
	cp := f.onDisk(t)
	assert.Len(t, cp.Result(c).SetAside, 1)
	v, _ := cp.Verdict()
	assert.Equal(t, 400, v.Recommended.Batch)
	assert.Equal(t, []Cell{cellOf(v.Recommended)}, cp.baselined())
}

// TestBaselineOfTheServersOwn: the two sides count for their cells where the server's log says which
// num_batch it has chosen, and that is one of the grid.
func TestBaselineOfTheServersOwn(t *testing.T) {
	found, own := measured(1000, 200, 6), measured(1000, 0, 5)
	cp := &Checkpoint{
		Results:    []Result{measured(1000, 200, 7)},
		Remeasured: []Remeasured{{Purpose: Baseline, Result: found}, {Purpose: Baseline, Result: own}},
	}
	rates, _ := cp.Again()
	assert.Empty(t, rates, "which it is is not known")
	cp.Remeasured[1].InForce.NumBatch = 512
	rates, _ = cp.Again()
	assert.Empty(t, rates, "it is not on the grid")
	cp.Results = append(cp.Results, measured(1000, 512, 7))
	rates, failed := cp.Again()
	assert.Equal(t, map[Cell][]float64{{1000, 200}: found.SampleRates(), {1000, 512}: own.SampleRates()}, rates)
	assert.False(t, failed[Cell{1000, 512}])
}
