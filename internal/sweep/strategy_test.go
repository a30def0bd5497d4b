package sweep

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// scripted is a strategy that measures the cells of a list: one that is in it twice
// gets two samples.
type scripted struct {
	cells []cell.Key
	asked []State
}

func (s *scripted) Next(st State) Choice {
	s.asked = append(s.asked, st)
	want := make(map[cell.Key]int)
	answer := &checkpoint.Answer{Why: "as the list says"}
	for _, c := range s.cells {
		want[c]++
		if len(st.Measured[c].Rates) > 0 {
			answer.Best, answer.Rate = c, st.Measured[c].Rates[0]
		}
		if st.Measured[c].Open(want[c]) {
			return Choice{Cells: []cell.Key{c}, Samples: want[c], Why: "next in the list", Answer: answer}
		}
	}
	answer.Done, answer.Why = true, "the list has ended"
	return Choice{Why: answer.Why, Answer: answer}
}

// names runs the sweep and returns the names of its subtests, each with its outcome.
func (f *fixture) names(ctx context.Context) (Summary, []string) {
	var names []string
	summary := f.Run(ctx, func(name string, measure func() Outcome) {
		o := measure()
		if o.Err != nil {
			o.Skip = o.Err.Error()
		}
		names = append(names, strings.TrimSuffix(name+" "+o.Skip, " "))
	})
	return summary, names
}

func TestExhaustive(t *testing.T) {
	a, b, c := cell.Key{Ctx: 1, Batch: 1}, cell.Key{Ctx: 1, Batch: 2}, cell.Key{Ctx: 2, Batch: 1}
	s := State{Plan: []cell.Key{a, b, c}, Measured: map[cell.Key]checkpoint.Measured{}}
	assert.Equal(t, Choice{Cells: s.Plan, Samples: 2, Left: 3, Why: "every cell of the plan"}, Exhaustive{Repeat: 2}.Next(s))
	rounds := Exhaustive{Repeat: 2, Rounds: true}
	assert.Equal(t, Choice{Cells: s.Plan, Samples: 1, Left: 6, Reload: true, Why: "every cell of the plan"}, rounds.Next(s))
	s.Measured[a] = checkpoint.Measured{Rates: []float64{1}}
	s.Measured[b] = checkpoint.Measured{Failed: true}
	assert.Equal(t, Choice{Cells: []cell.Key{c}, Samples: 1, Left: 3, Reload: true, Why: "every cell of the plan"}, rounds.Next(s))
	s.Measured[c] = checkpoint.Measured{Closed: true}
	assert.Equal(t, Choice{Cells: []cell.Key{a}, Samples: 2, Left: 1, Why: "every cell of the plan"}, Exhaustive{Repeat: 2}.Next(s))
	s.Measured[a] = checkpoint.Measured{Rates: []float64{1, 2}}
	assert.Empty(t, Exhaustive{Repeat: 2}.Next(s).Cells)
}

func TestRunFollowsAStrategy(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	list := []cell.Key{{Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 200}}
	f.Strategy = &scripted{cells: list}
	summary, names := f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, []string{"ctx=2000/batch=200", "ctx=1000/batch=100", "ctx=1000/batch=100/samples=2", "ctx=2000/batch=200/samples=2"}, names)
	assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 200}}, f.fake.loads, "a second prompt of a loaded cell takes no load")
	assert.Equal(t, list, f.fake.samples)
	assert.Equal(t, 0, summary.Missing, "a cell that a search did not need is not missing")
	assert.Equal(t, 2, summary.PassedOver)
	assert.Equal(t, `# 4 cells: 0 already measured; the search measures as many more as it needs
# 1/4 ctx=2000/batch=200: 2200.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 5s; next in the list
# 2/4 ctx=1000/batch=100: 1100.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 10s; next in the list
# 2/4 ctx=1000/batch=100/samples=2: 1100.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 11s; next in the list
# 2/4 ctx=2000/batch=200/samples=2: 2200.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 16s; next in the list
`, f.log.String())

	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, &checkpoint.Answer{Best: cell.Key{Ctx: 2000, Batch: 200}, Rate: cp.Result(cell.Key{Ctx: 2000, Batch: 200}).SampleRates()[0], Done: true, Why: "the list has ended"}, cp.Sweep.Search)
	v, ok := VerdictOf(cp)
	require.True(t, ok)
	assert.Equal(t, cell.Key{Ctx: 2000, Batch: 200}, cell.Key{Ctx: v.Recommended.Ctx, Batch: v.Recommended.Batch})

	f = newFixture(t, dir)
	summary, _ = f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}}, f.fake.loads, "an exhaustive sweep resumes a search")
}

