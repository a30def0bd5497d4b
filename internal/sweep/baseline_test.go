package sweep

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// luckyCell returns a sweep of 16 cells, of which c has a first sample that is much too high.
func luckyCell(t *testing.T, c cell.Key) *fixture {
	t.Helper()
	f := retakes(t, map[cell.Key][]float64{c: {1.4}}, false)
	f.Store.Checkpoint().Sweep.OllamaVersion = "0.10.1"
	f.Baseline = config.BaselineOn
	f.fake.alterLoaded = func(l *measurement.Loaded) {
		if f.fake.cell.Batch == 0 { // the log has the server's own
			l.Effective = measurement.Effective{NumCtx: f.fake.cell.Ctx, NumBatch: 200}
		}
	}
	return f
}

// TestBaselineCountsForItsCell: a cell with two samples that are too high is recommended until its
// baseline is measured.
func TestBaselineCountsForItsCell(t *testing.T) {
	c := cell.Key{Ctx: 1000, Batch: 100}
	f := luckyCell(t, c)
	f.Repeat, f.Baseline, f.Retake = 2, config.BaselineOff, false
	steady, first := f.fake.rate, 2
	f.fake.rate = func(of cell.Key) float64 {
		if of == c && first > 0 {
			first--
			return 2400
		}
		return steady(of)
	}
	f.run(t.Context())
	cp := f.onDisk(t)
	v, _ := VerdictOf(cp)
	require.Equal(t, c, v.Recommended.Key)

	f.Baseline = config.BaselineOn
	f.run(t.Context())
	cp = f.onDisk(t)
	cells := baselined(cp)
	require.Len(t, cells, mostBaselines)
	assert.Equal(t, c, cells[0])
	v, _ = VerdictOf(cp)
	assert.Equal(t, cells[1], v.Recommended.Key)
	assert.Equal(t, 400, v.Recommended.Batch)
	assert.NotNil(t, v.Gain)
	assert.Zero(t, BaselineLoads(cp, config.BaselineOn))

	loads := len(f.fake.loads)
	f.run(t.Context())
	assert.Len(t, f.fake.loads, loads)
}

func TestALuckyCellIsMeasuredAgain(t *testing.T) {
	c := cell.Key{Ctx: 1000, Batch: 100}
	f := luckyCell(t, c)
	f.run(t.Context())
	cp := f.onDisk(t)
	assert.Len(t, cp.Result(c).SetAside, 1)
	v, _ := VerdictOf(cp)
	assert.Equal(t, 400, v.Recommended.Batch)
	assert.Equal(t, []cell.Key{v.Recommended.Key}, baselined(cp))
}

// TestBaselineCountsForBothCells: where the server's log has the num_batch that it chose, and the grid
// has that cell, the samples of both sides count for their cells.
func TestBaselineCountsForBothCells(t *testing.T) {
	found, own := measured(1000, 200, 6), measured(1000, 0, 5)
	cp := &checkpoint.Checkpoint{
		Results:   []checkpoint.Result{measured(1000, 200, 7)},
		Auxiliary: []checkpoint.Auxiliary{{Purpose: checkpoint.Baseline, Result: found}, {Purpose: checkpoint.Baseline, Result: own}},
	}
	rates, _ := AuxiliaryRates(cp)
	assert.Empty(t, rates, "the server's own num_batch is not known")
	cp.Auxiliary[1].Effective.NumBatch = 512
	rates, _ = AuxiliaryRates(cp)
	assert.Empty(t, rates, "it is not on the grid")
	cp.Results = append(cp.Results, measured(1000, 512, 7))
	rates, failed := AuxiliaryRates(cp)
	assert.Equal(t, map[cell.Key][]float64{{Ctx: 1000, Batch: 200}: found.SampleRates(), {Ctx: 1000, Batch: 512}: own.SampleRates()}, rates)
	assert.False(t, failed[cell.Key{Ctx: 1000, Batch: 512}])
}
