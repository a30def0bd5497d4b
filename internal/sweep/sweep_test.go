package sweep

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// fakeRunner returns samples with a rate that depends on the cell, and takes a
// second for each. Errors that are set for a cell come first.
type fakeRunner struct {
	clock     time.Time
	cell      cell.Key
	loads     []cell.Key
	samples   []cell.Key
	prompts   []string
	loadErrs  map[cell.Key][]error
	errs      map[cell.Key][]error
	readyErr  error
	unloaded  int
	settled   int
	settleErr error
	onSample  func()
	loadErr   func(cell.Key) error // of each load, where there is none in loadErrs

	rate        func(cell.Key) float64 // tokens per second; nil for the sum of num_ctx and num_batch
	alterLoaded func(*measurement.Loaded)
	alterSample func(*measurement.Sample)
}

func (f *fakeRunner) now() time.Time { return f.clock }

func pop(errs map[cell.Key][]error, c cell.Key) (err error) {
	if list := errs[c]; len(list) > 0 {
		err, errs[c] = list[0], list[1:]
	}
	return err
}

func (f *fakeRunner) Ready(context.Context) error { return f.readyErr }

func (f *fakeRunner) Load(_ context.Context, c cell.Key, warmup func() string) (measurement.Loaded, error) {
	f.cell = c
	f.loads = append(f.loads, f.cell)
	f.clock = f.clock.Add(4 * time.Second)
	words := len(strings.Fields(warmup()))
	loaded := measurement.Loaded{
		Warmup:        measurement.Sample{PromptEvalCount: 10 + 2*words, PromptEvalDuration: time.Second, LoadDuration: 3 * time.Second, TotalDuration: 4 * time.Second},
		ContextLength: c.Ctx, Size: 7, // without a GPU the first whole prompts are samples too
	}
	if f.alterLoaded != nil {
		f.alterLoaded(&loaded)
	}
	err := pop(f.loadErrs, f.cell)
	if err == nil && f.loadErr != nil {
		err = f.loadErr(f.cell)
	}
	return loaded, err
}

func (f *fakeRunner) Sample(_ context.Context, prompts func() string) (measurement.Sample, error) {
	prompt := prompts()
	f.prompts = append(f.prompts, prompt)
	f.clock = f.clock.Add(time.Second)
	if err := pop(f.errs, f.cell); err != nil {
		return measurement.Sample{}, err
	}
	f.samples = append(f.samples, f.cell)
	if f.onSample != nil {
		f.onSample()
	}
	s := sample(float64(f.cell.Ctx + f.cell.Batch))
	s.PromptEvalCount = 10 + 2*len(strings.Fields(prompt))
	rate := float64(f.cell.Ctx + f.cell.Batch)
	if f.rate != nil {
		rate = f.rate(f.cell)
	}
	s.PromptEvalDuration = time.Duration(float64(s.PromptEvalCount) / rate * float64(time.Second))
	s.TotalDuration = s.LoadDuration + s.PromptEvalDuration + s.EvalDuration
	if f.alterSample != nil {
		f.alterSample(&s)
	}
	return s, nil
}

func (f *fakeRunner) Unload(context.Context) error { f.unloaded++; return nil }

func (f *fakeRunner) Settle(context.Context) error { f.settled++; return f.settleErr }

// fixture is a sweep of a fake server with its own folder.
type fixture struct {
	*Sweep
	fake  *fakeRunner
	dir   string
	log   bytes.Buffer
	bench []string
}

func newFixture(t testing.TB, dir string) *fixture {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p"), []byte(strings.Repeat("once upon a time ", 60)), 0o644))
	prompter, err := NewPrompter(config.Prompt{File: filepath.Join(dir, "p")}, 2)
	require.NoError(t, err)
	prompter.SetSizing(checkpoint.Sizing{Fixed: 10 + 2*16, PerWord: 2, FileTokens: 522})
	f := &fixture{dir: dir, fake: &fakeRunner{clock: noon, errs: map[cell.Key][]error{}, loadErrs: map[cell.Key][]error{}}}
	plan, _ := cell.Grid{Ctx: []int{1000, 2000}, Batch: []int{100, 200}}.Cells()
	f.Sweep = &Sweep{
		Plan:        plan,
		Runner:      f.fake,
		Store:       openStore(t, dir, checkpoint.Header{Model: "m", NumCtx: []int{1000, 2000}, NumBatch: []int{100, 200}}),
		Prompter:    prompter,
		Repeat:      1,
		CellTimeout: time.Minute,
		OnSample: func(r *checkpoint.Result, s measurement.Sample) error {
			f.bench = append(f.bench, r.Cell().String())
			return nil
		},
		Log: lines.Comments(&f.log),
		Now: f.fake.now,
	}
	return f
}

