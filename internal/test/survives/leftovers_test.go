package survives

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// leftovers are the models that a killed sweep left on a server.
type leftovers struct {
	client *api.Client
	names  []string
}

// kill starts a sweep and kills it in its second cell.
func (l *leftovers) kill(t *testing.T, args []string) {
	t.Helper()
	p := sweeptest.Start(t, args...)
	p.Await(t, "# 1/6 ")
	p.Signal(t, syscall.SIGKILL)
	l.names = nil
	for name := range sweeptest.Models(t, l.client) {
		if name != ollamarun.TinyModel && name != ollamarun.TinyModel+":latest" {
			l.names = append(l.names, strings.TrimSuffix(name, ":latest"))
		}
	}
	require.Len(t, l.names, 2, "the model of the cell and the copy that announces the sweep")
}

// moveToOtherHost renames the models, and their entries in the out folder's list, to names of another
// machine, boot or container.
func (l *leftovers) moveToOtherHost(t *testing.T, out string) {
	t.Helper()
	marks := filepath.Join(out, outdir.Models)
	text, err := os.ReadFile(marks)
	require.NoError(t, err)
	place := regexp.MustCompile(`[0-9a-f]{12}`)
	for i, name := range l.names {
		assert.Contains(t, string(text), name+" http://")
		l.names[i] = place.ReplaceAllString(name, "0123456789ab")
		require.NoError(t, l.client.Copy(t.Context(), &api.CopyRequest{Source: name, Destination: l.names[i]}))
		require.NoError(t, l.client.Delete(t.Context(), &api.DeleteRequest{Model: name}))
	}
	text = regexp.MustCompile(`(?m)^(ollama-sweep-tmp-)[0-9a-f]{12}`).ReplaceAll(text, []byte("${1}0123456789ab"))
	require.NoError(t, os.WriteFile(marks, text, 0o600))
}

// TestSurvivesLeftovers: models that a killed sweep has left on the server are deleted by the next
// start in its out folder, and by any start on its machine until that is restarted. All others that
// may belong to a sweep stay, and are reported.
func TestSurvivesLeftovers(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	engine := sweeptest.StartEngine(t, t.TempDir())
	host := engine.Server.URL.String()
	l := leftovers{client: api.NewClient(engine.Server.URL, http.DefaultClient)}
	users := sweeptest.Models(t, l.client)
	config := sweeptest.WriteConfig(t, "model: tiny\nrunner: cli\nbudget: 1cells\n"+sweeptest.SmallGrid)
	in := func(out string) []string {
		return []string{"-config", config, "-host", host, "-ollama", engine.Ollama, "-out", out}
	}
	whole := func(out string) []string { return append(in(out), "-budget", "6cells") }
	out := t.TempDir()

	l.kill(t, whole(out))
	printed, code := sweeptest.Start(t, in(t.TempDir())...).Wait()
	require.Zero(t, code, printed)
	for _, name := range l.names {
		assert.Contains(t, printed, "# deleted "+name+":latest, left by a run that was killed")
	}
	assert.Equal(t, users, sweeptest.Models(t, l.client))

	out = t.TempDir()
	l.kill(t, whole(out))
	l.moveToOtherHost(t, out)
	printed, code = sweeptest.Start(t, in(t.TempDir())...).Wait()
	require.Zero(t, code, printed)
	for _, name := range l.names {
		assert.Contains(t, printed, "# "+name+":latest stays on the server: it is not known whether a sweep still uses it; if none does, delete it: OLLAMA_HOST="+host+" ollama rm "+name+":latest\n")
		assert.Contains(t, sweeptest.Models(t, l.client), name+":latest")
	}
	const older = "ollama-sweep-tmp-01234567-4711-1"
	require.NoError(t, l.client.Copy(t.Context(), &api.CopyRequest{Source: ollamarun.TinyModel, Destination: older}))
	copied := filepath.Join(t.TempDir(), "copied")
	require.NoError(t, os.CopyFS(copied, os.DirFS(out)))
	for _, out := range []string{copied, out} {
		printed, code = sweeptest.Start(t, in(out)...).Wait()
		require.Zero(t, code, printed)
		for _, name := range l.names {
			assert.Equal(t, out != copied, strings.Contains(printed, "# deleted "+name), printed)
		}
		assert.Contains(t, printed, "# "+older+":latest stays on the server")
	}
	assert.NoFileExists(t, filepath.Join(out, outdir.Models))
	require.NoError(t, l.client.Delete(t.Context(), &api.DeleteRequest{Model: older}))
	assert.Equal(t, users, sweeptest.Models(t, l.client))
}
