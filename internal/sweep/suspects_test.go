package sweep

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

var noDevice = &measurement.Failure{Class: measurement.RunnerCrashed, Detail: "CUDA error: no CUDA-capable device is detected"}

// wide has twenty cells.
var wide = cell.Grid{Ctx: []int{1000, 2000, 3000, 4000}, Batch: []int{100, 200, 300, 400, 500}}

func wideFixture(t *testing.T, dir string) *fixture {
	t.Helper()
	f := newFixture(t, dir)
	f.sweeps(wide)
	return f
}

// breaks has every load from the n-th on fail with the error.
func (f *fixture) breaks(n int, err error) {
	f.fake.loadErr = func(cell.Key) error {
		if len(f.fake.loads) >= n {
			return err
		}
		return nil
	}
}

// failsAbove has the cells run out of memory whose num_ctx is above a limit.
func (f *fixture) failsAbove(limit int) {
	f.fake.loadErr = func(c cell.Key) error {
		if c.Ctx > limit {
			return &measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "cudaMalloc failed: out of memory"}
		}
		return nil
	}
}

// saved counts the results in the checkpoint's file, none where there is no file.
func (f *fixture) saved(t *testing.T) (measured, failed int) {
	t.Helper()
	if _, err := os.Stat(f.Store.Path()); err != nil {
		return 0, 0
	}
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	for _, r := range cp.Results {
		if r.Failed() {
			failed++
		} else {
			measured++
		}
	}
	return measured, failed
}

// TestRunStopsWhereTheServerIsBroken: where three cells in a row fail, and then one that worked
// before, the failed cells stay unmeasured.
func TestRunStopsWhereTheServerIsBroken(t *testing.T) {
	for _, failure := range []*measurement.Failure{
		noDevice,
		{Class: measurement.OutOfGPUMemory, Detail: "another program has the memory"},
		{Class: measurement.ModelError, Detail: "unable to load model: no such file"},
		{Class: measurement.Timeout, Detail: "no output"},
		{Class: measurement.NoFigures, Detail: "not an answer of Ollama"},
	} {
		t.Run(string(failure.Class), func(t *testing.T) {
			dir := t.TempDir()
			f := wideFixture(t, dir)
			f.breaks(8, failure)
			summary, outcomes := f.run(t.Context())
			require.ErrorContains(t, summary.Usable(), "3 cells in a row failed, and then ctx=2000/batch=200, which worked before: the server does not work, so the failed cells count as not measured; ")
			assert.ErrorContains(t, summary.Usable(), "; its error: "+string(failure.Class)+": "+failure.Detail)
			assert.Len(t, outcomes, 10)
			assert.Equal(t, 7, summary.Measured)
			assert.Zero(t, summary.Failed)
			assert.Equal(t, 13, summary.Missing)
			assert.Contains(t, f.log.String(), "# 3 cells in a row failed: loading ctx=2000/batch=200, which worked before, to check whether the server still works\n")
			measured, failed := f.saved(t)
			assert.Equal(t, 7, measured)
			assert.Zero(t, failed)
			assert.Len(t, f.bench, 7, "the sample of the test is not reported")

			f = wideFixture(t, dir)
			summary, _ = f.run(t.Context())
			require.NoError(t, summary.Usable())
			assert.Equal(t, 13, summary.Measured)
			measured, failed = f.saved(t)
			assert.Equal(t, 20, measured)
			assert.Zero(t, failed)
		})
	}
}