// forecasting is a strategy that predicts with each load how many are left.
type forecasting struct {
	sweep Strategy
	ahead []Range
}

func (f *forecasting) Next(s State) Choice {
	choice := f.sweep.Next(s)
	if len(choice.Cells) > 0 && choice.Cells[0] != s.Loaded && len(f.ahead) > 0 {
		choice.Ahead, f.ahead = f.ahead[0], f.ahead[1:]
	}
	return choice
}

func TestWidened(t *testing.T) {
	r := Range{2, 10}
	assert.Equal(t, r, r.Widened(0, 40))
	assert.Equal(t, r, r.Widened(0.1, 40))
	assert.Equal(t, Range{2, 20}, r.Widened(0.24, 40))
	assert.Equal(t, Range{2, 15}, r.Widened(0.24, 15))
	assert.Equal(t, r, r.Widened(0.24, 5))
}

// TestSearchETA: the ETA of a search is a range, computed from its own prediction and the pace so
// far. While it takes another prompt of a loaded cell, its last prediction counts.
func TestSearchETA(t *testing.T) {
	begin := func(filtered bool, budget int) string {
		f := newFixture(t, t.TempDir())
		f.Filtered, f.BudgetCells = filtered, budget
		f.Strategy = &forecasting{&scripted{cells: []cell.Key{{Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 100}}}, []Range{{3, 4}, {2, 3}, {1, 1}}}
		f.names(t.Context())
		return f.log.String()
	}
	assert.Equal(t, `# 4 cells: 0 already measured; the search measures as many more as it needs, likely 3 to 4
# 1/4 ctx=2000/batch=200: 2200.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 5s, ETA 10s to 15s; next in the list
# 2/4 ctx=1000/batch=100: 1100.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 10s, ETA 5s to 10s; next in the list
# 2/4 ctx=1000/batch=100/samples=2: 1100.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 11s, ETA 5s to 10.1s; next in the list
# 3/4 ctx=2000/batch=100: 2100.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 16s; next in the list
`, begin(false, 0))
	assert.NotContains(t, begin(true, 0), "ETA", "the caller may skip cells")
	assert.Contains(t, begin(false, 2), "elapsed 5s, ETA 5s; next in the list", "the budget ends it")
}

// TestRunSearchStops stops a search by a budget and by an interrupt, and resumes it.
func TestRunSearchStops(t *testing.T) {
	list := []cell.Key{{Ctx: 2000, Batch: 200}, {Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 200}}
	for _, test := range []struct {
		name string
		stop func(*fixture, context.CancelFunc)
		want error
	}{
		{"cells", func(f *fixture, _ context.CancelFunc) { f.BudgetCells = 1 }, ErrBudget},
		{"time", func(f *fixture, _ context.CancelFunc) { f.BudgetEnd = noon.Add(5500e6) }, ErrBudget},
		{"interrupt", func(f *fixture, cancel context.CancelFunc) {
			f.fake.onSample = func() {
				if len(f.fake.samples) == 2 {
					cancel()
				}
			}
		}, ErrInterrupted},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			f := newFixture(t, dir)
			f.Strategy = &scripted{cells: list}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test.stop(f, cancel)
			summary, _ := f.names(ctx)
			assert.ErrorIs(t, summary.Stop, test.want)
			assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 200}, {Ctx: 2000, Batch: 200}}, f.fake.samples, "a prompt of a loaded cell costs no cell")
			assert.Positive(t, summary.Missing)
			cp, err := checkpoint.Load(f.Store.Path())
			require.NoError(t, err)
			assert.Equal(t, cell.Key{Ctx: 2000, Batch: 200}, cp.Sweep.Search.Best)
			assert.Equal(t, "stopped: "+test.want.Error(), cp.Sweep.Search.Why)
			assert.False(t, cp.Sweep.Search.Done)

			f = newFixture(t, dir)
			f.Strategy = &scripted{cells: list}
			summary, names := f.names(t.Context())
			require.NoError(t, summary.Stop)
			assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 200}}, f.fake.samples)
			assert.Contains(t, names[0], "ctx=2000/batch=200 already measured: ")
		})
	}
}

