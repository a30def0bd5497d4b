package plan

import (
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
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

const twoAxes = "engine: own\nmodel: llama3.1:8b\nprompt: {tokens: 400}\nnum_ctx: [8192, 16384, 32768, 65536]\nnum_batch: [256, 512, 1024]\n"

// configWith reads the text of a config.
func configWith(t testing.TB, text string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	cfg, err := config.Read(file, new(config.Overrides))
	require.NoError(t, err)
	cfg.Out = "results/my"
	return cfg
}

// cellOf returns a cell with settings, given as name, value, name, value …
func cellOf(ctx, batch int, settings ...string) cell.Key {
	var values []cell.Value
	for i := 0; i < len(settings); i += 2 {
		values = append(values, cell.Value{Name: settings[i], Value: settings[i+1]})
	}
	return cell.Key{Ctx: ctx, Batch: batch, Settings: cell.NewSettings(values...)}
}

// restarted is a checkpoint of the first cells of a config, one every two minutes, but three and a half
// with a restart of the server.
func restarted(cfg config.Config, cells int) *checkpoint.Checkpoint {
	cp := new(checkpoint.Checkpoint)
	at := noon
	plan, _ := cfg.Plan()
	for i, c := range plan[:cells] {
		if at = at.Add(138 * time.Second); i > 0 && c.Settings.Server() != plan[i-1].Settings.Server() {
			at = at.Add(80 * time.Second)
		}
		r := measured(c.Ctx, c.Batch, 0, 0)
		r.SetCell(c)
		r.Timestamp = at
		cp.Results = append(cp.Results, r)
	}
	return cp
}

// TestAxesTexts: plans of sweeps over more axes.
func TestAxesTexts(t *testing.T) {
	race.SkipSequential(t)
	few := Input{Config: configWith(t, twoAxes+"options: {num_thread: [4, 8]}\nserver: {flash_attention: [on, off], kv_cache_type: [f16, q8_0], num_parallel: 2}\n")}
	many := Input{Config: configWith(t, strings.Replace(twoAxes, "[8192, 16384, 32768, 65536]", "{start: 2048, end: 131072, step: 2048}", 1)+
		"options: {num_gpu: [auto, 0, 16, 33], num_thread: [auto, 4, 8, 16]}\nserver: {kv_cache_type: [f16, q8_0, q4_0], env: {GGML_CUDA_X: [auto, \"1\"]}}\n")}
	midway := Input{Config: configWith(t, twoAxes+"confirm: 2\nbaseline: true\noptions: {num_gpu: 20}\nserver: {kv_cache_type: [auto, q8_0], env: {GGML_CUDA_X: [a, b]}}\n")}
	midway.Checkpoint = restarted(midway.Config, 40)
	class := measurement.OutOfGPUMemory
	midway.Checkpoint.Results[4].Error, midway.Checkpoint.Results[4].Samples = &class, nil
	for name, in := range map[string]Input{"axes": few, "axes_many": many, "axes_midway": midway} {
		in.Model, in.GPUBytes, in.Now = llama8B(), 12_000_000_000, noon
		t.Run(name, func(t *testing.T) {
			p, err := Make(in)
			require.NoError(t, err)
			var b strings.Builder
			require.NoError(t, p.Print(&b))
			golden.Equal(t, name+".txt", b.String())
			text, err := Suggest(in)
			require.NoError(t, err)
			assert.Equal(t, p.suggested(), text, "the sweep prints the plan's line")
			assert.Equal(t, name == "axes_many", text != "")
		})
	}
}

// TestSettingsOfLoads: settings of the config override those of the server, and a cell's the fixed ones.
func TestSettingsOfLoads(t *testing.T) {
	server := memory.Settings{CacheType: "q4_0", Parallel: 3}
	for name, tt := range map[string]struct {
		before030 bool
		fixed     map[string]string
		of        cell.Key
		want      memory.Settings
		gpuLayers int
	}{
		"as the server":              {want: server, gpuLayers: -1},
		"left to the server":         {of: cellOf(1, 1, "kv_cache_type", "auto", "num_gpu", "auto"), want: server, gpuLayers: -1},
		"fixed":                      {fixed: map[string]string{"num_parallel": "2", "num_gpu": "7"}, want: memory.Settings{CacheType: "q4_0", Parallel: 2}, gpuLayers: 7},
		"of the cell":                {fixed: map[string]string{"num_parallel": "2"}, of: cellOf(1, 1, "kv_cache_type", "f16", "flash_attention", "off", "num_gpu", "0"), want: memory.Settings{CacheType: "f16", Parallel: 2, FlashOff: true}},
		"an older binary":            {of: cellOf(1, 1, "ollama", "0.10.1+2", "num_gpu", "1"), want: memory.Settings{CacheType: "q4_0", Parallel: 3, Before030: true}, gpuLayers: 1},
		"a newer binary":             {before030: true, of: cellOf(1, 1, "ollama", "0.32.5"), want: server, gpuLayers: -1},
		"ignored by an older server": {before030: true, of: cellOf(1, 1, "kv_cache_type", "q8_0"), want: memory.Settings{Parallel: 3, Before030: true}, gpuLayers: -1},
		"not ignored":                {before030: true, of: cellOf(1, 1, "kv_cache_type", "q8_0", "flash_attention", "on"), want: memory.Settings{CacheType: "q8_0", Parallel: 3, Before030: true}, gpuLayers: -1},
	} {
		t.Run(name, func(t *testing.T) {
			f := forecast{settings: server, fixed: tt.fixed}
			f.settings.Before030 = tt.before030
			got := f.settingsOf(tt.of.Settings)
			assert.Equal(t, tt.want, got.Settings)
			assert.Equal(t, tt.gpuLayers, got.gpuLayers)
		})
	}
}

func TestOnGPUs(t *testing.T) {
	need := memory.Need{Weights: 330, KV: 33, Compute: 5}
	for layers, want := range map[int]memory.Need{
		-1: need, 33: need, 99: need, 0: {},
		11: {Weights: 110, KV: 11, Compute: 5},
	} {
		assert.Equal(t, want, loadSettings{gpuLayers: layers}.onGPUs(need, 32), "num_gpu=%d", layers)
	}
}

// TestPartialLoadIsNoSpill: with num_gpu, a model is meant to be partly in GPU memory.
func TestPartialLoadIsNoSpill(t *testing.T) {
	in := Input{Config: configWith(t, twoAxes+"options: {num_gpu: [auto, 20]}\n"), Checkpoint: new(checkpoint.Checkpoint), Model: llama8B(), GPUBytes: 24e9}
	auto, partial := cellOf(8192, 512, "num_gpu", "auto"), cellOf(8192, 512, "num_gpu", "20")
	for _, c := range []cell.Key{auto, partial} {
		r := measured(c.Ctx, c.Batch, 7e9, 5e9)
		r.SetCell(c)
		in.Checkpoint.Results = append(in.Checkpoint.Results, r)
	}
	p, _ := count(in)
	assert.Equal(t, byte('!'), p.mark(auto))
	assert.Equal(t, byte('+'), p.mark(partial))
	assert.Equal(t, byte('!'), p.worst([]cell.Key{partial, auto}))
	assert.Less(t, p.forecast.size(partial), p.forecast.size(auto))
}

// TestLogOfSeveralCacheTypes: each cell in the log is compared with the estimate for its own settings.
func TestLogOfSeveralCacheTypes(t *testing.T) {
	in := Input{Config: configWith(t, twoAxes+"server: {kv_cache_type: [f16, q8_0]}\n"), Checkpoint: new(checkpoint.Checkpoint), Model: llama8B()}
	const mib = 1 << 20
	for _, c := range []cell.Key{cellOf(8192, 256, "kv_cache_type", "f16"), cellOf(16384, 256, "kv_cache_type", "q8_0"), cellOf(8192, 1024, "kv_cache_type", "q8_0")} {
		value, _ := c.Settings.Value("kv_cache_type")
		need := in.Model.Of(c.Ctx, c.Batch, memory.Settings{CacheType: memory.CacheType(value)})
		r := measured(c.Ctx, c.Batch, 0, 0)
		r.SetCell(c)
		r.Memory = &measurement.Memory{Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: float64(need.Weights) / mib, ContextMiB: 1.1 * float64(need.KV) / mib, ComputeMiB: float64(need.Compute) / mib}}}
		in.Checkpoint.Results = append(in.Checkpoint.Results, r)
	}
	p, _ := count(in)
	assert.InDelta(t, 1.1, p.forecast.contextScale, 1e-6)
	assert.InDelta(t, 1, p.forecast.bufferScale, 1e-6)
}