// TestRunKeepsFailuresOfSize: where a part of the grid does not fit into memory, the server is tested
// less and less often.
func TestRunKeepsFailuresOfSize(t *testing.T) {
	f := newFixture(t, t.TempDir())
	var batches []int
	for i := range 50 {
		batches = append(batches, 100+i)
	}
	f.sweeps(cell.Grid{Ctx: []int{1000, 2000}, Batch: batches})
	f.failsAbove(1000)
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 50, summary.Failed)
	measured, failed := f.saved(t)
	assert.Equal(t, 50, measured)
	assert.Equal(t, 50, failed)
	var after []int // failed cells before each load of one that worked
	seen := map[cell.Key]bool{}
	for _, c := range f.fake.loads[50:] {
		if c.Ctx == 1000 {
			after = append(after, len(seen))
		}
		seen[c] = c.Ctx == 2000 || seen[c]
		if c.Ctx == 1000 {
			delete(seen, c)
		}
	}
	assert.Equal(t, []int{3, 9, 21, 33, 45, 50}, after)
	assert.Equal(t, 6, strings.Count(f.log.String(), "# the server works: the failures belong to their cells\n"))
}

// TestRunKeepsSingleFailures: a failure between cells that work takes no further loads, and is saved
// with the next cell.
func TestRunKeepsSingleFailures(t *testing.T) {
	f := wideFixture(t, t.TempDir())
	f.fake.loadErr = func(c cell.Key) error {
		if c.Batch >= 400 {
			return &measurement.Failure{Class: measurement.ModelError, Detail: "no"}
		}
		return nil
	}
	f.OnSample = func(r *checkpoint.Result, _ measurement.Sample) error {
		_, failed := f.saved(t)
		assert.Equal(t, 2*(r.NumCtx/1000-1), failed, "those before %v", r.Cell())
		return nil
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Len(t, f.fake.loads, 20, "the last two are kept too, since the server worked before")
	_, failed := f.saved(t)
	assert.Equal(t, 8, failed)
	for i, r := range f.Store.Checkpoint().Results {
		assert.Equal(t, f.Plan[i], r.Cell(), "in order of measurement")
	}
}

// TestRunWhereNothingEverWorked: the test is a load with the server's own num_batch.
func TestRunWhereNothingEverWorked(t *testing.T) {
	own := cell.Key{Ctx: 1000}
	f := wideFixture(t, t.TempDir())
	f.fake.loadErr = func(c cell.Key) error {
		if c != own {
			return noDevice
		}
		return nil
	}
	summary, _ := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "nothing could be measured")
	assert.Equal(t, 20, summary.Failed)
	_, failed := f.saved(t)
	assert.Equal(t, 20, failed, "the server works, but the cells don't")
	assert.Empty(t, f.fake.samples)
	assert.Contains(t, f.log.String(), "# 3 cells in a row failed: loading ctx=1000 and the server's own num_batch, to check whether the server still works\n")

	f = wideFixture(t, t.TempDir())
	f.breaks(0, noDevice)
	summary, outcomes := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "3 cells in a row failed, and then ctx=1000 and the server's own num_batch: the server does not work")
	assert.Len(t, outcomes, 3)
	assert.NoFileExists(t, f.Store.Path())

	f = newFixture(t, t.TempDir()) // also where the plan has fewer cells than that
	f.Plan = f.Plan[:1]
	f.breaks(0, noDevice)
	summary, _ = f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "ctx=1000/batch=100 failed, and then ctx=1000 and the server's own num_batch: ")
	assert.NoFileExists(t, f.Store.Path())
}

