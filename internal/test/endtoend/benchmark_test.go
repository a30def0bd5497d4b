package endtoend

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/setup"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// instant is a Runner that answers at once, which leaves only the harness's own time to measure.
type instant struct{}

var instantSample = measurement.Sample{
	PromptEvalCount: 7012, PromptEvalDuration: 5680 * time.Millisecond, EvalCount: 2, EvalDuration: 11827633,
	LoadDuration: 3 * time.Millisecond, TotalDuration: 6 * time.Second,
}

func (instant) Ready(context.Context) error { return nil }
func (instant) Load(_ context.Context, c cell.Key, _ func() string) (measurement.Loaded, error) {
	return measurement.Loaded{Warmup: instantSample, ContextLength: c.Ctx, Size: 1 << 34, SizeVRAM: 1 << 34}, nil
}
func (instant) Sample(context.Context, func() string) (measurement.Sample, error) {
	return instantSample, nil
}
func (instant) Unload(context.Context) error { return nil }
func (instant) Settle(context.Context) error { return nil }

// tinySizing is the size of prompts in tokens of the tiny model.
var tinySizing = checkpoint.Sizing{Fixed: 63.84375, PerWord: 6.578125}

// benchmarkSweep runs a sweep of b.N cells, whose checkpoint already has other cells, and
// returns how long that took. With a server, its version and digest are requested as often as
// a sweep requests them.
func benchmarkSweep(b *testing.B, runner sweep.Runner, existing int, server *ollamarun.Server) (*checkpoint.Checkpoint, time.Duration) {
	dir := b.TempDir()
	cp := &checkpoint.Checkpoint{Version: checkpoint.Version}
	rate, _ := instantSample.PromptEvalRate()
	for i := range existing {
		cp.Results = append(cp.Results, checkpoint.Result{
			NumCtx: 1 << 20, NumBatch: 1 + i, PromptEvalRate: &rate, Timestamp: time.Now(), Samples: []measurement.Sample{instantSample},
			Warmup: &instantSample, ContextLength: 1 << 20, Size: 1 << 34, SizeVRAM: 1 << 34,
		})
	}
	f, err := os.Create(filepath.Join(dir, checkpoint.FileName))
	require.NoError(b, err)
	require.NoError(b, cp.Encode(f))
	require.NoError(b, f.Close())
	s := sweeptest.InProcess(b, dir, runner, 960)
	s.Prompter.SetSizing(tinySizing)
	if server != nil {
		s.Identify = func(ctx context.Context, when sweep.Moment) (h checkpoint.Header, err error) {
			if h.OllamaVersion, err = server.Version(ctx); err == nil && when >= sweep.BeforeSave {
				h.Digest, err = server.Digest(ctx, ollamarun.TinyModel)
			}
			return s.Store.Checkpoint().Sweep, err
		}
	}
	for i := range b.N {
		s.Plan = append(s.Plan, cell.Key{Ctx: 1024, Batch: 16 + i%512})
		if i >= 512 {
			s.Plan[i].Ctx = 1024 + i/512
		}
	}
	begun := time.Now()
	b.ResetTimer()
	summary := s.Run(b.Context(), func(_ string, measure func() sweep.Outcome) { measure() })
	b.StopTimer()
	require.NoError(b, summary.Usable())
	require.Equal(b, b.N, summary.Measured)
	return s.Store.Checkpoint(), time.Since(begun)
}

// The harness's own time per cell, including checkpoint and sync, with 600 or 10,000 cells
// already in the file.
func BenchmarkCellOf600(b *testing.B)   { benchmarkSweep(b, instant{}, 600, nil) }
func BenchmarkCellOf10000(b *testing.B) { benchmarkSweep(b, instant{}, 10_000, nil) }

// tinyRunner returns a runner on an engine that is stopped when the benchmark ends.
func tinyRunner(b *testing.B) *ollamarun.API {
	engine := sweeptest.StartEngine(b, b.TempDir())
	runner, err := ollamarun.NewAPI(b.Context(), &engine.Server, ollamarun.TinyModel, nil, 2)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, runner.Close(context.Background())) })
	return runner
}

