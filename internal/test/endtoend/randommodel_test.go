package endtoend

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/randommodel"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestRandomModel: a real Ollama loads random models of both types, reads each byte as a token
// and always answers with figures.
func TestRandomModel(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	home := t.TempDir()
	engine := sweeptest.StartEngine(t, home)
	folders, err := filepath.Glob(filepath.Join(home, "*", "models"))
	require.NoError(t, err)
	require.Len(t, folders, 1)
	client := api.NewClient(engine.Server.URL, http.DefaultClient)
	shape := randommodel.Shape{Layers: 2, Width: 128, Inner: 384, Heads: 4, KVHeads: 2, Vocab: 1000, Trained: 131_072}
	for name, kind := range map[string]randommodel.Type{"random-f16": randommodel.F16, "random-q8": randommodel.Q8} {
		require.NoError(t, randommodel.Install(folders[0], name, shape, kind, map[string]any{"num_thread": 1}))
		first := 0
		for i := range 20 {
			prompt := strings.Repeat(string(rune('a'+i)), 100+i)
			answer := generate(t, client, &api.GenerateRequest{Model: name, Prompt: prompt, Raw: true, Options: map[string]any{"num_predict": 3, "num_ctx": 2048}})
			if i == 0 {
				first = answer.PromptEvalCount
			}
			assert.Equal(t, first+i, answer.PromptEvalCount, "%s: one token per byte", name)
			assert.NotZero(t, answer.PromptEvalDuration, name)
			assert.Regexp(t, "^[!-~]*$", answer.Response, name)
		}
	}
}

// generate returns the last message of an answer, with the text of all its messages.
func generate(t testing.TB, client *api.Client, r *api.GenerateRequest) (answer api.GenerateResponse) {
	t.Helper()
	var text strings.Builder
	require.NoError(t, client.Generate(t.Context(), r, func(part api.GenerateResponse) error {
		text.WriteString(part.Response)
		answer = part
		return nil
	}))
	answer.Response = text.String()
	return answer
}