// TestRunWhereTheFirstValueFails: with the first value of a setting nothing works, such as a server that does
// not start. The test has another value, and the cells with that are measured.
func TestRunWhereTheFirstValueFails(t *testing.T) {
	for name, test := range map[string]struct {
		axes     []cell.SettingAxis
		works    string // in the names of the cells that do
		test     string // that the server is tested with
		measured int
	}{
		"a setting of the server": {[]cell.SettingAxis{{Name: "num_thread", Values: []string{"1", "2", "3", "4"}}, {Name: "num_parallel", Values: []string{"1", "2"}}}, "num_parallel=2", "ctx=1000/num_thread=1/num_parallel=2", 16},
		"an option":               {[]cell.SettingAxis{{Name: "num_gpu", Values: []string{"40", "30", "20", "0"}}}, "num_gpu=0", "ctx=1000/num_gpu=0", 4},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.sweeps(cell.Grid{Ctx: []int{1000, 2000}, Batch: []int{100, 200}, Settings: test.axes})
			f.fake.loadErr = func(c cell.Key) error {
				if !strings.Contains(c.String(), test.works) {
					return &measurement.Failure{Class: measurement.ModelError, Detail: "it exited at once"}
				}
				return nil
			}
			summary, _ := f.run(t.Context())
			require.NoError(t, summary.Usable())
			assert.Contains(t, f.log.String(), "# 3 cells in a row failed: loading "+test.test+" and the server's own num_batch, to check whether the server still works\n")
			measured, failed := f.saved(t)
			assert.Equal(t, test.measured, measured)
			assert.Equal(t, len(f.Plan)-test.measured, failed)
		})
	}

	f := newFixture(t, t.TempDir())
	f.sweeps(cell.Grid{Ctx: []int{1000, 2000}, Batch: []int{100, 200}, Settings: []cell.SettingAxis{{Name: "num_gpu", Values: []string{"40", "30"}}}})
	f.breaks(0, noDevice)
	summary, _ := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "3 cells in a row failed, and then ctx=1000/num_gpu=40 and the server's own num_batch: the server does not work")
}

// TestRunThatEndsAmongFailures: a run that is stopped before anything worked again leaves the last
// failed cells to the next run, which ends with the same checkpoint as an unbroken one.
func TestRunThatEndsAmongFailures(t *testing.T) {
	file := func(stops ...int) string {
		dir := t.TempDir()
		for _, stop := range append(stops, -1) {
			f := wideFixture(t, dir)
			f.Sweep.Now = func() time.Time { return noon }
			f.failsAbove(2000)
			ctx, cancel := context.WithCancel(t.Context())
			fails := f.fake.loadErr
			f.fake.loadErr = func(c cell.Key) error {
				if len(f.fake.loads) == stop {
					cancel()
				}
				return fails(c)
			}
			summary, _ := f.run(ctx)
			if stop > 11 {
				assert.ErrorIs(t, summary.Stop, ErrInterrupted)
				assert.Equal(t, 20, summary.Rated+summary.Failed+summary.Missing, "%+v", summary)
			}
		}
		data, err := os.ReadFile(filepath.Join(dir, checkpoint.FileName))
		require.NoError(t, err)
		return string(data)
	}
	unbroken := file()
	for stop := 9; stop < 28; stop++ {
		assert.Equal(t, unbroken, file(stop), "stopped in load %d", stop)
	}

	f := wideFixture(t, t.TempDir())
	f.breaks(11, noDevice)
	ctx, cancel := context.WithCancel(t.Context())
	broken := f.fake.loadErr
	f.fake.loadErr = func(c cell.Key) error {
		if len(f.fake.loads) == 14 { // the second try of the second cell
			cancel()
		}
		return broken(c)
	}
	f.run(ctx)
	assert.Contains(t, f.log.String(), "# 1 cell failed last, and nothing worked after that: they count as not measured, and the next run measures them\n")
}

// TestBudgetAmongFailures: where a budget ends among failures, they are tested and saved where
// possible, so that the next run has less to do.
func TestBudgetAmongFailures(t *testing.T) {
	dir := t.TempDir()
	for run, want := range []int{2, 4, 6, 8, 10} {
		f := wideFixture(t, dir)
		f.failsAbove(2000)
		f.BudgetCells = 2
		if run == 0 {
			f.BudgetCells = 12
		}
		summary, _ := f.run(t.Context())
		require.ErrorIs(t, summary.Stop, map[bool]error{true: nil, false: ErrBudget}[run == 4])
		_, failed := f.saved(t)
		assert.Equal(t, want, failed, "run %d", run)
	}

	f := wideFixture(t, t.TempDir())
	f.breaks(11, noDevice)
	f.BudgetCells = 12
	summary, _ := f.run(t.Context())
	assert.ErrorIs(t, summary.Stop, ErrBudget)
	_, failed := f.saved(t)
	assert.Equal(t, 2, failed, "two are too few for a test")

	f = wideFixture(t, t.TempDir())
	f.breaks(11, noDevice)
	f.BudgetEnd = noon.Add(10*5*time.Second + 3*8*time.Second - time.Second) // passed in the third that fails
	summary, _ = f.run(t.Context())
	assert.ErrorIs(t, summary.Stop, ErrBudget)
	measured, failed := f.saved(t)
	assert.Equal(t, 10, measured)
	assert.Zero(t, failed, "there was no time for a test")
	assert.Contains(t, f.log.String(), "# 3 cells failed last, and nothing worked after that")
}

