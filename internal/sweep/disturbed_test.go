package sweep

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// retakes returns a sweep of 16 cells whose rates level off over num_batch. The first samples of a
// cell are slowed by the factors in slowed; seen says whether the CPU's figures show it.
func retakes(t *testing.T, slowed map[cell.Key][]float64, seen bool) *fixture {
	t.Helper()
	f := newFixture(t, t.TempDir())
	f.sweeps(cell.Grid{Ctx: []int{1000, 2000, 3000, 4000}, Batch: []int{50, 100, 200, 400}})
	f.Retake = true
	steady := around(7, 0.004, func(c cell.Key) float64 {
		batch := float64(c.Batch)
		if batch == 0 { // the server's own
			batch = 200
		}
		return 2000 * batch / (batch + 60)
	})
	f.fake.rate = func(c cell.Key) float64 {
		rate := steady(c)
		if list := slowed[c]; len(list) > 0 {
			rate *= list[0]
		}
		return rate
	}
	f.fake.alterSample = func(s *measurement.Sample) {
		list := slowed[f.fake.cell]
		if len(list) == 0 {
			return
		}
		if seen && list[0] < 1 {
			s.CPU = &measurement.CPUUse{Count: 4, Server: 3, Others: 1}
		}
		slowed[f.fake.cell] = list[1:]
	}
	return f
}

// called runs the sweep and returns the names of its subtests.
func (f *fixture) called() (names []string, sum Summary) {
	sum = f.Run(context.Background(), func(name string, measure func() Outcome) {
		names = append(names, name)
		measure()
	})
	return names, sum
}

// onDisk returns the checkpoint as it was saved.
func (f *fixture) onDisk(t *testing.T) *checkpoint.Checkpoint {
	t.Helper()
	cp, err := checkpoint.Load(filepath.Join(f.dir, checkpoint.FileName))
	require.NoError(t, err)
	return cp
}

func TestRetakeOfABusyMachine(t *testing.T) {
	busy := cell.Key{Ctx: 2000, Batch: 400}
	f := retakes(t, map[cell.Key][]float64{busy: {0.4}}, true)
	all, sum := f.called()
	assert.Equal(t, "ctx=2000/batch=400/again", all[len(all)-1])
	assert.Len(t, all, 17)
	assert.Equal(t, 16, sum.Measured)
	require.NoError(t, sum.Usable())

	r := f.onDisk(t).Result(busy)
	require.Len(t, r.Samples, 1)
	require.Len(t, r.SetAside, 1)
	assert.InDelta(t, 2000*400./460, *r.PromptEvalRate, 40)
	aside, _ := r.SetAside[0].PromptEvalRate()
	assert.InDelta(t, 0.4*2000*400/460, aside, 20)
	assert.Contains(t, f.log.String(), "# 1 cell is in doubt: measuring again\n")

	v, _ := VerdictOf(f.Store.Checkpoint())
	assert.Empty(t, FindDisturbed(f.Store.Checkpoint(), v))
	loads := len(f.fake.loads)
	f.called()
	assert.Len(t, f.fake.loads, loads, "each is measured again once")
}

func TestRetakeOfLowRates(t *testing.T) {
	low, dip := cell.Key{Ctx: 3000, Batch: 200}, cell.Key{Ctx: 1000, Batch: 400}
	f := retakes(t, map[cell.Key][]float64{low: {0.02}, dip: {0.7, 0.7, 0.7}}, false)
	all, _ := f.called()
	assert.Equal(t, []string{"ctx=1000/batch=400/again", "ctx=3000/batch=200/again"}, all[16:])
	cp := f.onDisk(t)
	assert.InDelta(t, 2000*200./260, *cp.Result(low).PromptEvalRate, 40)
	assert.InDelta(t, 0.7*2000*400/460, *cp.Result(dip).PromptEvalRate, 40, "a cell that is really slow stays slow")
	v, _ := VerdictOf(cp)
	assert.Empty(t, FindDisturbed(cp, v), "and does not count as disturbed any more")
}

func TestRetakeOfOneLowSample(t *testing.T) {
	c := cell.Key{Ctx: 1000, Batch: 100}
	f := retakes(t, map[cell.Key][]float64{c: {1, 0.5, 1}}, false)
	f.Repeat = 3
	f.run(t.Context())
	r := f.Store.Checkpoint().Result(c)
	assert.Len(t, r.Samples, 3)
	assert.Len(t, r.SetAside, 1)
	assert.Len(t, f.fake.samples, 3*16+1)
}