func TestRunSkipsCellsThatTheCallerSkips(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Filtered = true
	s := &scripted{cells: []cell.Key{{Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 200}}}
	f.Strategy = s
	summary := f.Run(t.Context(), func(name string, measure func() Outcome) {
		if strings.HasPrefix(name, "ctx=1000/") {
			measure()
		}
	})
	require.NoError(t, summary.Usable())
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 200}}, f.fake.samples)
	assert.Equal(t, checkpoint.Measured{Closed: true}, s.asked[1].Measured[cell.Key{Ctx: 2000, Batch: 200}])
}

// outOfMemory has the next n loads of each cell fail.
func (f *fixture) outOfMemory(class measurement.Class, n int, cells ...cell.Key) {
	for _, c := range cells {
		for range n {
			f.fake.loadErrs[c] = append(f.fake.loadErrs[c], &measurement.Failure{Class: class, Detail: "cudaMalloc failed: out of memory"})
		}
	}
}

func TestRunPrunes(t *testing.T) {
	dir := t.TempDir()
	pruning := func() *fixture {
		f := newFixture(t, dir)
		f.sweeps(cell.Grid{Ctx: []int{1000, 2000}, Batch: []int{100, 200, 300}})
		f.Store = openStore(t, dir, checkpoint.Header{Model: "m", NumCtx: []int{1000, 2000}, NumBatch: []int{100, 200, 300}, Prune: true})
		f.Prune = true
		return f
	}
	f := pruning()
	f.outOfMemory(measurement.OutOfGPUMemory, 2, cell.Key{Ctx: 1000, Batch: 200})
	summary, names := f.names(t.Context())
	require.NoError(t, summary.Usable())
	pruned := " pruned: it needs at least the memory of ctx=1000/batch=200, which failed twice in a row: CUDA OOM"
	want := []string{
		"ctx=1000/batch=100",
		"ctx=1000/batch=200 CUDA OOM: cudaMalloc failed: out of memory",
		"ctx=1000/batch=300" + pruned, "ctx=2000/batch=200" + pruned, "ctx=2000/batch=300" + pruned,
		"ctx=2000/batch=100",
	}
	assert.Equal(t, want, names)
	assert.Equal(t, 3, summary.Pruned)
	assert.Equal(t, 0, summary.Missing)
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Len(t, cp.Results, 3, "a pruned cell has no result, neither a rate nor a failure")
	assert.Equal(t, map[cell.Key]cell.Key{{Ctx: 1000, Batch: 300}: {Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 200}: {Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 300}: {Ctx: 1000, Batch: 200}}, cp.Pruned())

	f = pruning()
	summary, names = f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Empty(t, f.fake.loads)
	assert.Len(t, names, 6)

	f = pruning()
	f.RetryFailed = true
	summary, names = f.names(t.Context())
	require.NoError(t, summary.Usable())
	assert.Len(t, f.fake.loads, 4, "once the failed cell works, nothing is pruned")
	assert.Equal(t, 0, summary.Pruned+summary.Missing)
	assert.Len(t, names, 6)
}

func TestRunPrunesOnlyByGPUMemory(t *testing.T) {
	for _, class := range []measurement.Class{measurement.ResourceAllocation, measurement.Timeout, measurement.RunnerCrashed, measurement.OutOfSystemMemory} {
		t.Run(string(class), func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.Prune = true
			f.outOfMemory(class, 2, cell.Key{Ctx: 1000, Batch: 100})
			summary, _ := f.names(t.Context())
			assert.Equal(t, 0, summary.Pruned)
			assert.Equal(t, 1, summary.Failed)
			assert.Equal(t, 3, summary.Rated)
		})
	}
	t.Run("without -prune", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		f.outOfMemory(measurement.OutOfGPUMemory, 2, cell.Key{Ctx: 1000, Batch: 100})
		summary, _ := f.names(t.Context())
		assert.Equal(t, 3, summary.Rated)
		assert.Nil(t, f.Store.Checkpoint().Pruned())
	})
}