// TestRedoOfABrokenServer: the old results stay.
func TestRedoOfABrokenServer(t *testing.T) {
	dir := t.TempDir()
	f := wideFixture(t, dir)
	f.run(t.Context())
	before, err := os.ReadFile(f.Store.Path())
	require.NoError(t, err)

	f = wideFixture(t, dir)
	f.Redo = true
	f.breaks(0, noDevice)
	summary, outcomes := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "3 cells in a row failed, and then ctx=4000/batch=500, which worked before: ")
	assert.Len(t, outcomes, 3)
	after, err := os.ReadFile(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))

	f = wideFixture(t, dir)
	f.Redo = true
	f.fake.clock = noon.Add(time.Hour)
	f.failsAbove(3000)
	summary, _ = f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 5, summary.Failed)
	assert.Len(t, f.fake.loads, 20+5+1, "each once, a second try of those that fail, and one test")
	copies, err := filepath.Glob(filepath.Join(dir, "benchmark_results-*.json"))
	require.NoError(t, err)
	assert.Len(t, copies, 1)
}

// TestRetryFailedOfABrokenServer: the failures stay as they were.
func TestRetryFailedOfABrokenServer(t *testing.T) {
	dir := t.TempDir()
	f := wideFixture(t, dir)
	f.failsAbove(2000)
	f.run(t.Context())
	before, err := os.ReadFile(f.Store.Path())
	require.NoError(t, err)

	f = wideFixture(t, dir)
	f.RetryFailed = true
	f.breaks(0, noDevice)
	summary, _ := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "and then ctx=2000/batch=500, which worked before: ")
	assert.Equal(t, 10, summary.Missing)
	after, err := os.ReadFile(f.Store.Path())
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))
}

// TestPruneOfABrokenServer: one failure by which other cells are pruned is tested at the end.
func TestPruneOfABrokenServer(t *testing.T) {
	f := wideFixture(t, t.TempDir())
	f.Prune = true
	f.fake.loadErr = func(c cell.Key) error {
		if len(f.fake.loads) > 10 {
			return &measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "another program has the memory"}
		}
		return nil
	}
	summary, _ := f.run(t.Context())
	require.ErrorContains(t, summary.Usable(), "and then ctx=2000/batch=500, which worked before: the server does not work")
	assert.Zero(t, summary.Pruned)
	assert.Equal(t, 10, summary.Missing)
	_, failed := f.saved(t)
	assert.Zero(t, failed)

	f = wideFixture(t, t.TempDir())
	f.Prune = true
	f.failsAbove(2000)
	summary, _ = f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 9, summary.Pruned)
	assert.Equal(t, 1, summary.Failed)
	assert.Len(t, f.fake.loads, 10+2+1)
}

// TestRoundsOfABrokenServer: samples of earlier rounds count.
func TestRoundsOfABrokenServer(t *testing.T) {
	dir := t.TempDir()
	f := wideFixture(t, dir)
	f.Rounds, f.Repeat = true, 2
	f.breaks(26, noDevice)
	summary, _ := f.run(t.Context())
	require.ErrorContains(t, summary.Usable(), "and then ctx=1000/batch=500, which worked before: ")
	assert.Equal(t, 15, summary.Missing)
	measured, failed := f.saved(t)
	assert.Equal(t, 20, measured)
	assert.Zero(t, failed)

	f = wideFixture(t, dir)
	f.Rounds, f.Repeat = true, 2
	summary, _ = f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Len(t, f.fake.loads, 15)
}

