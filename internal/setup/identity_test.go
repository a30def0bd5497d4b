package setup

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// TestIdentityOfLoads: models and files are checked again where each load uses them, but not those of a
// model that is created once.
func TestIdentityOfLoads(t *testing.T) {
	dir := t.TempDir()
	adapter := filepath.Join(dir, "lora.gguf")
	template := filepath.Join(dir, "Modelfile")
	require.NoError(t, os.WriteFile(template, []byte("FROM tiny\nADAPTER lora.gguf\n"), 0o644))
	for _, test := range []struct {
		name             string
		cfg              config.Config
		digests, weights bool // are checked
	}{
		{"a model", config.Config{Model: "tiny", Runner: config.RunnerAPI}, true, false},
		{"a model with the cli runner", config.Config{Model: "tiny", Runner: config.RunnerCLI}, true, false},
		{"a template", config.Config{Modelfile: template, Runner: config.RunnerAPI}, false, false},
		{"a template with the cli runner", config.Config{Modelfile: template, Runner: config.RunnerCLI}, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.NumCtx, test.cfg.NumBatch = cell.Axis{List: []int{1024}}, cell.Axis{List: []int{64}}
			require.NoError(t, os.WriteFile(adapter, []byte("one"), 0o644))
			fake := ollamatest.New(t)
			server := &ollamarun.Server{URL: fake.URL}
			s, err := newSubject(test.cfg)
			require.NoError(t, err)
			i := newIdentity(server, s, test.cfg, nil)
			prompter, err := sweep.NewPrompter(config.Prompt{Tokens: 100}, 2)
			require.NoError(t, err)
			h, _, err := s.header(t.Context(), i, prompter)
			require.NoError(t, err)
			assert.Equal(t, test.cfg.Modelfile != "", h.Weights != nil)

			require.NoError(t, os.WriteFile(adapter, []byte("two"), 0o644))
			fake.Inject(func(r ollamatest.Request) http.HandlerFunc {
				if r.Path != "/api/tags" {
					return nil
				}
				return ollamatest.Reply(strings.Replace(ollamatest.Captured("tags.json"), "0df5935b", "deadbeef", 1))
			})
			load, err := i.update(t.Context(), h, sweep.BeforeLoad)
			require.NoError(t, err)
			assert.Equal(t, h.Digest, load.Digest)
			now, err := i.update(t.Context(), h, sweep.BeforeSave)
			require.NoError(t, err)
			assert.Equal(t, test.digests, now.Digest != h.Digest)
			assert.Equal(t, test.weights, load.Differs(h) != "")
			assert.Equal(t, test.weights || test.digests, now.Differs(h) != "")

			fake.Inject(func(r ollamatest.Request) http.HandlerFunc {
				switch r.Path {
				case "/api/tags":
					return ollamatest.Reply(`{"models":[]}`)
				case "/api/show":
					return ollamatest.ReplyStatus(http.StatusNotFound, `{"error":"model 'tiny' not found"}`)
				}
				return nil
			})
			_, err = i.update(t.Context(), h, sweep.BeforeSave)
			if test.digests {
				assert.ErrorContains(t, err, "is not on the server any more")
			} else {
				assert.NoError(t, err)
			}
		})
	}
}
