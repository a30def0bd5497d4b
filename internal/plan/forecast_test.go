package plan

import (
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