// TestRefusedCombinations: a server can't load a model with them, so that they have no figures.
func TestRefusedCombinations(t *testing.T) {
	p, _ := count(Input{Config: configWith(t, twoAxes+"server: {flash_attention: off, kv_cache_type: [q8_0, q4_0]}\n"), Model: llama8B()})
	shown, _, lines := p.shownCombinations()
	assert.Empty(t, shown)
	assert.Len(t, lines, 2)
	assert.Contains(t, lines[0], "kv_cache_type=q8_0: servers refuse it: a KV cache of type q8_0 needs flash attention")
	p.printMemory(new(strings.Builder))
}

// TestRestarts counts those of the order in which cells are measured.
func TestRestarts(t *testing.T) {
	const axes = "options: {num_thread: [1, 2]}\nserver: {flash_attention: [on, off], num_parallel: [1, 2]}\n"
	own := func(in Input) Cost {
		_, c := count(in)
		return c
	}
	cell4 := configWith(t, twoAxes+axes)
	assert.Equal(t, 3, own(Input{Config: cell4}).Restarts)
	assert.Equal(t, 11, own(Input{Config: configWith(t, twoAxes+axes+"order: round\nrepeat: 3\n")}).Restarts)
	assert.Zero(t, own(Input{Config: configWith(t, twoAxes+"options: {num_thread: [1, 2]}\n")}).Restarts)

	assert.Equal(t, 3, own(Input{Config: cell4, Checkpoint: restarted(cell4, 30)}).Restarts, "the sweep starts with the first cell's settings, which are measured")
	assert.Zero(t, own(Input{Config: cell4, Checkpoint: restarted(cell4, 96)}).Restarts)
}

