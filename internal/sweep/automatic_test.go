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
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

func TestBaselineReason(t *testing.T) {
	short, long := Pace{Load: 9 * time.Second, Prompt: time.Minute}, Pace{Load: 10 * time.Second, Prompt: time.Second}
	assert.Equal(t, "a load takes 9s", BaselineReason(config.BaselineAuto, false, short, 4, 4))
	assert.Empty(t, BaselineReason(config.BaselineAuto, false, long, 400, 400), "twelve of 400 loads are 3 %")
	assert.Equal(t, "they take less than 3 % of the sweep's time", BaselineReason(config.BaselineAuto, false, long, 401, 401))
	assert.Equal(t, "this is a search", BaselineReason(config.BaselineAuto, true, long, 4, 4))
	for _, choice := range []config.Baseline{config.BaselineOff, config.BaselineOn} {
		assert.Empty(t, BaselineReason(choice, true, short, 4, 4), "the config decides")
	}
}

// automatic returns a sweep of four cells with the default automatic measurements, on a server whose
// own num_batch is 512. Loads take half a second.
func automatic(t *testing.T, dir string) *fixture {
	t.Helper()
	f := newFixture(t, t.TempDir())
	f.dir, f.Store = dir, openStore(t, dir, checkpoint.Header{Model: "m", OllamaVersion: "0.10.1"})
	f.sweeps(cell.Grid{Ctx: []int{1024, 2048}, Batch: []int{256, 512}})
	f.RepeatUntilClear, f.Baseline = true, config.BaselineAuto
	f.loads(500 * time.Millisecond)
	return f
}

// loads has each load take so long, as reported by the server.
func (f *fixture) loads(took time.Duration) {
	f.fake.alterLoaded = func(l *measurement.Loaded) {
		l.Warmup.PromptEvalDuration, l.Warmup.LoadDuration, l.Warmup.TotalDuration = 0, took, took
	}
}

// differing sets rates that depend on the cell and the number of its samples in the checkpoint: they
// scatter by scatter, and num_batch 256 is faster by gain.
func (f *fixture) differing(scatter, gain float64) {
	f.fake.rate = func(c cell.Key) float64 {
		n := len(f.Store.Checkpoint().Auxiliary)
		if result := f.Store.Checkpoint().Result(c); result != nil && c.Batch > 0 {
			n += len(result.Samples)
		}
		// The fractional part of multiples of the golden ratio spreads evenly over 0 to 1.
		_, part := modf(float64(1+n)*0.618034 + float64(c.Ctx/1024+c.Batch/256)*0.7549)
		rate := 1000 * (1 + scatter*(2*part-1))
		if c.Batch == 256 {
			rate *= 1 + gain
		}
		return rate
	}
}

func modf(x float64) (whole, part float64) { whole = float64(int(x)); return whole, x - whole }

// noisy is a seed with which rates that scatter by a fifth never give clear advice.
const noisy = 4

func samplesOf(f *fixture) (counts []int) {
	for _, c := range f.Plan {
		n := 0
		if r := f.Store.Checkpoint().Result(c); r != nil {
			n = len(r.Samples)
		}
		counts = append(counts, n)
	}
	return counts
}

func baselineRounds(f *fixture) (n int) {
	for _, p := range purposes(f.Store.Checkpoint()) {
		if p == checkpoint.Baseline {
			n++
		}
	}
	return n
}

func TestRepeatsUntilTheAdviceIsClear(t *testing.T) {
	dir := t.TempDir()
	f := automatic(t, dir)
	f.Baseline = config.BaselineOff
	f.differing(0.03, 0.04)
	var names []string
	summary := f.Run(t.Context(), func(name string, measure func() Outcome) { names = append(names, name); measure() })
	require.NoError(t, summary.Usable())
	counts := samplesOf(f)
	require.Greater(t, counts[0], 1)
	assert.Equal(t, []int{counts[0], counts[0], counts[0], counts[0]}, counts, "all rounds are whole")
	assert.NotEqual(t, Unsure, adviceOf(f.Store.Checkpoint()).Kind)
	assert.Equal(t, 4*(counts[0]-1), summary.Repeats)
	assert.Equal(t, 4, summary.Measured)
	assert.Zero(t, summary.Missing)
	assert.Equal(t, "ctx=1024/batch=256/samples=2", names[4])
	log := f.log.String()
	assert.Contains(t, log, "# repeat: a second sample of every cell, then more samples and baseline rounds until the advice is clear, at most 2 minutes in all (-repeat=1: none)\n")
	assert.Contains(t, log, "# sample 2 of every cell\n# 1/4 ctx=1024/batch=256/samples=2: ")
	assert.Regexp(t, `# 4/4 ctx=2048/batch=512/samples=2: .*, ETA 0s\n`, log)
	assert.Regexp(t, `# 3/4 ctx=2048/batch=256/samples=2: .*, ETA 5s\n`, log, "a load and a prompt are still to come")
	var out strings.Builder
	require.NoError(t, summary.Print(&out))
	assert.Regexp(t, `This run: 4 cells measured and 0 failed, with \d+ more samples, in `, out.String())

	again := automatic(t, dir)
	again.Baseline = config.BaselineOff
	again.run(t.Context())
	assert.Empty(t, again.fake.loads, "the advice is clear")
}