// TestAuxiliaryLoadsOfABrokenServer: the server is tested after one failure of an auxiliary
// measurement.
func TestAuxiliaryLoadsOfABrokenServer(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*fixture)
		load int // the first that fails
	}{
		{"the first confirmation", func(f *fixture) { f.Leaders = 2 }, 21},
		{"a later confirmation", func(f *fixture) { f.Leaders = 2 }, 23},
		{"baseline", func(f *fixture) { f.Baseline = config.BaselineOn }, 22},
		{"reference", func(f *fixture) { f.ReferenceEvery = 20 }, 21},
		{"hosts, after the plan", func(f *fixture) { f.HostCells, f.Host = f.Plan[:1], "a" }, 21},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := wideFixture(t, t.TempDir())
			f.fake.rate = func(c cell.Key) float64 { return 1000 + float64(c.Ctx%777) }
			test.set(f)
			f.breaks(test.load, noDevice)
			summary, _ := f.run(t.Context())
			require.ErrorContains(t, summary.Usable(), " failed, and then ctx=")
			for _, r := range f.Store.Checkpoint().Auxiliary {
				assert.False(t, r.Failed())
			}
			assert.Zero(t, summary.Failed)
			assert.Equal(t, 20, summary.Rated)
			measured, failed := f.saved(t)
			assert.Equal(t, 20, measured)
			assert.Zero(t, failed)
		})
	}

	f := wideFixture(t, t.TempDir()) // the server works, and the cell fails
	f.Leaders = 2
	f.fake.loadErr = func(c cell.Key) error {
		if len(f.fake.loads) > 20 && c == (cell.Key{Ctx: 4000, Batch: 500}) {
			return noDevice
		}
		return nil
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	failed := 0
	for _, r := range f.Store.Checkpoint().Auxiliary {
		if r.Failed() {
			failed++
		}
	}
	assert.Equal(t, 1, failed, "it is not loaded again")
}

// TestFailuresThatProveTheServerWorks: they are saved at once, without a test.
func TestFailuresThatProveTheServerWorks(t *testing.T) {
	f := wideFixture(t, t.TempDir())
	f.fake.loadErr = func(c cell.Key) error {
		if c.Ctx > 2000 {
			return &measurement.Failure{Class: measurement.ContextClamped, Detail: fmt.Sprint(c)}
		}
		return nil
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Len(t, f.fake.loads, 20)
	assert.Equal(t, 10, summary.Failed)
}

// TestRetakeOfABrokenServer: the cells in doubt stay as they were.
func TestRetakeOfABrokenServer(t *testing.T) {
	f := wideFixture(t, t.TempDir())
	f.Retake = true
	f.fake.alterSample = func(s *measurement.Sample) {
		if len(f.fake.samples) == 7 {
			s.CPU = &measurement.CPUUse{Count: 2, Server: 0.5, Others: 1.5}
		}
	}
	f.breaks(21, noDevice)
	summary, _ := f.run(t.Context())
	require.ErrorContains(t, summary.Usable(), "ctx=2000/batch=200 failed, and then ctx=4000/batch=500, which worked before: ")
	assert.Equal(t, 20, summary.Rated)
	measured, failed := f.saved(t)
	assert.Equal(t, 20, measured)
	assert.Zero(t, failed)

	again := newFixture(t, f.dir) // the next run, whose budget is spent after that load
	again.Plan, again.Retake, again.BudgetEnd = f.Plan, true, noon.Add(time.Second)
	again.breaks(0, noDevice)
	summary, _ = again.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Len(t, again.fake.loads, 2, "it is tried twice")
	assert.Equal(t, 20, summary.Rated)
}
