package sweep

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// sweptBefore measures every cell of the plan at its own rate, and returns the bytes of the
// checkpoint.
func sweptBefore(t *testing.T, dir string, repeat int) []byte {
	t.Helper()
	f := newFixture(t, dir)
	f.Repeat = repeat
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	return readFile(t, f.Store.Path())
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

// newRedo returns a sweep with -redo an hour later, on a server that is a tenth faster.
func newRedo(t *testing.T, dir string, repeat int) *fixture {
	t.Helper()
	f := newFixture(t, dir)
	f.Repeat, f.Redo, f.Filtered = repeat, true, true
	f.fake.clock = noon.Add(time.Hour)
	f.fake.rate = func(c cell.Key) float64 { return 1.1 * float64(c.Ctx+c.Batch) }
	return f
}

// only measures the cells with these names, and returns their outcomes.
func (f *fixture) only(ctx context.Context, names ...string) (Summary, map[string]Outcome) {
	outcomes := make(map[string]Outcome)
	summary := f.Run(ctx, func(name string, measure func() Outcome) {
		if slices.Contains(names, name) {
			outcomes[name] = measure()
		}
	})
	return summary, outcomes
}

// copies returns the checkpoints that were kept under another name.
func (f *fixture) copies(t *testing.T) []string {
	t.Helper()
	copies, err := filepath.Glob(filepath.Join(f.dir, "benchmark_results-*.json"))
	require.NoError(t, err)
	return copies
}

func TestRedoMeasuresNamedCellsAgain(t *testing.T) {
	dir := t.TempDir()
	before := sweptBefore(t, dir, 2)
	old, err := checkpoint.Decode(before)
	require.NoError(t, err)
	f := newRedo(t, dir, 2)
	summary, outcomes := f.only(t.Context(), "ctx=1000/batch=200", "ctx=2000/batch=100")
	require.NoError(t, summary.Usable())
	assert.Len(t, outcomes, 2)
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}}, f.fake.loads, "each with a load of its own")
	assert.Equal(t, Summary{Planned: 4, Measured: 2, Rated: 4, Elapsed: 12 * time.Second}, summary)

	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	require.Len(t, cp.Results, 4)
	assert.Equal(t, old.Results[0], cp.Results[0])
	assert.Equal(t, old.Results[3], cp.Results[3])
	for _, r := range cp.Results[1:3] {
		require.Len(t, r.Samples, 2, "the old samples are replaced")
		assert.InDelta(t, 1.1*float64(r.NumCtx+r.NumBatch), *r.PromptEvalRate, 0.1)
		assert.True(t, r.Timestamp.After(noon.Add(time.Hour)))
	}
	copies := f.copies(t)
	require.Len(t, copies, 1, "one copy of all")
	assert.Equal(t, filepath.Join(dir, "benchmark_results-20260301-130005.000.json"), copies[0])
	assert.Equal(t, before, readFile(t, copies[0]))
	assert.Equal(t, `# 4 cells: 4 already measured, of which those that -run names are measured again
# the checkpoint with the old samples is kept as `+copies[0]+`
# 2/4 ctx=1000/batch=200: 1320.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 6s
# 3/4 ctx=2000/batch=100: 2310.0 tokens/s (load 3s); best 2310.0 at ctx=2000/batch=100; elapsed 12s
`, f.log.String())

	f = newRedo(t, dir, 2)
	f.only(t.Context(), "ctx=2000/batch=100")
	assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 100}}, f.fake.loads, "a second redo measures it again")
	assert.Len(t, f.copies(t), 2)
}

func TestRedoMeasuresMissingCellsToo(t *testing.T) {
	f := newRedo(t, t.TempDir(), 1)
	summary, _ := f.only(t.Context(), "ctx=1000/batch=200")
	require.NoError(t, summary.Usable())
	assert.Equal(t, 3, summary.Missing)
	assert.Empty(t, f.copies(t), "nothing was replaced")
}

