package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

var noon = time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)

// llama8B is an 8B model of the llama family.
func llama8B() *memory.Model {
	m := &memory.Model{Weights: 4_900_000_000, Layers: 32, Heads: 32, Embedding: 4096, Vocab: 128256, Attention: 7 * 4096, Between: 2*4096 + 4*14336}
	for range 32 {
		m.Caches = append(m.Caches, memory.Cache{Key: 1024, Value: 1024})
	}
	return m
}

func configOf(ctx, batch []int) config.Config {
	return config.Config{
		Out: "results/my", Repeat: 1, Order: config.OrderCell, Strategy: config.StrategyExhaustive, Tolerance: 0.01,
		NumCtx: cell.Axis{List: ctx}, NumBatch: cell.Axis{List: batch},
	}
}

func measured(ctx, batch int, size, vram int64) checkpoint.Result {
	rate := 1000.0
	s := measurement.Sample{PromptEvalCount: 1000, PromptEvalDuration: time.Second, Wall: 38 * time.Second}
	return checkpoint.Result{NumCtx: ctx, NumBatch: batch, PromptEvalRate: &rate, Samples: []measurement.Sample{s}, Warmup: &measurement.Sample{Wall: 90 * time.Second}, Size: size, SizeVRAM: vram}
}

// midway is a plan in the middle of a sweep: measured, spilled, failed.
func midway() Input {
	class := measurement.OutOfGPUMemory
	cp := &checkpoint.Checkpoint{Results: []checkpoint.Result{
		measured(8192, 512, 7_000_000_000, 7_000_000_000),
		measured(65536, 512, 16_000_000_000, 15_000_000_000),
		{NumCtx: 65536, NumBatch: 2048, Error: &class},
	}}
	cfg := configOf([]int{1024, 8192, 32768, 65536, 131072}, []int{512, 1024, 2048})
	cfg.Repeat, cfg.Baseline, cfg.Retake = 1, config.BaselineOn, true
	return Input{Config: cfg, Checkpoint: cp, Model: llama8B(), Settings: memory.Settings{Before030: true}, GPUBytes: 24_000_000_000, Now: noon}
}

