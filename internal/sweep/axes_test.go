package sweep

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// fourAxes has sixteen cells: an option and a setting of the server besides num_ctx and num_batch.
var fourAxes = cell.Grid{Ctx: []int{1000, 2000}, Batch: []int{100, 200}, Settings: []cell.SettingAxis{
	{Name: "num_gpu", Values: []string{"40", "30"}}, {Name: "num_parallel", Values: []string{"1", "2"}},
}}

// fixtureOf returns a sweep of a grid in the folder, which may have a checkpoint of it.
func fixtureOf(t *testing.T, dir string, g cell.Grid) *fixture {
	t.Helper()
	f := newFixture(t, t.TempDir())
	f.dir = dir
	f.Plan, _ = g.Cells()
	f.Store = openStore(t, dir, checkpoint.Header{Model: "m", NumCtx: g.Ctx, NumBatch: g.Batch, Axes: g.Settings})
	return f
}

// key returns a cell of fourAxes.
func key(ctx, batch int, gpu, parallel string) cell.Key {
	return cell.Key{Ctx: ctx, Batch: batch, Settings: cell.NewSettings(cell.Value{Name: "num_gpu", Value: gpu}, cell.Value{Name: "num_parallel", Value: parallel})}
}

// TestAxesResumeToTheSameBytes is TestRunResumesToTheSameBytes with more axes, also in rounds.
func TestAxesResumeToTheSameBytes(t *testing.T) {
	for name, rounds := range map[string]bool{"cells": false, "rounds": true} {
		t.Run(name, func(t *testing.T) {
			file := func(stops ...int) string {
				dir := t.TempDir()
				for _, stop := range append(stops, -1) {
					f := fixtureOf(t, dir, fourAxes)
					f.Repeat, f.Rounds = 2, rounds
					f.Sweep.Now = func() time.Time { return noon }
					ctx, cancel := context.WithCancel(t.Context())
					f.fake.onSample = func() {
						if len(f.fake.samples) == stop {
							cancel()
						}
					}
					f.run(ctx)
				}
				data, err := os.ReadFile(filepath.Join(dir, checkpoint.FileName))
				require.NoError(t, err)
				return string(data)
			}
			unbroken := file()
			cp, err := checkpoint.Decode([]byte(unbroken))
			require.NoError(t, err)
			require.Len(t, cp.Results, 16)
			for _, r := range cp.Results {
				assert.Len(t, r.Samples, 2, "%v", r.Cell())
			}
			for _, stop := range []int{1, 2, 3, 15, 16, 17, 31} {
				assert.Equal(t, unbroken, file(stop), "stopped after %d samples", stop)
			}
			assert.Equal(t, unbroken, file(1, 1, 2, 13))
		})
	}
}

// TestAxesInRounds: each round has every cell in the plan's order, and a cell that fails has no more.
func TestAxesInRounds(t *testing.T) {
	f := fixtureOf(t, t.TempDir(), fourAxes)
	f.Repeat, f.Rounds = 2, true
	broken := key(2000, 100, "30", "2")
	f.fake.loadErrs[broken] = []error{&measurement.Failure{Class: measurement.ModelError, Detail: "no"}}
	var names []string
	summary := f.Run(t.Context(), func(name string, measure func() Outcome) {
		names = append(names, name)
		measure()
	})
	require.NoError(t, summary.Usable())
	var want []string
	for _, round := range []string{"/round=1", "/round=2"} {
		for _, c := range f.Plan {
			if c != broken || round == "/round=1" {
				want = append(want, c.String()+round)
			}
		}
	}
	assert.Equal(t, want, names)
	assert.Equal(t, "ctx=1000/batch=100/num_gpu=40/num_parallel=1/round=1", names[0])
}

// TestAxesPrune: a cell that ran out of memory closes those that need at least as much: larger ones with the
// same settings or with more layers in GPU memory, not those with fewer.
func TestAxesPrune(t *testing.T) {
	dir := t.TempDir()
	run := func() (Summary, []string, *fixture) {
		f := fixtureOf(t, dir, fourAxes)
		f.Prune, f.Store.Checkpoint().Sweep.Prune = true, true
		f.outOfMemory(measurement.OutOfGPUMemory, 2, key(1000, 200, "40", "1"))
		summary, names := f.names(t.Context())
		return summary, names, f
	}
	summary, names, f := run()
	require.NoError(t, summary.Usable())
	var pruned []string
	for _, name := range names {
		if cell, why, ok := strings.Cut(name, " pruned: it needs at least the memory of "); ok {
			pruned = append(pruned, cell)
			assert.Equal(t, "ctx=1000/batch=200/num_gpu=40/num_parallel=1, which failed twice in a row: CUDA OOM", why)
		}
	}
	// In the plan's order. num_parallel=2 needs more than 1 too.
	assert.Equal(t, []string{
		"ctx=2000/batch=200/num_gpu=40/num_parallel=1",
		"ctx=1000/batch=200/num_gpu=40/num_parallel=2",
		"ctx=2000/batch=200/num_gpu=40/num_parallel=2",
	}, pruned)
	assert.Equal(t, 3, summary.Pruned)
	assert.Equal(t, 12, summary.Measured)
	assert.Zero(t, summary.Missing)
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Len(t, cp.Pruned(), 3)

	summary, _, f = run()
	require.NoError(t, summary.Usable())
	assert.Empty(t, f.fake.loads)
	assert.Equal(t, 3, summary.Pruned)
}