func TestRedoOfNoCell(t *testing.T) {
	dir := t.TempDir()
	before := sweptBefore(t, dir, 1)
	f := newRedo(t, dir, 1)
	summary, _ := f.only(t.Context(), "ctx=1000/batch=201")
	require.ErrorIs(t, summary.Stop, ErrNoCell)
	assert.Empty(t, f.fake.loads)
	assert.Equal(t, before, readFile(t, f.Store.Path()))
}

// TestRedoThatIsStopped stops a redo of two cells before and after the first new
// sample.
func TestRedoThatIsStopped(t *testing.T) {
	named := []string{"ctx=1000/batch=200", "ctx=2000/batch=100"}
	for _, test := range []struct {
		name string
		stop func(*fixture, context.CancelFunc)
		want error
		new  int // samples in the first named cell, 0 for the old ones
	}{
		{"interrupt in the load", func(f *fixture, cancel context.CancelFunc) {
			f.fake.alterLoaded = func(*measurement.Loaded) { cancel() }
			f.fake.loadErrs[cell.Key{Ctx: 1000, Batch: 200}] = []error{context.Canceled}
		}, ErrInterrupted, 0},
		{"interrupt after the first sample", func(f *fixture, cancel context.CancelFunc) {
			f.fake.onSample = cancel
			f.fake.errs[cell.Key{Ctx: 1000, Batch: 200}] = []error{nil, context.Canceled}
		}, ErrInterrupted, 1},
		{"budget of time", func(f *fixture, _ context.CancelFunc) { f.BudgetEnd = noon }, ErrBudget, 0},
		{"budget of cells", func(f *fixture, _ context.CancelFunc) { f.BudgetCells = 1 }, ErrBudget, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			before := sweptBefore(t, dir, 2)
			f := newRedo(t, dir, 2)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test.stop(f, cancel)
			summary, _ := f.only(ctx, named...)
			assert.ErrorIs(t, summary.Stop, test.want)
			if test.new == 0 {
				assert.Equal(t, before, readFile(t, f.Store.Path()))
				assert.Empty(t, f.copies(t))
				return
			}
			cp, err := checkpoint.Load(f.Store.Path())
			require.NoError(t, err)
			old, err := checkpoint.Decode(before)
			require.NoError(t, err)
			require.Len(t, cp.Results[1].Samples, test.new)
			assert.InDelta(t, 1320, *cp.Results[1].PromptEvalRate, 0.1)
			assert.Equal(t, old.Results[2], cp.Results[2], "the second cell has its old samples")
			copies := f.copies(t)
			require.Len(t, copies, 1)
			assert.Equal(t, before, readFile(t, copies[0]))

			f = newRedo(t, dir, 2)
			summary, _ = f.only(t.Context(), named...)
			require.NoError(t, summary.Usable())
			assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}}, f.fake.loads, "the same command measures all again")
		})
	}
}

func TestRedoStopsWithoutACopy(t *testing.T) {
	dir := t.TempDir()
	sweptBefore(t, dir, 1)
	f := newRedo(t, dir, 1)
	require.NoError(t, os.RemoveAll(dir))
	summary, _ := f.only(t.Context(), "ctx=1000/batch=200")
	assert.ErrorContains(t, summary.Stop, "copying the checkpoint before replacing a cell: ")
	r, _ := f.Store.Result(cell.Key{Ctx: 1000, Batch: 200})
	assert.InDelta(t, 1200, *r.PromptEvalRate, 0.1, "the old sample stays")
	assert.Empty(t, f.bench)
}

func TestRedoOfFailures(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	f.outOfMemory(measurement.OutOfGPUMemory, 2, cell.Key{Ctx: 1000, Batch: 200})
	f.run(t.Context())

	f = newRedo(t, dir, 1)
	f.outOfMemory(measurement.OutOfGPUMemory, 2, cell.Key{Ctx: 2000, Batch: 100})
	summary, outcomes := f.only(t.Context(), "ctx=1000/batch=200", "ctx=2000/batch=100")
	require.NoError(t, summary.Usable())
	assert.Equal(t, Outcome{}, outcomes["ctx=1000/batch=200"])
	assert.Equal(t, "CUDA OOM: cudaMalloc failed: out of memory", outcomes["ctx=2000/batch=100"].Skip)
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.InDelta(t, 1320, *cp.Result(cell.Key{Ctx: 1000, Batch: 200}).PromptEvalRate, 0.1)
	failed := cp.Result(cell.Key{Ctx: 2000, Batch: 100})
	assert.Equal(t, measurement.OutOfGPUMemory, *failed.Error)
	assert.Empty(t, failed.Samples, "a failure replaces the old samples")
	require.Len(t, f.copies(t), 1)
}