// TestRepeatsEndInTime: repeats stop within RepeatTime on a machine that is too noisy for any advice,
// also where a sweep is started again.
func TestRepeatsEndInTime(t *testing.T) {
	dir := t.TempDir()
	f := automatic(t, dir)
	f.fake.rate = around(noisy, 0.2, func(cell.Key) float64 { return 1000 })
	f.Baseline = config.BaselineOff
	f.loads(5 * time.Second)
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	cp := f.Store.Checkpoint()
	require.Equal(t, Unsure, adviceOf(cp).Kind)
	assert.Equal(t, []int{5, 5, 5, 5}, samplesOf(f), "20 loads of 5 s and prompts of a second are two minutes")
	require.NotNil(t, adviceOf(cp).Next)
	assert.Equal(t, []string{"-repeat=6"}, adviceOf(cp).Next.Flags, "more than the sweep took automatically")

	again := automatic(t, dir)
	again.Baseline = config.BaselineOff
	again.run(t.Context())
	assert.Empty(t, again.fake.loads)
	assert.NotContains(t, again.log.String(), "# repeat: ", "a second sweep has no time for them")

	f = automatic(t, t.TempDir())
	f.fake.rate = around(noisy, 0.2, func(cell.Key) float64 { return 1000 })
	f.loads(time.Minute)
	f.run(t.Context())
	assert.Equal(t, []int{1, 1, 1, 1}, samplesOf(f), "a long sweep takes one sample per cell")
	assert.Zero(t, baselineRounds(f))
}

// TestBaselineDecides: where a baseline settles the advice with fewer loads than more samples do, it is
// measured instead, in more rounds until the advice is clear.
func TestBaselineDecides(t *testing.T) {
	dir := t.TempDir()
	f := automatic(t, dir)
	f.differing(0.1, 0.06)
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	rounds := baselineRounds(f)
	assert.Greater(t, rounds, 2*MostRounds, "six rounds can't show 6 % at this scatter")
	assert.NotContains(t, f.log.String(), "# baseline, round 7 ")
	assert.Contains(t, f.log.String(), "# the advice is not clear yet: 12 rounds of the baseline\n# baseline, median of 12 rounds: ctx=")
	advice := adviceOf(f.Store.Checkpoint())
	assert.True(t, advice.Baseline)
	assert.NotEqual(t, Unsure, advice.Kind)

	again := automatic(t, dir)
	again.run(t.Context())
	assert.Empty(t, again.fake.loads, "it is in the checkpoint")
}

// TestRequestedRounds: where a baseline leaves the advice open, that names the rounds which would decide, and
// they are measured once.
func TestRequestedRounds(t *testing.T) {
	sweeps := func(dir string, rounds config.Baseline) *fixture {
		f := automatic(t, dir)
		f.differing(0.1, 0.06)
		f.RepeatUntilClear, f.Repeat, f.Baseline = false, 2, rounds
		return f
	}
	dir := t.TempDir()
	f := sweeps(dir, config.BaselineOn)
	f.run(t.Context())
	require.Equal(t, 2*MostRounds, baselineRounds(f))
	a := adviceOf(f.Store.Checkpoint())
	require.True(t, a.Baseline)
	require.Equal(t, Unsure, a.Kind)
	require.NotNil(t, a.Next)
	assert.True(t, a.Next.Baseline)
	assert.Equal(t, []string{"-baseline=48"}, a.Next.Flags)
	assert.True(t, a.Next.Settles)
	assert.Equal(t, 2*(48-MostRounds), BaselineLoads(f.Store.Checkpoint(), 48))

	stopped := sweeps(dir, 48)
	ctx, cancel := context.WithCancel(t.Context())
	steady, left := stopped.fake.rate, 17
	stopped.fake.rate = func(c cell.Key) float64 {
		if left--; left == 0 {
			cancel()
		}
		return steady(c)
	}
	stopped.run(ctx)
	assert.Less(t, baselineRounds(stopped), 2*MostRounds+18)
	more := sweeps(dir, 48)
	more.run(t.Context())
	assert.Equal(t, 2*48, baselineRounds(more))
	assert.Contains(t, more.log.String(), "# baseline, median of 48 rounds: ctx=")
	assert.Equal(t, SetBatch, adviceOf(more.Store.Checkpoint()).Kind)
	for _, rounds := range []config.Baseline{config.BaselineOn, 48} {
		again := sweeps(dir, rounds)
		again.run(t.Context())
		assert.Empty(t, again.fake.loads)
	}
}

