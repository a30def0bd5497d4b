package ollamarun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// recent returns an answer captured from Ollama 0.32.5 (CPU, models without trained
// weights), with other folder names.
func recent(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "ollama-0.32.5", name))
	require.NoError(t, err)
	return string(text)
}

// TestUnmeasurableModels checks that such models are refused before they are loaded.
func TestUnmeasurableModels(t *testing.T) {
	t.Parallel()
	const remote = "and not on this server, so num_ctx and num_batch have no effect on it: name a model for which `ollama list` shows a size"
	embedding := recent(t, "show-embedding.json")
	for _, test := range []struct{ name, model, tags, show, want string }{
		{"MLX", "mlx", recent(t, "tags.json"), recent(t, "show-mlx.json"), "is an MLX model (format safetensors), whose engine uses neither num_ctx nor num_batch, so all cells would have the same rate: name a GGUF model of the same weights"},
		{"cloud, according to the list", "gpt-oss:120b-cloud", recent(t, "tags.json"), "", "runs at https://ollama.com:443 " + remote},
		{"cloud under a name of its own", "mygpt", recent(t, "tags.json"), "", "runs at https://ollama.com:443 " + remote},
		{"cloud, according to its description", "mygpt", `{"models":[]}`, recent(t, "show-cloud.json"), "runs at https://ollama.com:443 " + remote},
		{"cloud by its name, not pulled", "qwen3-coder:480b-cloud", recent(t, "tags.json"), "", "runs at Ollama's cloud " + remote},
		{"cloud by a second tag", "gpt-oss:20b:Cloud", recent(t, "tags.json"), "", "runs at Ollama's cloud " + remote},
		{"embeddings only", "embedder", recent(t, "tags.json"), embedding, "computes embeddings and does not generate text, so there is no prompt eval rate to measure: name a model that generates text"},
		{"embeddings only, before 0.6.4", "embedder", recent(t, "tags.json"), strings.Replace(embedding, `"capabilities":["embedding"]`, `"capabilities":null`, 1), "computes embeddings and does not generate text"},
		{"images", "mlx", recent(t, "tags.json"), strings.Replace(recent(t, "show-mlx.json"), `["completion"]`, `["image"]`, 1), "generates images, not text, so there is no prompt eval rate to measure: name a model that generates text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := newFakeServer(t)
			f.Answers["/api/tags"] = ollamatest.Reply(test.tags)
			f.Answers["/api/show"] = ollamatest.ReplyStatus(502, `{"error":"Post \"https://ollama.com:443/api/show\": no such host"}`)
			if test.show != "" {
				f.Answers["/api/show"] = ollamatest.Reply(test.show)
			}
			_, err := s.Model(t.Context(), test.model)
			assert.ErrorContains(t, err, `model "`+test.model+`" `+test.want)
			_, err = NewAPI(t.Context(), s, test.model, nil, 2)
			assert.ErrorContains(t, err, test.want)
			_, _, err = s.ModelInfo(t.Context(), test.model)
			assert.ErrorContains(t, err, test.want)
			assert.NotContains(t, strings.Join(f.Requests(), " "), `"prompt":"x`)
		})
	}
}

// TestMeasurableModels covers unusual models that can be measured.
func TestMeasurableModels(t *testing.T) {
	for _, test := range []struct {
		name, show, generate string
		tokens               int
	}{
		{"without a chat template", "show-no-template.json", "generate-no-template.ndjson", 17},
		{"with thinking", "show-thinking.json", "generate-thinking.ndjson", 204},
		{"with vision", "show-vision.json", "generate-no-template.ndjson", 17},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := newFakeServer(t)
			f.Answers["/api/tags"] = ollamatest.Reply(recent(t, "tags.json"))
			f.Answers["/api/show"] = ollamatest.Reply(recent(t, test.show))
			f.Answers["/api/generate"] = ollamatest.Reply(recent(t, test.generate))
			model, err := s.Model(t.Context(), "tiny")
			require.NoError(t, err)
			assert.Equal(t, 131072, model.TrainedCtx)
			a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
			require.NoError(t, err)
			_, err = a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
			require.NoError(t, err)
			sample, err := a.Sample(t.Context(), ollamatest.Constant("hello there"))
			require.NoError(t, err)
			assert.Equal(t, test.tokens, sample.PromptEvalCount)
			assert.Equal(t, 2, sample.EvalCount)
		})
	}
}

// TestCloudInAName checks that a local model may have a name like that of a cloud model.
func TestCloudInAName(t *testing.T) {
	f, s := newFakeServer(t)
	f.Answers["/api/tags"] = ollamatest.Reply(strings.ReplaceAll(recent(t, "tags.json"), "tiny:latest", "tiny:my-cloud"))
	f.Answers["/api/show"] = ollamatest.Reply(recent(t, "show-no-template.json"))
	_, err := s.Model(t.Context(), "tiny:my-cloud")
	assert.NoError(t, err)
}

// TestThinkingByCommand covers a model whose thinking the command prints as well.
func TestThinkingByCommand(t *testing.T) {
	c, f, _ := newFakeCLI(t, "")
	summary, err := filepath.Abs("testdata/ollama-0.32.5/run-thinking.stderr")
	require.NoError(t, err)
	t.Setenv("FAKE_SUMMARY", summary)
	f.Answers["/api/show"] = ollamatest.Reply(recent(t, "show-thinking.json"))
	loaded, err := c.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	loaded.Warmup.Wall = 0
	assert.Equal(t, measurement.Sample{
		PromptEvalCount: 205, PromptEvalDuration: 22534 * time.Microsecond, EvalCount: 4, EvalDuration: 31435 * time.Microsecond,
		LoadDuration: 23303497, TotalDuration: 82798157,
	}, loaded.Warmup)
}