// TestRedoAndPruning: a cell stays pruned as long as the cell that it is pruned by fails.
func TestRedoAndPruning(t *testing.T) {
	dir := t.TempDir()
	pruning := func(redo bool) *fixture {
		f := newFixture(t, dir)
		if redo {
			f = newRedo(t, dir, 1)
		}
		f.Store = openStore(t, dir, checkpoint.Header{Model: "m", NumCtx: []int{1000, 2000}, NumBatch: []int{100, 200}, Prune: true})
		f.Prune = true
		return f
	}
	f := pruning(false)
	f.outOfMemory(measurement.OutOfGPUMemory, 2, cell.Key{Ctx: 1000, Batch: 200})
	summary, _ := f.run(t.Context())
	require.Equal(t, 1, summary.Pruned)

	f = pruning(true)
	search := &scripted{}
	f.Strategy = search
	summary, outcomes := f.only(t.Context(), "ctx=2000/batch=100", "ctx=2000/batch=200")
	assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 100}}, f.fake.loads)
	assert.Contains(t, outcomes["ctx=2000/batch=200"].Skip, "pruned: it needs at least the memory of ctx=1000/batch=200")
	assert.Equal(t, 1, summary.Pruned)
	assert.Zero(t, summary.Missing)
	require.Len(t, search.asked, 1, "for its answer alone")
	assert.Equal(t, checkpoint.Measured{Closed: true}, search.asked[0].Measured[cell.Key{Ctx: 2000, Batch: 200}])

	f = pruning(true)
	_, outcomes = f.only(t.Context(), "ctx=1000/batch=200", "ctx=2000/batch=200")
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 200}}, f.fake.loads, "once that works, it is measured")
	assert.Equal(t, Outcome{}, outcomes["ctx=2000/batch=200"])
}

func TestRedoInRounds(t *testing.T) {
	dir := t.TempDir()
	sweptBefore(t, dir, 2)
	f := newRedo(t, dir, 2)
	f.Rounds = true
	summary, outcomes := f.only(t.Context(), "ctx=1000/batch=200/round=1", "ctx=2000/batch=100/round=1", "ctx=1000/batch=200/round=2", "ctx=2000/batch=100/round=2")
	require.NoError(t, summary.Usable())
	assert.Len(t, outcomes, 4)
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}, {Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}}, f.fake.loads)
	for i, r := range f.Store.Checkpoint().Results {
		want := float64(r.NumCtx + r.NumBatch)
		if i == 1 || i == 2 {
			want *= 1.1
		}
		assert.Len(t, r.Samples, 2)
		assert.InDelta(t, want, *r.PromptEvalRate, 0.1)
	}
}

// TestRedoOfTheLoadedCell: a cell that was just measured as the reference is loaded again.
func TestRedoOfTheLoadedCell(t *testing.T) {
	dir := t.TempDir()
	sweptBefore(t, dir, 1)
	f := newRedo(t, dir, 1)
	f.ReferenceEvery = 1
	require.NoError(t, f.Store.PutAuxiliary(checkpoint.Auxiliary{Purpose: checkpoint.Reference, Result: measured(1000, 200, 1)}, false))
	f.only(t.Context(), "ctx=1000/batch=100", "ctx=1000/batch=200")
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 200}, {Ctx: 1000, Batch: 200}, {Ctx: 1000, Batch: 200}}, f.fake.loads)
	assert.Equal(t, []checkpoint.Purpose{checkpoint.Reference, checkpoint.Reference, checkpoint.Reference}, purposes(f.Store.Checkpoint()), "the reference cell is measured as before")
}