func TestAutomaticBaseline(t *testing.T) {
	f := automatic(t, t.TempDir())
	f.differing(0.001, 0.1)
	f.run(t.Context())
	assert.Equal(t, 2*MostRounds, baselineRounds(f))
	assert.Contains(t, f.log.String(), "# baseline: the server's own num_batch, 12 loads at the end, if a load takes less than 10s, or all of them less than 3 % of the time (-baseline=false: none)\n")

	for _, tt := range []struct {
		name  string
		alter func(*fixture)
	}{
		{"none is wanted", func(f *fixture) { f.Baseline = config.BaselineOff }},
		{"loads are long", func(f *fixture) { f.loads(shortLoad) }},
		{"the server's own num_batch is recommended", func(f *fixture) { f.differing(0.001, -0.1) }},
		{"one num_batch gives no advice", func(f *fixture) { f.sweeps(cell.Grid{Ctx: []int{1024, 2048}, Batch: []int{256}}) }},
		{"only a part of the plan is requested", func(f *fixture) { f.Filtered = true }},
		{"no time before the deadline", func(f *fixture) {
			f.Deadline = time.Now().Add(time.Hour)
			f.fake.clock = f.Deadline.Add(-40 * time.Second)
		}},
		{"no time in the budget", func(f *fixture) { f.BudgetEnd = noon.Add(40 * time.Second) }},
		{"no cells in the budget", func(f *fixture) { f.BudgetCells = 15 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := automatic(t, t.TempDir())
			f.differing(0.001, 0.1)
			tt.alter(f)
			summary, _ := f.run(t.Context())
			assert.Zero(t, baselineRounds(f))
			assert.NoError(t, summary.Stop, "measurements that nobody requested do not end in an error")
		})
	}

	f = automatic(t, t.TempDir())
	f.differing(0.001, 0.1)
	f.loads(shortLoad)
	f.Strategy = &scripted{cells: f.Plan}
	f.run(t.Context())
	assert.Contains(t, f.log.String(), "# baseline: the server's own num_batch, 12 loads at the end, because this is a search (-baseline=false: none)\n")
	assert.Equal(t, 2*MostRounds, baselineRounds(f))
	assert.NotContains(t, f.log.String(), "# repeat: ", "a search decides itself how many samples it takes")
}

// TestAutomaticResumesToTheSameBytes stops after each number of samples, also in repeats and in the
// baseline, and expects the checkpoint of an unbroken run.
func TestAutomaticResumesToTheSameBytes(t *testing.T) {
	race.SkipSequential(t)
	samples, repeated, turned := 0, false, false
	file := func(stop int) string {
		dir := t.TempDir()
		samples = 0
		for _, stop := range []int{stop, -1} {
			f := automatic(t, dir)
			f.differing(0.05, 0.03)
			f.Store.Checkpoint().Sweep.Started = noon
			f.Sweep.Now = func() time.Time { return noon }
			ctx, cancel := context.WithCancel(t.Context())
			f.fake.onSample = func() {
				if len(f.fake.samples) == stop {
					cancel()
				}
			}
			summary, _ := f.run(ctx)
			samples += len(f.fake.samples)
			repeated, turned = samplesOf(f)[0] > 1, baselineRounds(f) > 2*MostRounds
			if stop > 0 {
				assert.ErrorIs(t, summary.Usable(), ErrInterrupted)
			}
		}
		data, err := os.ReadFile(filepath.Join(dir, checkpoint.FileName))
		require.NoError(t, err)
		return string(data)
	}
	unbroken, all := file(-1), samples
	require.True(t, repeated, "more than one sample of a cell")
	require.True(t, turned, "more rounds than six")
	for stop := 1; stop < all; stop++ {
		assert.Equal(t, unbroken, file(stop), "stopped after %d samples of %d", stop, all)
	}
}

// TestNoRepeats: no more samples are taken where the sweep may not, or has no time for all cells.
func TestNoRepeats(t *testing.T) {
	for _, tt := range []struct {
		name  string
		alter func(*fixture)
		want  int // samples of each cell that has a rate
	}{
		{"repeat is set", func(f *fixture) { f.RepeatUntilClear, f.Repeat = false, 2 }, 2},
		{"a search", func(f *fixture) { f.Strategy = &scripted{cells: f.Plan} }, 1},
		{"a part of the plan", func(f *fixture) { f.Filtered = true }, 1},
		{"no time before the deadline", func(f *fixture) {
			f.Deadline = time.Now().Add(time.Hour)
			f.fake.clock = f.Deadline.Add(-25 * time.Second)
		}, 1},
		{"no time in the budget", func(f *fixture) { f.BudgetEnd = noon.Add(25 * time.Second) }, 1},
		{"no cells in the budget", func(f *fixture) { f.BudgetCells = 7 }, 1},
		{"cells in the budget", func(f *fixture) { f.BudgetCells = 11 }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := automatic(t, t.TempDir())
			f.Baseline = config.BaselineOff
			f.fake.rate = around(noisy, 0.2, func(cell.Key) float64 { return 1000 })
			tt.alter(f)
			summary, _ := f.run(t.Context())
			assert.NoError(t, summary.Stop)
			assert.Equal(t, []int{tt.want, tt.want, tt.want, tt.want}, samplesOf(f))
		})
	}
}