// sweeps sets the grid.
func (f *fixture) sweeps(g cell.Grid) {
	f.Plan, _ = g.Cells()
	header := &f.Store.Checkpoint().Sweep
	header.NumCtx, header.NumBatch, header.Axes = g.Ctx, g.Batch, g.Settings
}

// run measures every cell and returns their outcomes.
func (f *fixture) run(ctx context.Context) (Summary, []Outcome) {
	var outcomes []Outcome
	summary := f.Run(ctx, func(_ string, measure func() Outcome) { outcomes = append(outcomes, measure()) })
	return summary, outcomes
}

func TestRunMeasuresInColumnOrder(t *testing.T) {
	f := newFixture(t, t.TempDir())
	summary, outcomes := f.run(t.Context())
	require.NoError(t, summary.Usable())
	want := []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}, {Ctx: 2000, Batch: 200}}
	assert.Equal(t, want, f.fake.loads)
	assert.Equal(t, want, f.fake.samples)
	assert.Equal(t, make([]Outcome, 4), outcomes)
	assert.Equal(t, []string{"ctx=1000/batch=100", "ctx=1000/batch=200", "ctx=2000/batch=100", "ctx=2000/batch=200"}, f.bench)
	assert.Equal(t, Summary{Planned: 4, Measured: 4, Rated: 4, Elapsed: 20 * time.Second}, summary)
	assert.Equal(t, `# 4 cells: 0 already measured, 4 to measure
# 1/4 ctx=1000/batch=100: 1100.0 tokens/s (load 3s); best 1100.0 at ctx=1000/batch=100; elapsed 5s, ETA 15s
# 2/4 ctx=1000/batch=200: 1200.0 tokens/s (load 3s); best 1200.0 at ctx=1000/batch=200; elapsed 10s, ETA 10s
# 3/4 ctx=2000/batch=100: 2100.0 tokens/s (load 3s); best 2100.0 at ctx=2000/batch=100; elapsed 15s, ETA 5s
# 4/4 ctx=2000/batch=200: 2200.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 20s, ETA 0s
`, f.log.String())
	for i, prompt := range f.fake.prompts {
		for _, other := range f.fake.prompts[:i] {
			assert.NotEqual(t, other[:24], prompt[:24], "every prompt begins with another nonce")
		}
	}

	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	r := cp.Result(cell.Key{Ctx: 2000, Batch: 100})
	assert.Equal(t, 2000, r.ContextLength)
	assert.Equal(t, int64(7), r.Size)
	assert.Equal(t, int64(7), r.Size)
	assert.Equal(t, 3*time.Second, r.LoadDuration())
	assert.Equal(t, 2, r.Samples[0].EvalCount)
}

func TestRunResumes(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	f.fake.onSample = func() {
		if len(f.fake.samples) == 2 {
			cancel()
		}
	}
	summary, _ := f.run(ctx)
	assert.ErrorIs(t, summary.Usable(), ErrInterrupted)
	assert.Equal(t, 2, summary.Missing, "the samples so far are kept")

	f = newFixture(t, dir)
	summary, outcomes := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 100}, {Ctx: 2000, Batch: 200}}, f.fake.loads)
	assert.Equal(t, "already measured: 1100.00 tokens/s on 2026-03-01 (-redo measures it again)", outcomes[0].Skip)
	assert.Contains(t, f.log.String(), "# 4 cells: 2 already measured, 2 to measure")
	assert.Contains(t, f.log.String(), "elapsed 5s, ETA 5s", "cells of an earlier run do not count in the estimate")

	f = newFixture(t, dir)
	f.Repeat = 3
	_, _ = f.run(t.Context())
	assert.Len(t, f.fake.samples, 8, "more repeats take only the samples that are lacking")
	assert.Len(t, f.Store.Checkpoint().Results[0].Samples, 3)
}

