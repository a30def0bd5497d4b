package check

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

func TestEffectiveSettings(t *testing.T) {
	gpus := func(layers int, of int) func(*measurement.Loaded) {
		return func(l *measurement.Loaded) {
			l.Effective.NumGPU, l.Memory = &layers, &measurement.Memory{GPULayers: layers, Layers: of}
		}
	}
	variable := func(value string) func(*measurement.Loaded) {
		return func(l *measurement.Loaded) { l.Environment = map[string]string{"OLLAMA_SCHED_SPREAD": value} }
	}
	for _, test := range []struct {
		name     string
		asked    cell.Settings
		load     func(*measurement.Loaded)
		want     string // the warning, empty for none
		verified bool
	}{
		{"nothing asked", "", func(*measurement.Loaded) {}, "", true},
		{"nothing known", "num_gpu=40/num_thread=8/flash_attention=on", func(*measurement.Loaded) {}, "", false},
		{"threads", "num_thread=8", func(l *measurement.Loaded) { l.Effective.NumThread = 8 }, "", true},
		{"one of two known", "num_gpu=40/num_thread=8", func(l *measurement.Loaded) { l.Effective.NumThread = 8 }, "", false},
		{"a cache type without flash attention", "kv_cache_type=q8_0", func(l *measurement.Loaded) {
			l.Effective.FlashAttention, l.Effective.KVCacheType = "off", "f16"
		}, "requested kv_cache_type=q8_0, effective is kv_cache_type=f16 (the server's log), since a quantized KV cache needs flash attention: this cell is a copy of the one with that; leave it out", true},
		{"two at once", "flash_attention=on/kv_cache_type=q8_0", func(l *measurement.Loaded) {
			l.Effective.FlashAttention, l.Effective.KVCacheType = "off", "f16"
		}, "requested flash_attention=on, kv_cache_type=q8_0, effective is flash_attention=off, kv_cache_type=f16 (the server's log), since", true},
		{"layers", "num_gpu=30", gpus(30, 33), "", true},
		{"more than all layers", "num_gpu=99", gpus(33, 33), "", true},
		{"fewer layers", "num_gpu=40", gpus(30, 49), "requested num_gpu=40, effective is num_gpu=30 (the server's log): this cell", true},
		{"not all layers", "num_gpu=99", gpus(32, 33), "requested num_gpu=99, effective is num_gpu=32", true},
		{"no GPU", "num_gpu=4", gpus(0, 0), "effective is num_gpu=0 (the server's log), since the server has put the model on no GPU", true},
		{"no GPU, without a log", "num_gpu=4", func(l *measurement.Loaded) { l.SizeVRAM = 0 }, "effective is num_gpu=0 (/api/ps), since", false},
		{"no layers wanted, without a log", "num_gpu=0", func(l *measurement.Loaded) { l.SizeVRAM = 0 }, "", false},
		{"no draft model", "draft_num_predict=4", func(l *measurement.Loaded) { l.Effective.DraftNumPredict = new(int) }, "effective is draft_num_predict=0", true},
		{"parallel requests", "num_parallel=4", func(l *measurement.Loaded) { l.Effective.Parallel = 1 }, "requested num_parallel=4, effective is num_parallel=1", true},
		{"a variable", "OLLAMA_SCHED_SPREAD=true", variable("true"), "", true},
		{"a variable, in the log's words", "OLLAMA_SCHED_SPREAD=1", variable("true"), "", true},
		{"another variable", "OLLAMA_SCHED_SPREAD=0", variable("true"), "requested OLLAMA_SCHED_SPREAD=0, effective is OLLAMA_SCHED_SPREAD=true", true},
		{"another number", "OLLAMA_SCHED_SPREAD=5", variable("6"), "effective is OLLAMA_SCHED_SPREAD=6", true},
		{"a variable that the log writes in another way", "OLLAMA_SCHED_SPREAD=10m", variable("10m0s"), "", false},
		{"a variable that the log does not have", "GGML_CUDA_FORCE_MMQ=1", variable("true"), "", false},
		{"the binary", "ollama=ollama", func(*measurement.Loaded) {}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := sound()
			e.Asked = test.asked
			e.Loaded.Effective = measurement.Effective{NumCtx: e.NumCtx, NumBatch: e.NumBatch}
			test.load(&e.Loaded)
			found := effectiveSettings(&e)
			assert.Equal(t, test.verified, Verified(&e))
			if test.want == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Contains(t, found[0].Text, test.want)
			assert.Empty(t, found[0].Class)
		})
	}
	e := sound()
	assert.False(t, Verified(&e), "the log does not show num_batch")
}
