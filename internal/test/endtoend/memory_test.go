package endtoend

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// TestMemoryEstimate compares the estimate with a real Ollama: the KV cache with its log, the
// total with /api/ps.
func TestMemoryEstimate(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	engine := sweeptest.StartEngine(t, out)
	info, weights, err := engine.Server.ModelInfo(t.Context(), ollamarun.TinyModel)
	require.NoError(t, err)
	model, err := memory.FromInfo(info, weights)
	require.NoError(t, err)
	assert.Equal(t, 259, model.Vocab)
	version, err := engine.Server.Version(t.Context())
	require.NoError(t, err)
	settings := memory.Settings{Before030: check.Before(version, "0.30.0")}

	client := api.NewClient(engine.Server.URL, http.DefaultClient)
	for _, c := range []struct{ ctx, batch int }{{2048, 64}, {4096, 512}, {16384, 32}, {65536, 256}} {
		require.NoError(t, client.Generate(t.Context(), &api.GenerateRequest{
			Model: ollamarun.TinyModel, Prompt: "hello", Options: map[string]any{"num_ctx": c.ctx, "num_batch": c.batch, "num_predict": 1},
		}, func(api.GenerateResponse) error { return nil }))
		need := model.Of(c.ctx, c.batch, settings)
		log, err := os.ReadFile(filepath.Join(out, ollamarun.EngineLog))
		require.NoError(t, err)
		logged := parse.ServerLogMemory(log)
		require.NotNil(t, logged)
		assert.InDelta(t, logged.Sum().ContextMiB*(1<<20), need.KV, 0.01*(1<<20), "num_ctx=%d: the log prints two decimals", c.ctx)

		loaded, err := client.ListRunning(t.Context())
		require.NoError(t, err)
		require.Len(t, loaded.Models, 1)
		t.Logf("num_ctx=%d, num_batch=%d: estimated %d bytes, /api/ps %d (%+.1f %%)", c.ctx, c.batch, need.Total(), loaded.Models[0].Size,
			100*(float64(need.Total())/float64(loaded.Models[0].Size)-1))
		if check.Before(version, "0.11.0") || !settings.Before030 {
			assert.InEpsilon(t, loaded.Models[0].Size, need.Total(), 0.1, "num_ctx=%d, num_batch=%d", c.ctx, c.batch)
		} else { // these versions report what was allocated, which on a CPU lacks the buffers in the estimate
			assert.GreaterOrEqual(t, need.Total(), loaded.Models[0].Size, "num_ctx=%d, num_batch=%d", c.ctx, c.batch)
		}
		require.NoError(t, engine.Server.Unload(t.Context(), ollamarun.TinyModel))
	}
}