// TestRunResumesToTheSameBytes stops after each number of samples, resumes, and
// expects the checkpoint of an unbroken run.
func TestRunResumesToTheSameBytes(t *testing.T) {
	file := func(stops ...int) string {
		dir := t.TempDir()
		for _, stop := range append(stops, -1) {
			f := newFixture(t, dir)
			f.Repeat = 2
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
	for stop := 1; stop < 8; stop++ {
		assert.Equal(t, unbroken, file(stop), "stopped after %d samples", stop)
	}
	assert.Equal(t, unbroken, file(1, 1, 2, 3))
}

func TestRunKeepsFailuresAsData(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	f.Repeat = 2
	oom := &measurement.Failure{Class: measurement.OutOfGPUMemory, Detail: "cudaMalloc failed:\n out of memory"}
	crash := fmt.Errorf("reading: %w", &measurement.Failure{Class: measurement.RunnerCrashed, Detail: "exit status 2"})
	f.fake.loadErrs[cell.Key{Ctx: 1000, Batch: 200}] = []error{oom, oom}
	f.fake.errs[cell.Key{Ctx: 2000, Batch: 100}] = []error{nil, crash, crash}
	summary, outcomes := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, "CUDA OOM: cudaMalloc failed: out of memory", outcomes[1].Skip)
	assert.Equal(t, 2, summary.Failed)
	assert.Equal(t, 2, summary.Rated)
	assert.Zero(t, summary.Missing)
	assert.Contains(t, f.log.String(), "# 2/4 ctx=1000/batch=200: CUDA OOM: cudaMalloc failed: out of memory; best 1100.0 at ctx=1000/batch=100; 1 failed; elapsed 14s, ETA 15s")
	r, _ := f.Store.Result(cell.Key{Ctx: 2000, Batch: 100})
	assert.Equal(t, measurement.RunnerCrashed, *r.Error)
	assert.Len(t, r.Samples, 1, "a sample before the crash is kept")
	assert.Nil(t, r.PromptEvalRate, "but gives no rate")

	f = newFixture(t, dir)
	f.Repeat = 2
	_, outcomes = f.run(t.Context())
	assert.Empty(t, f.fake.loads, "a failed cell is not measured again")
	assert.Equal(t, "failed on 2026-03-01: CUDA OOM: cudaMalloc failed: out of memory (-retry-failed or -redo measures it again)", outcomes[1].Skip)

	f = newFixture(t, dir)
	f.Repeat, f.RetryFailed = 2, true
	_, _ = f.run(t.Context())
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}}, f.fake.loads)
	r, _ = f.Store.Result(cell.Key{Ctx: 2000, Batch: 100})
	assert.Nil(t, r.Error)
	assert.Empty(t, r.Detail)
	assert.Len(t, r.Samples, 2, "samples from before the crash do not count")
}

func TestRunFailsWhenNothingHasARate(t *testing.T) {
	f := newFixture(t, t.TempDir())
	for _, c := range f.Plan {
		f.fake.loadErrs[c] = []error{&measurement.Failure{Class: measurement.ModelError, Detail: "no"}}
	}
	summary, _ := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "nothing could be measured")
}

func TestRunTimesOutACell(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.CellTimeout = time.Nanosecond
	f.fake.errs[cell.Key{Ctx: 1000, Batch: 100}] = []error{context.DeadlineExceeded}
	f.Plan = f.Plan[:1]
	summary, outcomes := f.run(t.Context())
	assert.Equal(t, "Timeout or no output: not done within 1ns (cell_timeout)", outcomes[0].Skip)
	assert.Equal(t, 2, f.fake.unloaded, "it is unloaded, as at the start")
	assert.ErrorContains(t, summary.Usable(), "nothing could be measured")
}

func TestRunWaitsForAServerThatIsAway(t *testing.T) {
	away := &measurement.Failure{Class: measurement.ServerAway, Detail: "connection refused"}
	f := newFixture(t, t.TempDir())
	f.Repeat = 2
	f.fake.errs[cell.Key{Ctx: 1000, Batch: 100}] = []error{nil, away}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 1000, Batch: 100}}, f.fake.loads[:2], "the cell is loaded again")
	assert.Len(t, f.Store.Checkpoint().Results[0].Samples, 2, "and only the lacking sample taken")
	assert.Contains(t, f.log.String(), "# ctx=1000/batch=100: server away: connection refused: waiting for it")

	f = newFixture(t, t.TempDir())
	f.fake.errs[cell.Key{Ctx: 1000, Batch: 100}] = []error{away, away, away}
	_, outcomes := f.run(t.Context())
	assert.Equal(t, "Runner crashed: the server went away 3 times during this cell: connection refused", outcomes[0].Skip)
	assert.Len(t, f.fake.samples, 3, "the other cells are measured")

	f = newFixture(t, t.TempDir())
	f.fake.errs[cell.Key{Ctx: 1000, Batch: 200}] = []error{away}
	f.fake.readyErr = errors.New("stayed away for 10m0s")
	summary, outcomes = f.run(t.Context())
	assert.EqualError(t, summary.Usable(), "stayed away for 10m0s")
	assert.Len(t, outcomes, 2, "no further cell begins")
	assert.Equal(t, 3, summary.Missing)
	_, known := f.Store.Result(cell.Key{Ctx: 1000, Batch: 200})
	assert.False(t, known, "it is no failure of the cell")
}

