package sweep

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// around returns rates for the fake server that scatter around those of speed, with
// noise as relative standard deviation.
func around(seed uint64, noise float64, speed func(cell.Key) float64) func(cell.Key) float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func(c cell.Key) float64 { return speed(c) * (1 + noise*rng.NormFloat64()) }
}

func purposes(cp *checkpoint.Checkpoint) (list []checkpoint.Purpose) {
	for _, r := range cp.Auxiliary {
		list = append(list, r.Purpose)
	}
	return list
}

func TestReferenceCell(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	f.sweeps(cell.Grid{Ctx: []int{1000, 2000, 3000}, Batch: []int{100, 200, 300}})
	f.ReferenceEvery = 3
	f.Store.Checkpoint().Sweep.Started = noon.Add(-time.Second)
	f.fake.rate = func(cell.Key) float64 { // 1 % slower with every minute
		return 1000 * (1 - f.fake.clock.Sub(noon).Minutes()/100)
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, []checkpoint.Purpose{checkpoint.Reference, checkpoint.Reference, checkpoint.Reference}, purposes(cp))
	for _, r := range cp.Auxiliary {
		assert.Equal(t, cell.Key{Ctx: 1000, Batch: 100}, r.Cell())
		assert.Len(t, r.Samples, ReferenceSamples)
	}
	drift, ok := Drift(cp)
	require.True(t, ok)
	assert.True(t, drift.Significant)
	assert.Negative(t, drift.Change)
	assert.Len(t, f.bench, 9, "auxiliary measurements are no benchmark lines")

	// After a resume it counts the cells since the last one.
	f = newFixture(t, dir)
	f.ReferenceEvery = 3
	f.sweeps(cell.Grid{Ctx: []int{1000, 2000, 3000, 4000}, Batch: []int{100, 200, 300}})
	f.fake.clock = noon.Add(time.Hour)
	f.run(t.Context())
	assert.Len(t, f.Store.Checkpoint().Auxiliary, 4)
}

// TestConfirmReplacesALuckyCell: the cell with the best first samples is not the best.
func TestConfirmReplacesALuckyCell(t *testing.T) {
	dir := t.TempDir()
	lucky := cell.Key{Ctx: 1000, Batch: 100}
	start := func() *fixture {
		f := newFixture(t, dir)
		f.sweeps(cell.Grid{Ctx: []int{1000, 2000, 3000}, Batch: []int{100, 200, 300}})
		f.Repeat, f.Leaders = 2, 3
		noise := around(1, 0.002, func(c cell.Key) float64 { return 1000 + float64(c.Batch) })
		f.fake.rate = func(c cell.Key) float64 {
			if c == lucky && len(f.Store.Checkpoint().Results) < len(f.Plan) {
				return 1500
			}
			return noise(c)
		}
		return f
	}
	f := start()
	ctx, cancel := context.WithCancel(t.Context())
	f.fake.onSample = func() {
		if len(f.Store.Checkpoint().Auxiliary) == 7 {
			cancel()
		}
	}
	summary, _ := f.run(ctx)
	assert.ErrorIs(t, summary.Usable(), ErrInterrupted)
	assert.Contains(t, f.log.String(), "# confirm, round 1 of at most 6, ctx=1000/batch=100: ")
	left := 3*MostRounds - len(f.Store.Checkpoint().Auxiliary)
	assert.Equal(t, left, AuxiliaryLoads(f.Store.Checkpoint(), 3, config.BaselineOff))
	assert.Equal(t, left+2*MostRounds, AuxiliaryLoads(f.Store.Checkpoint(), 3, config.BaselineOn))
	f = start()
	summary, _ = f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.NotContains(t, f.log.String(), "round 1 of at most 6, ctx=1000/batch=100", "it resumes where it stopped")
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	v, ok := VerdictOf(cp)
	require.True(t, ok)
	assert.Zero(t, AuxiliaryLoads(cp, 3, config.BaselineOff))
	assert.Equal(t, cell.Key{Ctx: 3000, Batch: 300}, cell.Key{Ctx: v.Recommended.Ctx, Batch: v.Recommended.Batch})
	for _, c := range v.Confirmed {
		assert.GreaterOrEqual(t, len(c.Rates), leastRounds)
		assert.Equal(t, c.Key == lucky, c.Before == 1500)
		if c.Key == lucky {
			assert.True(t, c.Slower, "%+v", v.Confirmed)
		}
	}
	loads := len(f.fake.loads)
	f = start()
	f.run(t.Context())
	assert.Positive(t, loads)
	assert.Empty(t, f.fake.loads, "the third run finds everything measured")
}