// TestRestartTime is by the checkpoint where it has several restarts.
func TestRestartTime(t *testing.T) {
	cfg := configWith(t, twoAxes+"server: {kv_cache_type: [f16, q8_0], env: {GGML_CUDA_X: [a, b]}}\n")
	assert.Equal(t, assumedRestart, restartOf(&cfg, nil))
	assert.Equal(t, assumedRestart, restartOf(&cfg, restarted(cfg, 36)), "two restarts")
	assert.Equal(t, Restart{90 * time.Second, "as in the checkpoint, the median of 3"}, restartOf(&cfg, restarted(cfg, 37)))
	rounds := cfg
	rounds.Order = config.OrderRound
	assert.Equal(t, assumedRestart, restartOf(&rounds, restarted(cfg, 37)), "the timestamps are those of the last round")
	cfg.Engine = config.EngineEmbedded
	assert.Equal(t, embeddedRestart, restartOf(&cfg, nil))
}

// TestThinnedGrid: searches over more axes are simulated on a few hundred cells.
func TestThinnedGrid(t *testing.T) {
	p, _ := count(Input{Config: configWith(t, "engine: embedded\nprompt: {tokens: 400}\nnum_ctx: {start: 1024, end: 40960, step: 1024}\nnum_batch: {start: 64, end: 1024, step: 64}\n"+
		"options: {num_gpu: [auto, 1, 2, 3], num_thread: [auto, 1, 2], use_mmap: [true, false], draft_num_predict: [0, 1]}\nserver: {env: {A: [a, b], B: [a, b], C: [a, b], D: [a, b]}}\n")})
	g := p.thinnedGrid(kind(config.StrategyBest))
	assert.LessOrEqual(t, g.Count(), mostSimulated)
	assert.Equal(t, []int{1024, 40960}, g.Ctx)
	cells, leftOut := g.Cells()
	assert.NotEmpty(t, cells)
	assert.Empty(t, leftOut)
	assert.Equal(t, []int{1}, thinned([]int{1, 2, 3}, 1))
}

// TestShardsOfMoreAxes: the grid of all axes is shared, and each shard restarts its server.
func TestShardsOfMoreAxes(t *testing.T) {
	cfg := configWith(t, twoAxes+"server: {env: {GGML_CUDA_X: [a, b, c, d]}}\n")
	p, _ := count(Input{Config: cfg, Checkpoint: restarted(cfg, 48), Shards: 4})
	with := p.share()
	assert.Equal(t, 12, with.Costs[len(with.Costs)-1].Largest)
	assert.Equal(t, 48, with.Measured)
	p.Restart.Time = 0
	without := p.share()
	for i, c := range with.Costs {
		assert.InDelta(t, 3*90, (c.Time - without.Costs[i].Time).Seconds(), 1, "%d shards", c.Shards)
	}
}