// TestRedoForgetsConfirmations: confirmations of a cell are removed with its old samples, since
// they would count with the new ones.
func TestRedoForgetsConfirmations(t *testing.T) {
	dir := t.TempDir()
	sweptBefore(t, dir, 1)
	again := func(p checkpoint.Purpose, ctx, batch int) {
		s := openStore(t, dir, checkpoint.Header{Model: "m", NumCtx: []int{1000, 2000}, NumBatch: []int{100, 200}})
		require.NoError(t, s.PutAuxiliary(checkpoint.Auxiliary{Purpose: p, Result: measured(ctx, batch, 5)}, false))
	}
	again(checkpoint.Reference, 2000, 200)
	again(checkpoint.Confirm, 2000, 200)
	again(checkpoint.Confirm, 2000, 100)
	again(checkpoint.Baseline, 2000, 200)
	again(checkpoint.Baseline, 2000, 0)
	again(checkpoint.Confirm, 2000, 200)
	f := newRedo(t, dir, 1)
	f.only(t.Context(), "ctx=2000/batch=200")
	assert.Contains(t, f.log.String(), "# ctx=2000/batch=200: 4 samples that confirmed the old ones are removed too; ")
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, []checkpoint.Purpose{checkpoint.Reference, checkpoint.Confirm}, purposes(cp))
	assert.Equal(t, cell.Key{Ctx: 2000, Batch: 100}, cp.Auxiliary[1].Cell(), "that of another cell stays")
}

// TestRedoAfterASearch: a redo measures the named cells alone, and updates the answer of the
// search.
func TestRedoAfterASearch(t *testing.T) {
	list := []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 200}}
	dir := t.TempDir()
	searching := func(redo bool) *fixture {
		f := newFixture(t, dir)
		if redo {
			f = newRedo(t, dir, 1)
		}
		f.Store = openStore(t, dir, checkpoint.Header{Model: "m", NumCtx: []int{1000, 2000}, NumBatch: []int{100, 200}, Strategy: config.StrategyBest})
		f.Strategy = &scripted{cells: list}
		return f
	}
	f := searching(false)
	f.run(t.Context())
	require.InDelta(t, 2200, f.Store.Checkpoint().Sweep.Search.Rate, 0.1)

	f = searching(true)
	summary, _ := f.only(t.Context(), "ctx=2000/batch=200", "ctx=2000/batch=100")
	require.NoError(t, summary.Usable())
	assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 100}, {Ctx: 2000, Batch: 200}}, f.fake.loads)
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, cell.Key{Ctx: 2000, Batch: 200}, cp.Sweep.Search.Best)
	assert.InDelta(t, 2420, cp.Sweep.Search.Rate, 0.1)
	assert.True(t, cp.Sweep.Search.Done)
	assert.Zero(t, summary.Missing)
	assert.Equal(t, 1, summary.PassedOver)

	list = append(list, cell.Key{Ctx: 1000, Batch: 200}) // as by the new figures
	f = searching(true)
	summary, _ = f.only(t.Context(), "ctx=2000/batch=200")
	require.NoError(t, summary.Usable())
	assert.False(t, f.Store.Checkpoint().Sweep.Search.Done)
	assert.Equal(t, 1, summary.Missing, "the search has more to measure now")
	f = searching(false)
	f.run(t.Context())
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 200}}, f.fake.loads)
}

// TestRedoInterruptedInASearch: no answer is left that rests on a replaced sample.
func TestRedoInterruptedInASearch(t *testing.T) {
	dir := t.TempDir()
	sweptBefore(t, dir, 2)
	s := openStore(t, dir, checkpoint.Header{Model: "m"})
	s.SetAnswer(&checkpoint.Answer{Best: cell.Key{Ctx: 1000, Batch: 200}, Rate: 1200})
	assert.Zero(t, s.DropDerived(cell.Key{Ctx: 1000, Batch: 200}))
	require.NoError(t, s.Put(measured(1000, 200, 1320)))
	cp, err := checkpoint.Load(s.Path())
	require.NoError(t, err)
	assert.Nil(t, cp.Sweep.Search)
}