// BenchmarkEmbedded measures real cells. Its overhead is the wall time minus the
// total_duration that Ollama reports for every prompt.
func BenchmarkEmbedded(b *testing.B) {
	runner := tinyRunner(b)
	cp, wall := benchmarkSweep(b, setup.CellRunner(runner, nil), 0, runner.Server)
	var served time.Duration
	for _, r := range cp.Results {
		served += r.Warmup.TotalDuration
		for _, s := range r.Samples {
			served += s.TotalDuration
		}
	}
	b.ReportMetric(float64((wall-served).Microseconds())/1000/float64(b.N), "overhead-ms/cell")
}

// BenchmarkRestart restarts a server that has a model loaded, as a sweep does between two cells with other
// settings of the server. With SWEEP_OLLAMA it restarts another version.
func BenchmarkRestart(b *testing.B) {
	engine := sweeptest.StartEngine(b, b.TempDir())
	runner, err := ollamarun.NewAPI(b.Context(), &engine.Server, ollamarun.TinyModel, nil, 2)
	require.NoError(b, err)
	for b.Loop() {
		b.StopTimer()
		_, err := runner.Load(b.Context(), 2048, 64, ollamatest.Constant("a prompt"))
		require.NoError(b, err)
		b.StartTimer()
		require.NoError(b, engine.Restart(b.Context(), "", nil))
	}
}

// BenchmarkSpread measures one cell again and again: as a sweep does, with a
// load for each sample, without a warm-up, and with the same prompt each time. Each iteration is
// one sample: an interval needs six, and -benchtime 30x gives a steady one.
func BenchmarkSpread(b *testing.B) {
	runner := tinyRunner(b)
	prompter, err := sweep.NewPrompter(config.Prompt{Tokens: 960}, 2)
	require.NoError(b, err)
	prompter.SetSizing(tinySizing)
	load := func(prompt func() string) measurement.Sample {
		require.NoError(b, runner.Unload(b.Context()))
		loaded, err := runner.Load(b.Context(), 2048, 64, prompt)
		require.NoError(b, err)
		return loaded.Warmup
	}
	next, err := prompter.Prompts(2048)
	require.NoError(b, err)
	read := func(prompt func() string) measurement.Sample {
		s, err := runner.Sample(b.Context(), prompt)
		require.NoError(b, err)
		return s
	}
	same := ollamatest.Constant(next())
	for _, way := range []struct {
		name   string
		sample func(i int) measurement.Sample
	}{
		{"as-a-sweep", func(i int) measurement.Sample {
			if i == 0 {
				load(prompter.Warmup(64))
			}
			return read(next)
		}},
		{"a-load-each", func(int) measurement.Sample { load(prompter.Warmup(64)); return read(next) }},
		{"no-warm-up", func(int) measurement.Sample { return load(next) }},
		{"same-prompt", func(i int) measurement.Sample {
			if i == 0 {
				load(prompter.Warmup(64))
			}
			return read(same)
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			var rates []float64
			for b.Loop() {
				rate, ok := way.sample(len(rates)).PromptEvalRate()
				require.True(b, ok)
				rates = append(rates, rate)
			}
			in, _ := verdict.IntervalOf(rates)
			b.ReportMetric(in.Median, "tokens/s")
			b.ReportMetric(100*in.Spread, "spread-%")
			b.ReportMetric(100*(in.High-in.Low)/in.Median, "interval-%")
		})
	}
}

// BenchmarkSearch runs five searches of each kind on a grid of 120 cells, with and without probes,
// and compares what they recommend with an exhaustive sweep with six prompts per cell. The highest
// of 120 medians is partly luck (which regret-% counts as a loss), so for duel-% the exhaustive
// sweep's best cell and the recommended one are measured again in turns. columns-% is the mean
// regret of what a frontier recommends for each num_ctx. The cost is in cells, as in
// scripts/simulate. With -artifacts the checkpoints are kept.
func BenchmarkSearch(b *testing.B) {
	runner, err := ollamarun.NewAPI(b.Context(), &loggedEngine(b, b.TempDir()).Server, ollamarun.TinyModel, nil, 2)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, runner.Close(context.Background())) })
	s := &searches{runner: runner}
	s.grid, _ = cell.Grid{
		Ctx:   []int{1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192},
		Batch: []int{8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512},
	}.Cells()
	b.Run("exhaustive", func(b *testing.B) {
		cp, wall := s.run(b, b.ArtifactDir(), s.grid, sweep.Exhaustive{Repeat: 6}, false)
		s.truth = rates(cp)
		s.best = highest(s.truth, s.grid)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(len(s.truth)), "cells")
		b.ReportMetric(wall.Seconds(), "wall-sec")
		b.ReportMetric(s.truth[s.best], "tokens/s")
		b.ReportMetric(100*scatter(cp), "scatter-%")
	})
	for _, kind := range search.Kinds {
		for _, probe := range []bool{true, false} {
			for i := range 5 {
				b.Run(fmt.Sprintf("%s/probe=%t/%d", kind.Name, probe, i+1), func(b *testing.B) { s.search(b, kind, probe) })
			}
		}
	}
}