func TestRetakeEndsWhereTheMachineIsStillBusy(t *testing.T) {
	slowed := make(map[cell.Key][]float64)
	for _, ctx := range []int{1000, 2000, 3000, 4000} {
		slowed[cell.Key{Ctx: ctx, Batch: 100}] = []float64{0.6, 0.6, 0.6}
	}
	f := retakes(t, slowed, true)
	all, _ := f.called()
	assert.Len(t, all, 16+mostStillDisturbed)
	assert.Contains(t, f.log.String(), "# the machine is still busy: no more cells are measured again\n")
	cp := f.onDisk(t)
	r := cp.Result(cell.Key{Ctx: 1000, Batch: 100})
	assert.Len(t, r.Samples, 1)
	assert.Len(t, r.SetAside, 1, "the first samples are kept, since the new ones are no better")
	v, _ := VerdictOf(cp)
	assert.Len(t, FindDisturbed(cp, v), 4)
}

func TestNoRetake(t *testing.T) {
	busy := cell.Key{Ctx: 2000, Batch: 400}
	for name, alter := range map[string]func(*fixture){
		"not wanted": func(f *fixture) { f.Retake = false },
		"filtered":   func(f *fixture) { f.Filtered = true },
		"no time":    func(f *fixture) { f.BudgetEnd = noon.Add(16*5*time.Second - time.Second) },
		"incomplete": func(f *fixture) { f.BudgetCells = 15 },
	} {
		t.Run(name, func(t *testing.T) {
			f := retakes(t, map[cell.Key][]float64{busy: {0.4}}, true)
			alter(f)
			f.run(t.Context())
			assert.Empty(t, f.Store.Checkpoint().Result(busy).SetAside)
			assert.NotContains(t, f.log.String(), "still busy")
		})
	}
}

// TestRetakeThatFails: after a failure or an interrupt while the cell is measured again, it still has
// its first sample.
func TestRetakeThatFails(t *testing.T) {
	busy := cell.Key{Ctx: 2000, Batch: 400}
	for name, err := range map[string]error{
		"failure":   &measurement.Failure{Class: measurement.ModelError, Detail: "no"},
		"interrupt": ErrInterrupted,
	} {
		t.Run(name, func(t *testing.T) {
			f := retakes(t, map[cell.Key][]float64{busy: {0.4}}, true)
			f.fake.onSample = func() {
				if len(f.fake.samples) == 16 {
					f.fake.errs[busy] = []error{err}
				}
			}
			sum, _ := f.run(t.Context())
			r := f.onDisk(t).Result(busy)
			assert.Nil(t, r.Error)
			assert.Len(t, r.Samples, 1)
			assert.Empty(t, r.SetAside)
			assert.Zero(t, sum.Failed)
		})
	}
}

func TestMostRetaken(t *testing.T) {
	short := Pace{Load: time.Second, Prompt: time.Second}
	assert.Equal(t, 9, MostRetaken(9, short, 1))
	assert.Equal(t, 60, MostRetaken(200, short, 1))
	assert.Equal(t, 100, MostRetaken(1000, short, 1))
	assert.Equal(t, 3, MostRetaken(30, Pace{Load: 2 * time.Minute, Prompt: time.Minute}, 1))
	assert.Equal(t, 5, MostRetaken(5, Pace{}, 1))
}

func TestLags(t *testing.T) {
	assert.True(t, lags([]float64{100, 101, 90, 99}, 2, 0.01))
	assert.False(t, lags([]float64{100, 101, 90, 99}, 2, 0.03), "within noise")
	assert.False(t, lags([]float64{100, 101, 96, 99}, 2, 0.001), "too small to matter")
	assert.True(t, lags([]float64{100, 80}, 0, 0.01) && lags([]float64{100, 80}, 1, 0.01))
	assert.False(t, lags([]float64{100, 98}, 1, 0.01))
	assert.False(t, lags([]float64{100}, 0, math.SmallestNonzeroFloat64))
}

// TestSpilledCellsAreNotInDoubt: a spill explains a low rate.
func TestSpilledCellsAreNotInDoubt(t *testing.T) {
	low := cell.Key{Ctx: 4000, Batch: 400}
	for _, spilled := range []bool{false, true} {
		f := retakes(t, map[cell.Key][]float64{low: {0.3, 0.3}}, false)
		f.fake.alterLoaded = func(l *measurement.Loaded) {
			l.SizeVRAM = l.Size
			if spilled && f.fake.cell == low {
				l.SizeVRAM--
			}
			// The load is no longer than a prompt, so that the first prompts count.
			l.Warmup.PromptEvalDuration, l.Warmup.LoadDuration, l.Warmup.TotalDuration = time.Millisecond, 0, time.Millisecond
		}
		names, _ := f.called()
		assert.Equal(t, !spilled, slices.Contains(names, "ctx=4000/batch=400/again"))
	}
}
