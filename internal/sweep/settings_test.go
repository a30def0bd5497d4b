package sweep

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// axes returns a fixture with other axes, one num_ctx and one num_batch.
func axes(t *testing.T, fixed map[string]string, axes ...cell.SettingAxis) *fixture {
	t.Helper()
	f := newFixture(t, t.TempDir())
	f.sweeps(cell.Grid{Ctx: []int{1000}, Batch: []int{100}, Settings: axes})
	f.Store.Checkpoint().Sweep.Axes, f.Store.Checkpoint().Sweep.Fixed = axes, fixed
	return f
}

// TestEffectiveSettings: what the sweep sets is compared with what the log shows, kept, and said to be
// verified where it shows all.
func TestEffectiveSettings(t *testing.T) {
	threads := cell.SettingAxis{Name: "num_thread", Values: []string{cell.Auto, "8"}}
	logs := func(l *measurement.Loaded) {
		yes := true
		l.Effective = measurement.Effective{NumCtx: 1000, NumBatch: 100, Parallel: 1, NumThread: 4, UseMmap: &yes, FlashAttention: "off", KVCacheType: "f16"}
	}
	f := axes(t, map[string]string{"kv_cache_type": "q8_0"}, threads)
	f.fake.alterLoaded = logs
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	for _, c := range f.Plan {
		r, _ := f.Store.Result(c)
		assert.Equal(t, measurement.Effective{NumCtx: 1000, NumBatch: 100, Parallel: 1, NumThread: 4, KVCacheType: "f16"}, r.Effective, "no more than the sweep sets")
		assert.Equal(t, checkpoint.SettingsVerified, r.Settings)
		require.Len(t, r.Warnings, 1)
		assert.Contains(t, r.Warnings[0], "effective settings: requested ")
		assert.Equal(t, strings.Contains(string(c.Settings), "8"), strings.Contains(r.Warnings[0], "num_thread=8, kv_cache_type=q8_0, effective is num_thread=4, kv_cache_type=f16"))
	}
	assert.Equal(t, 2, strings.Count(f.log.String(), "# warning: ctx=1000/batch=100/num_thread="))

	f = axes(t, map[string]string{"num_gpu": "4"}, threads)
	f.fake.alterLoaded = logs
	f.run(t.Context())
	r, _ := f.Store.Result(f.Plan[0])
	assert.Equal(t, checkpoint.SettingsRequested, r.Settings, "the log does not show num_gpu")

	f = newFixture(t, t.TempDir())
	f.fake.alterLoaded = func(l *measurement.Loaded) { logs(l); l.Effective.NumCtx, l.Effective.NumBatch = 0, 200 }
	f.run(t.Context())
	r, _ = f.Store.Result(f.Plan[0])
	assert.Equal(t, measurement.Effective{NumBatch: 200, Parallel: 1}, r.Effective, "a sweep without other axes keeps what it kept")
	assert.Equal(t, checkpoint.SettingsVerified, r.Settings)
}

// TestUnloadsBetweenOptions: cells that differ in options alone may be the same load for the server.
func TestUnloadsBetweenOptions(t *testing.T) {
	f := axes(t, nil, cell.SettingAxis{Name: "num_gpu", Values: []string{"40", cell.Auto, "30"}})
	f.run(t.Context())
	assert.Len(t, f.fake.loads, 3)
	assert.Equal(t, 1+2, f.fake.unloaded)

	f = axes(t, nil, cell.SettingAxis{Name: "num_parallel", Values: []string{"1", "2", "3"}})
	f.run(t.Context())
	assert.Equal(t, 1, f.fake.unloaded, "each is another process of the server")
}

// TestVerifyOfAxes: what the axes of the sweep change in the server is no other sweep; all else is.
func TestVerifyOfAxes(t *testing.T) {
	for _, test := range []struct {
		axis, stop string
	}{
		{"flash_attention", ""},
		{"kv_cache_type", ""},
		{"ollama", ""},
		{"num_thread", `settings.OLLAMA_FLASH_ATTENTION was "true" and is now "false"`},
	} {
		f := axes(t, nil, cell.SettingAxis{Name: test.axis, Values: []string{"1", "2"}})
		flash := map[string]string{"flash_attention": "OLLAMA_FLASH_ATTENTION", "kv_cache_type": "OLLAMA_KV_CACHE_TYPE"}[test.axis]
		if flash == "" {
			flash = "OLLAMA_FLASH_ATTENTION"
		}
		var versions []string
		started := func() bool { return len(f.fake.loads) > 1 } // the second load is of another process
		f.fake.alterLoaded = func(l *measurement.Loaded) {
			l.Attention = "flash attention on, KV cache f16"
			if started() && test.axis != "num_thread" {
				l.Attention = "flash attention off, KV cache f16"
			}
		}
		identified(f, func(h *checkpoint.Header, _ Moment) error {
			h.Settings = map[string]string{flash: "true", "OLLAMA_NUM_PARALLEL": "1"}
			h.OllamaVersion, h.Devices = f.Store.Checkpoint().Sweep.OllamaVersion, []string{"A"}
			if test.axis == "ollama" {
				h.OllamaVersion = "0.10.1"
			}
			if started() {
				h.Settings[flash] = "false"
				if test.axis == "ollama" {
					h.OllamaVersion, h.Devices = "0.32.5", []string{"B"}
				}
			}
			versions = append(versions, h.OllamaVersion)
			return nil
		})
		summary, _ := f.run(t.Context())
		if test.stop != "" {
			assert.ErrorContains(t, summary.Stop, test.stop)
			continue
		}
		require.NoError(t, summary.Stop, test.axis)
		assert.Empty(t, f.Store.Checkpoint().Sweep.Attention)
		assert.NotContains(t, f.Store.Checkpoint().Sweep.Settings, flash)
		if test.axis == "ollama" {
			assert.Empty(t, f.Store.Checkpoint().Sweep.OllamaVersion)
			assert.Contains(t, versions, "0.10.1")
			assert.Equal(t, "0.32.5", f.Evidence.Version, "checks know the version of the load")
		}
	}
}