// TestRepeatsLeaveOutFailures: a cell that failed is not repeated, and one that fails in a repeat is
// saved as failed.
func TestRepeatsLeaveOutFailures(t *testing.T) {
	for _, retry := range []bool{false, true} {
		f := automatic(t, t.TempDir())
		f.sweeps(cell.Grid{Ctx: []int{1024, 2048}, Batch: []int{128, 256, 512}})
		f.Baseline, f.RetryFailed = config.BaselineOff, retry
		f.fake.rate = around(3, 0.3, func(cell.Key) float64 { return 1000 })
		crash := &measurement.Failure{Class: measurement.RunnerCrashed, Detail: "exit status 2"}
		f.fake.loadErrs[cell.Key{Ctx: 1024, Batch: 128}] = []error{crash, crash}
		f.fake.errs[cell.Key{Ctx: 2048, Batch: 128}] = []error{nil, crash, crash} // the second sample
		summary, outcomes := f.run(t.Context())
		require.NoError(t, summary.Usable())
		counts := samplesOf(f)
		assert.Zero(t, counts[0])
		assert.Equal(t, 1, counts[3], "no further sample of the cell that failed")
		assert.Greater(t, counts[1], 2)
		assert.Equal(t, 2, summary.Failed)
		assert.Equal(t, 4, summary.Measured)
		assert.Zero(t, summary.Missing)
		assert.Equal(t, "Runner crashed: exit status 2", outcomes[8].Skip)
	}
}

// TestAutomaticWithoutDurations: results of the older tool have no durations, so that no load is known
// to be short.
func TestAutomaticWithoutDurations(t *testing.T) {
	f := automatic(t, t.TempDir())
	rate := 1000.0
	for _, c := range f.Plan {
		require.NoError(t, f.Store.Put(checkpoint.Result{NumCtx: c.Ctx, NumBatch: c.Batch, PromptEvalRate: &rate}))
	}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Empty(t, f.fake.loads)
}

// BenchmarkAutomatic sweeps 3 × 4 cells with normally distributed rates, of which num_batch 256 has
// some gain over the server's own 512, once with one sample per cell and once with all automatic
// measurements. It counts unclear advice, and advice to set a num_batch that gains nothing.
func BenchmarkAutomatic(b *testing.B) {
	const seeds = 40
	gains, noises := []float64{0, 0.02, 0.06, 0.15}, []float64{0.01, 0.03, 0.06}
	for _, mode := range []struct {
		name  string
		alter func(*fixture)
	}{
		{"one sample", func(*fixture) {}},
		{"automatic", func(f *fixture) { f.RepeatUntilClear, f.Baseline, f.Retake = true, config.BaselineAuto, true }},
	} {
		b.Run(mode.name, func(b *testing.B) {
			for b.Loop() {
				unclear, wrong, loads := 0, 0, 0
				for i := range seeds * len(gains) * len(noises) {
					gain, noise := gains[i%len(gains)], noises[i/len(gains)%len(noises)]
					f := newFixture(b, b.TempDir())
					f.Store = openStore(b, f.dir, checkpoint.Header{Model: "m", OllamaVersion: "0.10.1"})
					f.sweeps(cell.Grid{Ctx: []int{1024, 2048, 4096}, Batch: []int{64, 128, 256, 512}})
					f.loads(500 * time.Millisecond)
					f.fake.rate = around(uint64(i), noise, func(c cell.Key) float64 {
						return 1000 * map[int]float64{64: 0.85, 128: 0.95, 256: 1 + gain, 512: 1, 0: 1}[c.Batch]
					})
					mode.alter(f)
					summary, _ := f.run(b.Context())
					require.NoError(b, summary.Usable())
					a := adviceOf(f.Store.Checkpoint())
					loads += len(f.fake.loads)
					if a.Kind == Unsure {
						unclear++
					}
					if a.Kind == SetBatch && (a.Batch != 256 || gain == 0) {
						wrong++
					}
				}
				b.ReportMetric(float64(unclear), "unclear")
				b.ReportMetric(float64(wrong), "wrong")
				b.ReportMetric(float64(loads)/float64(seeds*len(gains)*len(noises)), "loads/sweep")
			}
		})
	}
}
