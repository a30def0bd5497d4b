package plan

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
)

// withLog returns a measured cell whose figures in the log equal the model's estimate, except that
// the compute buffers are larger by a factor.
func withLog(m *memory.Model, c cell.Key, s memory.Settings, larger float64) checkpoint.Result {
	const mib = 1 << 20
	need := m.Of(c.Ctx, c.Batch, s)
	r := measured(c.Ctx, c.Batch, need.Total(), need.Total())
	r.Memory = &measurement.Memory{GPULayers: 33, Layers: 33, Devices: []measurement.DeviceMemory{
		{Name: "CUDA0", ModelMiB: float64(need.Weights) / mib, ContextMiB: float64(need.KV) / mib, ComputeMiB: larger * float64(need.Compute) / mib},
	}}
	return r
}

// inLog returns a plan in the middle of a sweep whose log reports the memory.
func inLog(s memory.Settings, larger float64) Input {
	in := midway()
	in.Settings = memory.Settings{}
	in.Checkpoint.Results = nil
	for _, c := range []cell.Key{{Ctx: 1024, Batch: 512}, {Ctx: 8192, Batch: 512}, {Ctx: 8192, Batch: 1024}} {
		in.Checkpoint.Results = append(in.Checkpoint.Results, withLog(in.Model, c, s, larger))
	}
	return in
}

func TestForecastFromLog(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates searches")
	}
	cell := cell.Key{Ctx: 32768, Batch: 2048}
	for name, s := range map[string]memory.Settings{"flash attention": {}, "none": {FlashOff: true}, "a cache of 8 bit": {CacheType: "q8_0"}} {
		t.Run(name, func(t *testing.T) {
			in := inLog(s, 1.1)
			p, err := Make(in)
			require.NoError(t, err)
			assert.Equal(t, fromLog, p.forecast.source)
			assert.Equal(t, 3, p.forecast.cells)
			assert.Equal(t, s.FlashOff, p.forecast.settings.FlashOff)
			want, got := in.Model.Of(cell.Ctx, cell.Batch, s), p.forecast.of(cell)
			assert.InEpsilon(t, want.KV, got.KV, 1e-6)
			assert.InEpsilon(t, 1.1*float64(want.Compute), got.Compute, 1e-6)
			assert.InEpsilon(t, want.Weights, got.Weights, 1e-6)
			assert.Equal(t, got.Total(), p.forecast.size(cell))
		})
	}
}

// TestForecastOfAnUnknownModel: the log's figures of two num_ctx are enough.
func TestForecastOfAnUnknownModel(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates searches")
	}
	in := inLog(memory.Settings{}, 1)
	model := in.Model
	in.Model, in.NoModel = nil, "the memory of the context is unknown for architecture \"x\""
	p, err := Make(in)
	require.NoError(t, err)
	cell := cell.Key{Ctx: 65536, Batch: 2048}
	want, got := model.Of(cell.Ctx, cell.Batch, memory.Settings{}), p.forecast.of(cell)
	assert.Equal(t, fromLog, p.forecast.source)
	assert.InEpsilon(t, want.KV, got.KV, 1e-6)
	assert.InEpsilon(t, want.Compute, got.Compute, 1e-6)

	in.Checkpoint.Results = in.Checkpoint.Results[:1]
	p, err = Make(in)
	require.NoError(t, err)
	assert.Equal(t, unknown, p.forecast.source, "one num_ctx is not enough to estimate others")
}

func TestForecastSources(t *testing.T) {
	in := inLog(memory.Settings{}, 1)
	for i := range in.Checkpoint.Results {
		in.Checkpoint.Results[i].Memory.Devices = nil
	}
	p, err := Make(in)
	require.NoError(t, err)
	assert.Equal(t, fromSizes, p.forecast.source, "a log with layers only has no sizes")
	in.Checkpoint = nil
	p, err = Make(in)
	require.NoError(t, err)
	assert.Equal(t, fromModel, p.forecast.source)
	assert.Equal(t, in.Model.Of(8192, 512, in.Settings), p.forecast.of(cell.Key{Ctx: 8192, Batch: 512}))
}

func TestFit(t *testing.T) {
	assert.Equal(t, line{1, 2}, fit([]float64{1, 2, 3}, []float64{3, 5, 7}))
	assert.Equal(t, line{4, 0}, fit([]float64{1, 2}, []float64{5, 3}), "nothing shrinks")
	assert.Equal(t, line{0, 1.8}, fit([]float64{1, 2}, []float64{1, 4}), "and nothing is negative")
}

// onH200 returns a sweep of Ollama 0.32.5 on an NVIDIA H200, and its model of random weights in F16.
func onH200(t *testing.T) (*checkpoint.Checkpoint, *memory.Model) {
	cp, err := checkpoint.Load("testdata/h200.json")
	require.NoError(t, err)
	model, err := memory.FromInfo(map[string]any{
		"general.architecture": "llama", "llama.block_count": 28.0, "llama.embedding_length": 1536.0, "llama.feed_forward_length": 8960.0,
		"llama.attention.head_count": 12.0, "llama.attention.head_count_kv": 2.0, "llama.attention.key_length": 128.0, "llama.attention.value_length": 128.0,
		"llama.context_length": 262144.0, "llama.vocab_size": 65536.0,
	}, 2885<<20)
	require.NoError(t, err)
	return cp, &model
}

// TestForecastOnAGPU: the log's figures of one num_ctx are enough to know the GPU memory of all others. The
// figures of /api/show alone are higher, since the input's weights stay in the host's memory.
func TestForecastOnAGPU(t *testing.T) {
	cp, model := onH200(t)
	vram := make(map[cell.Key]int64)
	for i := range cp.Results {
		vram[cp.Results[i].Cell()] = cp.Results[i].SizeVRAM
	}
	require.Len(t, vram, 28)
	first := *cp
	first.Results = slices.DeleteFunc(slices.Clone(cp.Results), func(r checkpoint.Result) bool { return r.NumCtx > 8192 })
	f := forecast{model: model, scale: 1}
	f.fromLog(loggedCells(&first, model))
	for c, size := range vram {
		assert.InEpsilon(t, size, f.size(c), 0.02, "%v", c)
		assert.InDelta(t, 1.06, float64(model.Of(c.Ctx, c.Batch, memory.Settings{}).Total())/float64(size), 0.03, "%v", c)
	}
}

// TestForecastFromASpill: with 20 of 29 layers on the GPU the log has the weights of all layers as the
// host's, since the file is mapped, and again those on the GPU.
func TestForecastFromASpill(t *testing.T) {
	_, model := onH200(t)
	r := measured(16384, 1024, 3750738923, 2507910676)
	r.Memory = &measurement.Memory{GPULayers: 20, Layers: 29, Devices: []measurement.DeviceMemory{
		{Name: "CUDA0", ModelMiB: 1887.98, ContextMiB: 304, ComputeMiB: 199.75},
		{Name: measurement.Host, ModelMiB: 2883.33, ContextMiB: 144, ComputeMiB: 44.27},
	}}
	cells := loggedCells(&checkpoint.Checkpoint{Results: []checkpoint.Result{r}}, model)
	require.Len(t, cells, 1)
	assert.Equal(t, float64(model.Weights), cells[0].weights)
	assert.Equal(t, 448.0*(1<<20), cells[0].context)
	f := forecast{model: model, scale: 1, fixed: map[string]string{"num_gpu": "20"}}
	f.fromLog(cells)
	assert.InEpsilon(t, r.SizeVRAM, f.size(cell.Key{Ctx: 16384, Batch: 1024}), 0.07, "layers are of about the same size")
}
