package sweeptest

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// NeedsEngine skips a test that needs an engine when -short is set, and counts its outcome
// otherwise.
func NeedsEngine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
	countOutcome(t)
}

// StartEngine starts an embedded engine with its log in the folder home, and stops it when the
// test ends.
func StartEngine(t testing.TB, home string) *ollamarun.Engine {
	t.Helper()
	engine, err := ollamarun.StartEngine(t.Context(), ollamarun.EngineSource{Ollama: Ollama(t)}, home, Log{TB: t})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, engine.Stop()) })
	return engine
}

// Log is an io.Writer that writes to the test's log.
type Log struct{ testing.TB }

func (l Log) Write(p []byte) (int, error) {
	l.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// Models returns the server's models with their digests.
func Models(t *testing.T, client *api.Client) map[string]string {
	t.Helper()
	list, err := client.List(t.Context())
	require.NoError(t, err)
	digests := make(map[string]string)
	for _, m := range list.Models {
		digests[m.Name] = m.Digest
	}
	return digests
}

// RequireNothingLoaded requires that the server soon has no model in memory.
func RequireNothingLoaded(t *testing.T, client *api.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		ps, err := client.ListRunning(t.Context())
		return err == nil && len(ps.Models) == 0
	}, 5*time.Second, 50*time.Millisecond, "a model is still loaded after the end of the sweep")
}

// RequireEngineGone requires that the ports in the engine's log, its own and those of the runners
// that it started, are soon free.
func RequireEngineGone(t *testing.T, out string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(out, ollamarun.EngineLog))
	require.NoError(t, err)
	all := regexp.MustCompile(`(?:Listening on 127\.0\.0\.1:|--port )(\d+)`).FindAllSubmatch(log, -1)
	require.NotEmpty(t, all)
	for _, m := range all {
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", "127.0.0.1:"+string(m[1]))
			if err == nil {
				c.Close()
			}
			return err != nil
		}, 10*time.Second, 20*time.Millisecond, "port %s is still in use after the end of the sweep", m[1])
	}
}

// UserHome returns a home folder with a key, a history and the embedded engine's model, as a user's
// server leaves them in .ollama.
func UserHome(t *testing.T) string {
	t.Helper()
	home, out := t.TempDir(), t.TempDir()
	engine := StartEngine(t, out)
	models, err := filepath.Glob(filepath.Join(out, ".ollama-sweep-engine-*", "models"))
	require.NoError(t, err)
	require.Len(t, models, 1)
	require.NoError(t, os.CopyFS(filepath.Join(home, ".ollama", "models"), os.DirFS(models[0])))
	require.NoError(t, engine.Stop())
	for _, name := range []string{"id_ed25519", "id_ed25519.pub", "history"} {
		require.NoError(t, os.WriteFile(filepath.Join(home, ".ollama", name), []byte("the user's"), 0o600))
	}
	return home
}