func TestPlanTexts(t *testing.T) {
	race.SkipSequential(t)
	unknown := Input{Config: configOf([]int{8192, 16384}, []int{512}), NoModel: "the server does not answer", Now: noon}
	unknown.Config.Repeat, unknown.Config.Order, unknown.Config.Fresh = 6, config.OrderRound, checkpoint.FreshAlways
	unknown.Config.Budget = config.Budget{Time: time.Hour}
	noGPU := Input{Config: configOf([]int{8192}, []int{512}), Model: llama8B(), Now: noon}
	noGPU.Model.Window = 4096
	doubtful := Input{Config: configOf([]int{8192}, []int{512}), Model: llama8B(), Now: noon}
	doubtful.Model.LatentValues, doubtful.Model.Doubts = true, []string{"the figures do not include the states of the recurrent layers"}
	logUnknown := inLog(memory.Settings{}, 1)
	logUnknown.Model, logUnknown.NoModel = nil, `the memory of the context is unknown for architecture "x": unsupported keys: x.ssm.state_size`
	searching := midway()
	searching.Config.Strategy = config.StrategyFrontier
	shared := midway()
	shared.Shards = 3
	automatic := midway()
	automatic.Config.NumCtx = cell.Axis{List: []int{8192, 65536}}
	automatic.Checkpoint.Results[0].Warmup.Wall, automatic.Checkpoint.Results[1].Warmup.Wall = 2*time.Second, 2*time.Second
	automatic.Checkpoint.Results[0].Samples[0].Wall, automatic.Checkpoint.Results[1].Samples[0].Wall = time.Second, time.Second
	automatic.Config.Baseline, automatic.Config.RepeatUntilClear = config.BaselineAuto, true
	automaticSearch := automatic
	automaticSearch.Config.Strategy = config.StrategyBest
	settings := midway()
	require.NoError(t, yaml.Unmarshal([]byte("{num_gpu: [auto, 20]}"), &settings.Config.Options))
	settings.Checkpoint.Sweep.Axes = []cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "20"}}}
	for i := range settings.Checkpoint.Results {
		r := &settings.Checkpoint.Results[i]
		r.SetCell(r.Cell().With("num_gpu", "20"))
	}
	for name, in := range map[string]Input{"settings": settings, "automatic": automatic, "automatic_search": automaticSearch, "midway": midway(), "shared": shared, "unknown": unknown, "no_gpu": noGPU, "doubtful": doubtful, "log": inLog(memory.Settings{FlashOff: true}, 1.1), "log_unknown": logUnknown, "searching": searching} {
		t.Run(name, func(t *testing.T) {
			p, err := Make(in)
			require.NoError(t, err)
			var b strings.Builder
			require.NoError(t, p.Print(&b))
			golden.Equal(t, name+".txt", b.String())
			assert.Error(t, p.Print(full{}))
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestCosts(t *testing.T) {
	p, err := Make(midway())
	require.NoError(t, err)
	assert.Equal(t, 2, p.Measured)
	assert.Equal(t, 1, p.Failed)
	assert.Equal(t, 11, p.ToDo, "of 14 cells; num_batch 2048 is above 1024")
	own := p.Costs[0]
	assert.Equal(t, config.StrategyExhaustive, own.Strategy)
	assert.Equal(t, 12, own.Auxiliary, "the baseline's rounds")
	assert.Equal(t, 23, own.Loads)
	assert.Equal(t, 23*90*time.Second+23*38*time.Second, own.Time)

	in := midway()
	in.Config.RetryFailed, in.Config.ReferenceEvery, in.Config.Baseline, in.Config.Confirm = true, 4, config.BaselineOff, 3
	p, err = Make(in)
	require.NoError(t, err)
	assert.Equal(t, 12, p.ToDo)
	assert.Equal(t, 3+18, p.Costs[0].Auxiliary, "the reference cell three times, three leading cells in six rounds")

	none := Input{Config: configOf([]int{8192}, []int{512}), Checkpoint: &checkpoint.Checkpoint{Results: []checkpoint.Result{measured(8192, 512, 0, 0)}}, Now: noon}
	p, err = Make(none)
	require.NoError(t, err)
	assert.Zero(t, p.Costs[0].Time, "all is done")
}

// TestAutomaticCosts counts the automatic measurements: at most, and without those already done.
func TestAutomaticCosts(t *testing.T) {
	race.SkipSequential(t)
	small := Input{Config: configOf([]int{8192, 16384}, []int{256, 512}), Now: noon}
	small.Config.Baseline, small.Config.RepeatUntilClear = config.BaselineAuto, true
	costs := func(in Input) map[string]Cost {
		p, err := Make(in)
		require.NoError(t, err)
		of := make(map[string]Cost)
		for _, c := range p.Costs {
			of[c.Strategy] = c
		}
		return of
	}
	every := costs(small)[config.StrategyExhaustive]
	assert.Equal(t, 12, every.Auxiliary)
	assert.Equal(t, 20, every.Repeats, "24 loads and prompts of 5 s in total, minus the plan's")
	assert.Equal(t, sweep.RepeatTime+time.Minute, every.Time)
	best := costs(small)[config.StrategyBest]
	assert.Equal(t, 12, best.Auxiliary)
	assert.Zero(t, best.Repeats)

	long := func(in Input) Input { // loads of a minute and a half
		in.Checkpoint = &checkpoint.Checkpoint{Results: []checkpoint.Result{measured(8192, 256, 0, 0)}}
		return in
	}
	every = costs(long(small))[config.StrategyExhaustive]
	assert.Zero(t, every.Auxiliary)
	assert.Zero(t, every.Repeats)
	assert.Equal(t, 12, costs(long(small))[config.StrategyBest].Auxiliary, "a search measures the baseline however long loads take")
	large := long(small)
	large.Config.NumCtx, large.Config.NumBatch = cell.Axis{Start: 8192, End: 8192 * 39, Step: 8192}, cell.Axis{Start: 64, End: 1024, Step: 64}
	assert.Equal(t, 12, costs(large)[config.StrategyExhaustive].Auxiliary, "less than 3 % of 624 loads")

	one := small
	one.Config.NumBatch = cell.Axis{List: []int{512}}
	every = costs(one)[config.StrategyExhaustive]
	assert.Equal(t, every.Least, every.Loads, "one num_batch allows no advice")

	done := small
	done.Checkpoint = &checkpoint.Checkpoint{Sweep: checkpoint.Header{NumCtx: []int{8192, 16384}, NumBatch: []int{256, 512}, OllamaVersion: "0.10.1"}}
	for _, ctx := range []int{8192, 16384} {
		for _, batch := range []int{256, 512} {
			r := measured(ctx, batch, 0, 0)
			r.Warmup.Wall, r.Samples[0].Wall = time.Second, time.Second
			if batch == 256 {
				r.Samples[0].PromptEvalDuration /= 2
			}
			r.Samples = append(r.Samples, r.Samples[0])
			r.SetRate()
			done.Checkpoint.Results = append(done.Checkpoint.Results, r)
		}
	}
	every = costs(done)[config.StrategyExhaustive]
	assert.Equal(t, 12, every.Loads, "num_batch 256 is twice as fast in two samples: a baseline, and no repeats")
	for ctx := range 2 {
		for _, batch := range []int{256, 0} {
			for range 6 {
				done.Checkpoint.Auxiliary = append(done.Checkpoint.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.Baseline, Result: measured(8192*(1+ctx), batch, 0, 0)})
			}
		}
	}
	assert.Zero(t, costs(done)[config.StrategyExhaustive].Loads)
}

func TestSearchesCostLess(t *testing.T) {
	race.SkipSequential(t)
	var ctx, batch []int
	for i := range 39 {
		ctx = append(ctx, 32768+2048*i)
	}
	for i := range 16 {
		batch = append(batch, 128+128*i)
	}
	p, err := Make(Input{Config: configOf(ctx, batch), Now: noon})
	require.NoError(t, err)
	require.Len(t, p.Costs, 3)
	assert.Equal(t, 624, p.Costs[0].Loads)
	best, frontier := p.Costs[1], p.Costs[2]
	assert.Less(t, best.Loads, 40)
	assert.Greater(t, best.Loads, 5)
	assert.Less(t, frontier.Loads, 160)
	assert.Greater(t, frontier.Loads, best.Loads)
	assert.LessOrEqual(t, best.Least, best.Loads)
	assert.GreaterOrEqual(t, best.Most, best.Loads)
}

// withinRange returns how many searches on surfaces other than those of the estimate take a number
// of loads within its range. noise is that of the checkpoint, 0 for a plan without one.
func withinRange(t testing.TB, name string, cfg config.Config, noise float64, seeds ...uint64) (within, plays int) {
	p, _ := count(Input{Config: cfg, Now: noon})
	p.Noise = noise
	k := kind(name)
	c, err := p.searchCost(k)
	require.NoError(t, err)
	for _, seed := range seeds {
		surfaces, err := drawn(cfg.Grid(), seed)
		require.NoError(t, err)
		for _, run := range p.runs(k, surfaces, 100*seed) {
			plays++
			if run.Loads >= c.Least && run.Loads <= c.Most {
				within++
			}
		}
	}
	return within, plays
}

func TestRangeHolds(t *testing.T) {
	within, plays := withinRange(t, config.StrategyBest, configOf([]int{1024, 2048, 4096, 8192}, []int{8, 16, 32, 64, 128, 256, 512}), 0, 77)
	assert.GreaterOrEqual(t, within, plays-1, "of %d", plays)
}

// BenchmarkRangeHolds reports the share of searches within the range, in percent, by the noise
// of the checkpoint; 0 uses that of the generated surfaces.
func BenchmarkRangeHolds(b *testing.B) {
	two := []config.Config{
		configOf([]int{1024, 2048, 4096, 8192}, []int{8, 16, 32, 64, 128, 256, 512}),
		configOf([]int{8192, 16384, 24576, 32768, 40960, 49152, 57344, 65536, 73728, 81920}, []int{128, 256, 384, 512, 768, 1024, 1536, 2048}),
	}
	more := []config.Config{
		configWith(b, twoAxes+"options: {num_thread: [1, 2, 4]}\nserver: {flash_attention: [on, off]}\n"),
		configWith(b, twoAxes+"options: {num_gpu: [auto, 20, 30, 40], num_thread: [auto, 8]}\nserver: {kv_cache_type: [f16, q8_0]}\n"),
	}
	for axes, configs := range map[string][]config.Config{"two": two, "more": more} {
		for _, name := range []string{config.StrategyBest, config.StrategyFrontier} {
			for _, noise := range []float64{0, 0.08, 0.15, 0.3} {
				b.Run(fmt.Sprintf("axes=%s/%s/noise=%v", axes, name, noise), func(b *testing.B) {
					within, plays := 0, 0
					for b.Loop() {
						for _, cfg := range configs {
							w, p := withinRange(b, name, cfg, noise, 77, 78)
							within, plays = within+w, plays+p
						}
					}
					b.ReportMetric(100*float64(within)/float64(plays), "within-%")
				})
			}
		}
	}
}

// repeated returns a cell's result with three prompts that scatter around a rate that rises with
// num_batch.
func repeated(c cell.Key, scatter float64) checkpoint.Result {
	r := measured(c.Ctx, c.Batch, 0, 0)
	r.Samples = nil
	for _, by := range []float64{1 - scatter, 1, 1 + scatter} {
		seconds := by * (0.1 + 3/float64(c.Batch)) * float64(time.Second)
		r.Samples = append(r.Samples, measurement.Sample{PromptEvalCount: 1000, PromptEvalDuration: time.Duration(seconds)})
	}
	return r
}

// TestNoiseWidensRange: noisier prompts in the checkpoint make the range wider, before a search's
// first cells and after them.
func TestNoiseWidensRange(t *testing.T) {
	ctx, batch := []int{1024, 2048, 4096, 8192}, []int{8, 16, 32, 64, 128, 256, 512}
	with := func(cells []cell.Key, scatter float64) Cost {
		cp := new(checkpoint.Checkpoint)
		for _, c := range cells {
			cp.Results = append(cp.Results, repeated(c, scatter))
		}
		p, _ := count(Input{Config: configOf(ctx, batch), Checkpoint: cp, Now: noon})
		assert.InDelta(t, scatter, p.Noise, scatter/2)
		c, err := p.searchCost(kind(config.StrategyBest))
		require.NoError(t, err)
		return c
	}
	for basis, cells := range map[Basis][]cell.Key{
		Simulated: {{Ctx: 1024, Batch: 512}, {Ctx: 1024, Batch: 8}},
		UnderWay:  {{Ctx: 1024, Batch: 512}, {Ctx: 1024, Batch: 64}, {Ctx: 1024, Batch: 16}, {Ctx: 1024, Batch: 8}, {Ctx: 1024, Batch: 32}, {Ctx: 4096, Batch: 128}, {Ctx: 8192, Batch: 16}},
	} {
		quiet, noisy := with(cells, 0.02), with(cells, 0.3)
		assert.Equal(t, basis, quiet.Basis)
		assert.Equal(t, basis, noisy.Basis)
		assert.Greater(t, noisy.Most, quiet.Most)
		assert.LessOrEqual(t, noisy.Most, 28-len(cells))
	}
}

// TestSearchUnderWay: the cost of a search under way is the search's own estimate, and 0 once it
// has ended.
func TestSearchUnderWay(t *testing.T) {
	race.SkipSequential(t)
	ctx, batch := []int{1024, 2048, 4096, 8192}, []int{8, 16, 32, 64, 128, 256, 512}
	surfaces, err := simulate.Draw(ctx, batch, 3)
	require.NoError(t, err)
	s := surfaces[0]
	in := Input{Config: configOf(ctx, batch), Checkpoint: &checkpoint.Checkpoint{}, Now: noon}
	in.Config.Strategy = config.StrategyBest
	own := kind(config.StrategyBest).New(float64(in.Config.Tolerance), 1)
	bases := make(map[Basis]int)
	for range len(s.Plan) {
		p, _ := count(in)
		c, err := p.searchCost(kind(config.StrategyBest))
		require.NoError(t, err)
		if bases[c.Basis]++; c.Basis == Ended {
			break
		}
		choice := own.Next(sweep.State{Plan: p.Cells, Measured: p.known})
		require.NotEmpty(t, choice.Cells)
		assert.LessOrEqual(t, c.Least, c.Loads)
		assert.GreaterOrEqual(t, c.Most, c.Loads)
		assert.LessOrEqual(t, c.Most, len(p.Cells)-len(p.known), "no cell is loaded twice")
		r := measured(choice.Cells[0].Ctx, choice.Cells[0].Batch, 0, 0)
		rate := s.Rates[choice.Cells[0]]
		r.PromptEvalRate, r.Samples = &rate, []measurement.Sample{{PromptEvalCount: 1000, PromptEvalDuration: time.Duration(1000 / rate * float64(time.Second))}}
		in.Checkpoint.Results = append(in.Checkpoint.Results, r)
	}
	assert.Positive(t, bases[Simulated])
	assert.Positive(t, bases[UnderWay])
	assert.Equal(t, 1, bases[Ended])

	p, err := Make(in)
	require.NoError(t, err)
	assert.Zero(t, p.Costs[0].Loads)
	assert.Zero(t, p.Costs[0].Time)
	var b strings.Builder
	require.NoError(t, p.Print(&b))
	assert.Regexp(t, `best +0 +0 +0s .*  the search has ended  \(yours\)\n`, b.String())
}

func TestThinned(t *testing.T) {
	assert.Equal(t, []int{1, 2, 3}, thinned([]int{1, 2, 3}, 3))
	assert.Equal(t, []int{1, 3, 5}, thinned([]int{1, 2, 3, 4, 5}, 3))
}

// TestMarks: cells near the limit are marked as such, and measurements take precedence over
// estimates.
func TestMarks(t *testing.T) {
	p, err := Make(midway())
	require.NoError(t, err)
	assert.Equal(t, byte('+'), p.mark(cell.Key{Ctx: 8192, Batch: 512}))
	assert.Equal(t, byte('!'), p.mark(cell.Key{Ctx: 65536, Batch: 512}), "it spilled")
	assert.Equal(t, byte('x'), p.mark(cell.Key{Ctx: 65536, Batch: 2048}))
	assert.Equal(t, byte('.'), p.mark(cell.Key{Ctx: 1024, Batch: 512}))
	assert.Equal(t, byte('!'), p.mark(cell.Key{Ctx: 131072, Batch: 1024}))
	p.GPUBytes = p.forecast.size(cell.Key{Ctx: 32768, Batch: 512})
	assert.Equal(t, byte('?'), p.mark(cell.Key{Ctx: 32768, Batch: 512}))
	assert.Equal(t, fromSizes, p.forecast.source)
	assert.Equal(t, 2, p.forecast.cells)
}

func kind(name string) search.Kind {
	k, _ := search.KindOf(name)
	return k
}