func TestRunStopsWhenSavingFails(t *testing.T) {
	f := newFixture(t, t.TempDir())
	require.NoError(t, os.RemoveAll(f.dir))
	summary, outcomes := f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "saving checkpoint")
	assert.Len(t, outcomes, 1)
	assert.Empty(t, f.bench, "a sample that is not saved is not reported")
}

func TestRunStopsBeforeTheDeadline(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Deadline = time.Now().Add(time.Hour)
	f.fake.clock = f.Deadline.Add(-12 * time.Second) // cells take five
	f.Now = f.fake.now
	summary, _ := f.run(t.Context())
	assert.ErrorIs(t, summary.Stop, ErrDeadline)
	assert.EqualError(t, summary.Usable(), "the sweep was cut, and 2 of 4 cells lack samples: the time that go test allows is too short for another cell; -timeout 0 lifts the limit, and the same command resumes the sweep", "a CI job must not treat it as complete")
	assert.Equal(t, 2, summary.Measured)
	assert.Contains(t, f.log.String(), "# warning: 4 cells of 5s (an assumption) need 20s, and go test allows 12s more: -timeout 0 lifts the limit")
	assert.Equal(t, 1, strings.Count(f.log.String(), "warning"), "one warning")
	var out bytes.Buffer
	require.NoError(t, summary.Print(&out))
	assert.Contains(t, out.String(), "-timeout 0 lifts the limit")

	f = newFixture(t, t.TempDir())
	f.Deadline = time.Now().Add(-time.Second)
	summary, _ = f.run(t.Context())
	assert.ErrorContains(t, summary.Usable(), "nothing was measured: the time that go test allows")
}

func TestUsable(t *testing.T) {
	cut := fmt.Errorf("in a cell: %w", ErrDeadline)
	for _, test := range []struct {
		name string
		s    Summary
		want string // empty for a run that is fine
	}{
		{"whole", Summary{Planned: 4, Rated: 4}, ""},
		{"some failed", Summary{Planned: 4, Rated: 1}, ""},
		{"all failed", Summary{Planned: 4}, "nothing could be measured: no cell of the plan has a rate"},
		{"a shard without cells", Summary{}, ""},
		{"budget", Summary{Planned: 4, Rated: 1, Missing: 3, Stop: ErrBudget}, ""},
		{"budget of nothing", Summary{Planned: 4, Missing: 4, Stop: ErrBudget}, "nothing was measured: the budget is spent"},
		{"time limit", Summary{Planned: 4, Rated: 1, Missing: 3, Stop: cut}, "the sweep was cut, and 3 of 4 cells lack samples: in a cell: "},
		{"time limit before the last confirmation", Summary{Planned: 4, Rated: 4, Stop: ErrDeadline}, "the sweep was cut, and 0 of 4 cells lack samples: "},
		{"time limit of a search", Summary{Planned: 400, Rated: 9, Missing: 391, Search: true, Stop: ErrDeadline}, "the search was cut: "},
		{"time limit before the first cell", Summary{Planned: 4, Missing: 4, Stop: ErrDeadline}, "nothing was measured: the time that go test allows"},
		{"interrupt", Summary{Planned: 4, Rated: 4, Stop: ErrInterrupted}, "interrupted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.s.Usable()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.want)
			if test.s.Stop != nil {
				assert.ErrorIs(t, err, test.s.Stop)
			}
		})
	}
}

func TestRunStopsWhenTheBudgetIsSpent(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.BudgetEnd = noon.Add(7 * time.Second)
	summary, _ := f.run(t.Context())
	assert.ErrorIs(t, summary.Stop, ErrBudget)
	assert.NoError(t, summary.Usable(), "the budget is a planned stop")
	assert.Equal(t, 2, summary.Measured)
}