func TestPruned(t *testing.T) {
	plan, _ := cell.Grid{Ctx: []int{10, 20, 30}, Batch: []int{1, 2, 3}}.Cells()
	known := map[cell.Key]checkpoint.Measured{{Ctx: 20, Batch: 2}: {Failed: true, Memory: true}, {Ctx: 30, Batch: 1}: {Failed: true}}
	assert.Equal(t, map[cell.Key]cell.Key{{Ctx: 20, Batch: 3}: {Ctx: 20, Batch: 2}, {Ctx: 30, Batch: 2}: {Ctx: 20, Batch: 2}, {Ctx: 30, Batch: 3}: {Ctx: 20, Batch: 2}}, checkpoint.Pruned(plan, known))
	known[cell.Key{Ctx: 10, Batch: 2}] = checkpoint.Measured{Failed: true, Memory: true}
	known[cell.Key{Ctx: 30, Batch: 3}] = checkpoint.Measured{Rates: []float64{1}}
	assert.Empty(t, checkpoint.Pruned(plan, known), "a cell worked that needs more memory than each that failed")
	known[cell.Key{Ctx: 10, Batch: 3}] = checkpoint.Measured{Failed: true, Memory: true}
	delete(known, cell.Key{Ctx: 30, Batch: 3})
	known[cell.Key{Ctx: 30, Batch: 2}] = checkpoint.Measured{Rates: []float64{1}}
	assert.Equal(t, map[cell.Key]cell.Key{{Ctx: 20, Batch: 3}: {Ctx: 10, Batch: 3}, {Ctx: 30, Batch: 3}: {Ctx: 10, Batch: 3}}, checkpoint.Pruned(plan, known))
}

func TestSearchResumesAnyCheckpoint(t *testing.T) {
	dir := t.TempDir()
	shard := checkpoint.Header{Model: "m", NumCtx: []int{1000, 2000}, NumBatch: []int{100, 200}, Shard: cell.Shard{Index: 1, Count: 2}}
	store := openStore(t, dir, shard)
	require.NoError(t, store.Put(measured(1000, 100, 5)))
	shard.Shard = cell.Shard{Index: 2, Count: 2}
	_, err := checkpoint.OpenStore(dir, shard, false, noon)
	assert.ErrorContains(t, err, `shard is "1/2" there and "2/2" here`)

	shard.Strategy = config.StrategyBest
	store, err = checkpoint.OpenStore(dir, shard, false, noon)
	require.NoError(t, err)
	store.SetAnswer(&checkpoint.Answer{Best: cell.Key{Ctx: 1000, Batch: 100}, Rate: 5})
	require.NoError(t, store.Save())
	store, err = checkpoint.OpenStore(dir, shard, false, noon)
	require.NoError(t, err)
	assert.Equal(t, cell.Key{Ctx: 1000, Batch: 100}, store.Checkpoint().Sweep.Search.Best, "of the same strategy")
	shard.Strategy = config.StrategyFrontier
	store, err = checkpoint.OpenStore(dir, shard, false, noon)
	require.NoError(t, err)
	assert.Nil(t, store.Checkpoint().Sweep.Search, "of another")
	assert.Len(t, store.Checkpoint().Measured(), 1)
}

func TestDecodeRefusesASearchWithoutItsBest(t *testing.T) {
	_, err := checkpoint.Decode([]byte(fmt.Sprintf(`{"version": %d, "sweep": {"model": "m", "search": {"best": {"num_ctx": 8, "num_batch": 8}}}, "results": []}`, checkpoint.Version)))
	assert.EqualError(t, err, "search: best is ctx=8/batch=8, which has no result")
}

func TestParseBudget(t *testing.T) {
	for text, want := range map[string]config.Budget{"2h": {Time: 7200e9}, "40cells": {Cells: 40}, "40 cells": {Cells: 40}} {
		b, err := config.ParseBudget(text)
		require.NoError(t, err)
		assert.Equal(t, want, b)
		assert.NoError(t, b.Check())
	}
	for _, text := range []string{"", "cells", "-3cells", "0cells", "1.5cells", "40", "forty cells", "99999999999999999999cells"} {
		_, err := config.ParseBudget(text)
		assert.Error(t, err, text)
	}
}

func TestParseTolerance(t *testing.T) {
	for text, want := range map[string]config.Tolerance{"1%": 0.01, "0.5 %": 0.005, "0.02": 0.02} {
		v, err := config.ParseTolerance(text)
		require.NoError(t, err)
		assert.InDelta(t, float64(want), float64(v), 1e-12)
		assert.NoError(t, v.Check())
	}
	for _, text := range []string{"", "%", "a%", "1%%", "NaN%", "Inf", "-1%", "0%", "100%"} {
		v, err := config.ParseTolerance(text)
		if err == nil {
			err = v.Check()
		}
		assert.Error(t, err, text)
	}
}