// TestAxesRedo measures one cell again and leaves those that differ from it in one setting.
func TestAxesRedo(t *testing.T) {
	dir := t.TempDir()
	f := fixtureOf(t, dir, fourAxes)
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	before := f.Store.Checkpoint().ByCell()
	again := key(1000, 200, "30", "2")

	f = fixtureOf(t, dir, fourAxes)
	f.Redo, f.Filtered = true, true
	f.fake.rate = func(cell.Key) float64 { return 777 }
	summary, outcomes := f.only(t.Context(), again.String())
	require.NoError(t, summary.Usable())
	assert.Len(t, outcomes, 1)
	assert.Equal(t, []cell.Key{again}, f.fake.loads)
	assert.Len(t, f.copies(t), 1)
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	for _, c := range f.Plan {
		if c == again {
			assert.InDelta(t, 777, *cp.Result(c).PromptEvalRate, 0.1)
			continue
		}
		assert.Equal(t, before[c].Samples, cp.Result(c).Samples, "%v", c)
	}
}

// TestAxesRetryFailed measures the failed cells again, and only those.
func TestAxesRetryFailed(t *testing.T) {
	dir := t.TempDir()
	broken := []cell.Key{key(1000, 100, "30", "1"), key(1000, 100, "30", "2"), key(2000, 200, "40", "2")}
	f := fixtureOf(t, dir, fourAxes)
	f.outOfMemory(measurement.ModelError, 1, broken...)
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 3, summary.Failed)

	f = fixtureOf(t, dir, fourAxes)
	summary, _ = f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Empty(t, f.fake.loads)

	f = fixtureOf(t, dir, fourAxes)
	f.RetryFailed = true
	summary, _ = f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, broken, f.fake.loads)
	measured, failed := f.saved(t)
	assert.Equal(t, []int{16, 0}, []int{measured, failed})
}

// TestAxesBudget: a budget of cells counts loads, and the next run resumes after them.
func TestAxesBudget(t *testing.T) {
	dir := t.TempDir()
	var loads []cell.Key
	for _, want := range []int{7, 7, 2} {
		f := fixtureOf(t, dir, fourAxes)
		f.BudgetCells = 7
		f.run(t.Context())
		assert.Len(t, f.fake.loads, want)
		loads = append(loads, f.fake.loads...)
	}
	plan, _ := fourAxes.Cells()
	assert.Equal(t, plan, loads)
}

// TestAxesOfVersions: servers of two versions count another number of tokens in the same prompt, and have
// another num_batch of their own.
func TestAxesOfVersions(t *testing.T) {
	dir := t.TempDir()
	versions := cell.Grid{Ctx: []int{4096, 8192}, Batch: []int{512, 1024}, Settings: []cell.SettingAxis{{Name: cell.Ollama, Values: []string{"0.10.1", "0.31.1", "0.31.1+2"}}}}
	for range 2 {
		f := fixtureOf(t, dir, versions)
		f.Repeat = 2
		f.BudgetCells = 7
		f.fake.alterSample = func(s *measurement.Sample) {
			if f.fake.cell.Settings.Version("") == "0.31.1" {
				s.PromptEvalCount--
			}
		}
		summary, _ := f.run(t.Context())
		require.NoError(t, summary.Usable())
		assert.Zero(t, summary.Failed)
	}
	f := fixtureOf(t, dir, versions)
	measured, failed := f.saved(t)
	assert.Equal(t, []int{12, 0}, []int{measured, failed})
	own := ownBatches(f.Store.Checkpoint())
	assert.Equal(t, 512, own(f.Plan[0]))
	assert.Equal(t, check.OwnBatch("0.31.1", 8192), own(f.Plan[6]))
	assert.NotEqual(t, own(f.Plan[0]), own(f.Plan[6]))
}