func TestConfirmEndsEarlyAndLeavesOutFailures(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Repeat, f.Leaders = 6, 2
	f.fake.rate = around(3, 0.001, func(c cell.Key) float64 { return float64(c.Ctx + c.Batch) })
	f.run(t.Context())
	cp := f.Store.Checkpoint()
	assert.Len(t, cp.Auxiliary, 2*leastRounds, "five rounds distinguish them")
	assert.Zero(t, AuxiliaryLoads(cp, 2, config.BaselineOff))

	f = newFixture(t, t.TempDir())
	f.Repeat, f.Leaders = 6, 2
	f.fake.rate = around(3, 0.001, func(c cell.Key) float64 { return float64(c.Ctx + c.Batch) })
	f.fake.onSample = func() {
		if len(f.fake.samples) == 24 {
			oom := &measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "no"}
			f.fake.loadErrs[cell.Key{Ctx: 2000, Batch: 200}] = []error{oom, oom}
		}
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	v, _ := VerdictOf(f.Store.Checkpoint())
	assert.Equal(t, cell.Key{Ctx: 2000, Batch: 100}, cell.Key{Ctx: v.Recommended.Ctx, Batch: v.Recommended.Batch}, "a cell that fails in a confirmation is not recommended")
	assert.True(t, v.Confirmed[len(v.Confirmed)-1].Failed)
}

func TestBaseline(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Baseline = config.BaselineOn
	f.fake.rate = around(5, 0.005, func(c cell.Key) float64 {
		if c.Batch == 0 {
			return 1800
		}
		return 1000 + float64(c.Batch) + float64(c.Ctx)/4
	})
	f.sweeps(cell.Grid{Ctx: []int{1000, 2000}, Batch: []int{100, 200, 500}})
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Len(t, cp.Auxiliary, 2*MostRounds)
	assert.Zero(t, AuxiliaryLoads(cp, 0, config.BaselineOn))
	assert.GreaterOrEqual(t, f.fake.unloaded, 2*MostRounds-1, "the server's own num_batch may be the cell's, and then it would not reload")
	v, _ := VerdictOf(cp)
	require.NotNil(t, v.Gain)
	assert.True(t, v.Gain.Bounded)
	assert.Equal(t, 0, cp.Auxiliary[1].NumBatch)
	want := (1000+float64(v.Recommended.Batch)+float64(v.Recommended.Ctx)/4)/1800 - 1
	assert.InDelta(t, want, v.Gain.Ratio, 0.01)
	assert.LessOrEqual(t, v.Gain.Low, want)
	assert.GreaterOrEqual(t, v.Gain.High, want)
	assert.Contains(t, f.log.String(), "# baseline, round 6 of at most 6, ctx=2000 and the server's own num_batch: ")
}

func TestAuxiliaryName(t *testing.T) {
	assert.Equal(t, "ctx=2000/batch=64", auxiliaryName(cell.Key{Ctx: 2000, Batch: 64}, 512))
	assert.Equal(t, "ctx=2000 and the server's own num_batch (512)", auxiliaryName(cell.Key{Ctx: 2000, Batch: 0}, 512))
	assert.Equal(t, "ctx=2000 and the server's own num_batch", auxiliaryName(cell.Key{Ctx: 2000, Batch: 0}, 0), "no log reports it")
}

func TestNoAuxiliaryMeasurementsOfAnUnfinishedPlan(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Leaders, f.Baseline, f.Filtered = 3, config.BaselineOn, true
	f.run(t.Context())
	assert.Empty(t, f.Store.Checkpoint().Auxiliary, "only a part of the plan was requested")

	f = newFixture(t, t.TempDir())
	f.Leaders, f.Baseline = 3, config.BaselineOn
	f.BudgetEnd = noon.Add(12 * time.Second)
	summary, _ := f.run(t.Context())
	assert.ErrorIs(t, summary.Stop, ErrBudget)
	assert.Empty(t, f.Store.Checkpoint().Auxiliary)
}

// TestRecordedSweepReplayed replays a sweep of a real server, with one sample per
// cell, and its noise.
func TestRecordedSweepReplayed(t *testing.T) {
	recorded, err := checkpoint.Load(filepath.Join("..", "report", "testdata", "older_tool.json"))
	require.NoError(t, err)
	rates := make(map[cell.Key]float64)
	for _, r := range recorded.Results {
		rates[r.Cell()] = *r.PromptEvalRate
	}
	levels := make(map[int]float64) // median rate by num_batch
	ctxs, batches := recorded.Axes()
	for _, batch := range batches {
		var row []float64
		for _, ctx := range ctxs {
			if rate, ok := rates[cell.Key{Ctx: ctx, Batch: batch}]; ok {
				row = append(row, rate)
			}
		}
		levels[batch] = verdict.Median(row)
	}
	f := newFixture(t, t.TempDir())
	f.sweeps(cell.Grid{Ctx: ctxs, Batch: batches})
	f.Leaders = 3
	scatter := around(7, 0.002, func(c cell.Key) float64 { return levels[c.Batch] })
	f.fake.rate = func(c cell.Key) float64 {
		if rate, ok := rates[c]; ok && len(f.Store.Checkpoint().Results) < len(f.Plan) {
			return rate
		}
		return scatter(c)
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	v, ok := VerdictOf(f.Store.Checkpoint())
	require.True(t, ok)
	t.Log(v.Recommended, v.MachineChange, v.Confirmed, len(v.Tied), v.Noise)
	assert.GreaterOrEqual(t, levels[v.Recommended.Batch], 84.0, "%v", v.Recommended)
	assert.Less(t, rates[cell.Key{Ctx: v.Recommended.Ctx, Batch: v.Recommended.Batch}]-levels[v.Recommended.Batch], 0.5, "no lone outlier")
}