// searches compares searches of a grid with an exhaustive sweep of it.
type searches struct {
	runner *ollamarun.API
	grid   []cell.Key
	truth  map[cell.Key]float64 // rates of the exhaustive sweep
	best   cell.Key             // of them
}

// run measures the cells that the strategy chooses of a plan, and returns how long that took.
func (s *searches) run(b *testing.B, dir string, plan []cell.Key, strategy sweep.Strategy, probe bool) (*checkpoint.Checkpoint, time.Duration) {
	in := sweeptest.InProcess(b, dir, setup.CellRunner(s.runner, nil), 960)
	in.Prompter.SetSizing(tinySizing)
	in.Plan, in.Strategy, in.Probe = plan, strategy, probe
	begun := time.Now()
	summary := in.Run(b.Context(), func(_ string, measure func() sweep.Outcome) { measure() })
	require.NoError(b, summary.Usable())
	require.Zero(b, summary.Missing)
	return in.Store.Checkpoint(), time.Since(begun)
}

// search reports the cost of a search, and the regret of what it recommends.
func (s *searches) search(b *testing.B, kind search.Kind, probe bool) {
	if s.truth == nil {
		b.Skip("needs the exhaustive sweep to compare with")
	}
	cp, wall := s.run(b, b.ArtifactDir(), s.grid, kind.New(0.01, 1), probe)
	samples := 0
	for _, r := range cp.Results {
		samples += len(r.Samples)
	}
	found := cp.Sweep.Search.Best
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(cp.Results)), "cells")
	b.ReportMetric(0.75*float64(len(cp.Results))+0.25*float64(samples), "cost-cells")
	b.ReportMetric(100*(1-s.truth[found]/s.truth[s.best]), "regret-%")
	b.ReportMetric(wall.Seconds(), "wall-sec")
	if kind.Columns {
		b.ReportMetric(100*columnsRegret(cp.Sweep.Search.Columns, s.truth, s.grid), "columns-%")
	}
	var duel float64
	if found != s.best {
		const rounds = 8
		cp, _ := s.run(b, b.TempDir(), []cell.Key{found, s.best}, sweep.Exhaustive{Repeat: rounds, Rounds: true}, false)
		again := rates(cp)
		duel = 100 * (1 - again[found]/again[s.best])
	}
	b.ReportMetric(duel, "duel-%")
}

// rates returns the rate of each cell.
func rates(cp *checkpoint.Checkpoint) map[cell.Key]float64 {
	of := make(map[cell.Key]float64)
	for _, r := range cp.Results {
		of[r.Cell()] = *r.PromptEvalRate
	}
	return of
}

// highest returns the one of the cells with the highest rate.
func highest(rates map[cell.Key]float64, of []cell.Key) (best cell.Key) {
	for _, c := range of {
		if rates[c] > rates[best] {
			best = c
		}
	}
	return best
}

// columnsRegret is by how much the cells that a search recommends for each num_ctx are slower than the
// highest rate of that num_ctx, on average.
func columnsRegret(columns []checkpoint.ColumnAnswer, rates map[cell.Key]float64, grid []cell.Key) (mean float64) {
	for _, c := range columns {
		var column []cell.Key
		for _, k := range grid {
			if k.Ctx == c.NumCtx {
				column = append(column, k)
			}
		}
		best := rates[highest(rates, column)]
		mean += (1 - rates[cell.Key{Ctx: c.NumCtx, Batch: c.NumBatch}]/best) / float64(len(columns))
	}
	return mean
}

// scatter is the median difference between two successive prompts of a load, as a share of their rate.
func scatter(cp *checkpoint.Checkpoint) float64 {
	var differences []float64
	for _, r := range cp.Results {
		for i := 1; i < len(r.Samples); i += 2 {
			first, _ := r.Samples[i-1].PromptEvalRate()
			second, _ := r.Samples[i].PromptEvalRate()
			differences = append(differences, math.Abs(math.Log(first/second)))
		}
	}
	return verdict.Median(differences)
}