// TestRunOnAClockThatJumps: the clock jumps a day forward and two days back, as on
// a machine that slept, and one whose date was corrected.
func TestRunOnAClockThatJumps(t *testing.T) {
	f := newFixture(t, t.TempDir())
	jumps := []time.Duration{24 * time.Hour, -48 * time.Hour, 0, 0}
	f.fake.onSample = func() { f.fake.clock = f.fake.clock.Add(jumps[len(f.fake.samples)-1]) }
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, 4, summary.Measured)
	assert.Zero(t, summary.Elapsed)
	assert.Equal(t, `# 4 cells: 0 already measured, 4 to measure
# 1/4 ctx=1000/batch=100: 1100.0 tokens/s (load 3s); best 1100.0 at ctx=1000/batch=100; elapsed 24h0m5s, ETA 3m0s
# 2/4 ctx=1000/batch=200: 1200.0 tokens/s (load 3s); best 1200.0 at ctx=1000/batch=200; elapsed 0s, ETA 1m0s
# 3/4 ctx=2000/batch=100: 2100.0 tokens/s (load 3s); best 2100.0 at ctx=2000/batch=100; elapsed 0s, ETA 21.8s
# 4/4 ctx=2000/batch=200: 2200.0 tokens/s (load 3s); best 2200.0 at ctx=2000/batch=200; elapsed 0s, ETA 0s
`, f.log.String())
}

func TestRunOfAFilter(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Filtered = true
	summary := f.Run(t.Context(), func(name string, measure func() Outcome) {
		if name == "ctx=2000/batch=100" {
			measure()
		}
	})
	require.NoError(t, summary.Usable())
	assert.Equal(t, []cell.Key{{Ctx: 2000, Batch: 100}}, f.fake.samples)
	assert.Contains(t, f.log.String(), "# 3/4 ctx=2000/batch=100: 2100.0 tokens/s (load 3s); best 2100.0 at ctx=2000/batch=100; elapsed 5s\n", "the time to the end is not known")
	assert.Equal(t, 3, summary.Missing)
}

// TestRunOfAFilterThatMatchesNothing: the error lists the names that exist, and nothing is
// measured. A filter that matches a measured cell is no error.
func TestRunOfAFilterThatMatchesNothing(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.Filtered = true
	only := func(want string) Summary {
		return f.Run(t.Context(), func(name string, measure func() Outcome) {
			if name == want {
				measure()
			}
		})
	}
	summary := only("ctx=2000/batch=63")
	require.ErrorIs(t, summary.Stop, ErrNoCell)
	assert.EqualError(t, summary.Usable(), "no cell matches: num_ctx is one of 1000, 2000, and num_batch one of 100, 200; the first cell is Sweep/ctx=1000/batch=100")
	assert.Empty(t, f.fake.loads)
	assert.NoFileExists(t, f.Store.Path())

	require.NoError(t, only("ctx=2000/batch=100").Usable())
	require.NoError(t, only("ctx=2000/batch=100").Usable(), "it is in the checkpoint")
	assert.Len(t, f.fake.loads, 1)
	assert.ErrorIs(t, only("ctx=2000/batch=63").Usable(), ErrNoCell, "whatever the checkpoint holds")

	f.Rounds, f.Repeat = true, 2
	assert.ErrorIs(t, only("ctx=2000/batch=100/round=3").Stop, ErrNoCell)
	require.NoError(t, only("ctx=2000/batch=100/round=2").Usable())
	f.Plan = nil
	require.NoError(t, only("ctx=2000/batch=63").Usable(), "a shard may have no cell")

	f = newFixture(t, t.TempDir())
	f.Filtered = true
	f.sweeps(cell.Grid{Ctx: []int{1000}, Batch: []int{100, 200}, Settings: []cell.SettingAxis{{Name: "num_thread", Values: []string{"8", "4"}}, {Name: "ollama", Values: []string{"0.31.1", "0.31.1+2"}}}})
	assert.EqualError(t, only("ctx=1000/batch=100/num_thread=3").Usable(), `no cell matches: num_ctx is one of 1000, and num_batch one of 100, 200, num_thread one of 8, 4, ollama one of 0.31.1, 0.31.1+2; the first cell is Sweep/ctx=1000/batch=100/num_thread=8/ollama=0\.31\.1`)
}

func TestSomeOf(t *testing.T) {
	assert.Equal(t, "8, 16", cell.Some([]int{8, 16}))
	var many []int
	for i := range 39 {
		many = append(many, 128*(i+1))
	}
	assert.Equal(t, "128, 256, 384, 512, 640, 768, 896, 1024, 1152, 1280, 1408, … 4992 (39 values)", cell.Some(many))
}

func TestRunSizesPrompts(t *testing.T) {
	f := newFixture(t, t.TempDir())
	var err error
	f.Prompter, err = NewPrompter(config.Prompt{Tokens: 500}, 2)
	require.NoError(t, err)
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	require.Len(t, f.fake.prompts, 9, "five of the sizing, then one per cell")
	for _, r := range f.Store.Checkpoint().Results {
		assert.InDelta(t, 500, r.Samples[0].PromptEvalCount, 2)
		assert.LessOrEqual(t, r.Samples[0].PromptEvalCount, 500)
	}
}
