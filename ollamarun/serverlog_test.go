package ollamarun

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

const loadLine = `msg="starting llama server" cmd="ollama runner --ctx-size 1024 --batch-size 64 --parallel 1"` + "\n"

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestServerLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	appendTo(t, path, "before "+loadLine)
	l, err := OpenServerLog(path)
	require.NoError(t, err)
	_, ok, err := l.InForce(t.Context())
	require.NoError(t, err)
	assert.False(t, ok, "what stood there before does not count")

	// A line that comes late.
	go func() {
		time.Sleep(50 * time.Millisecond)
		appendTo(t, path, loadLine)
	}()
	f, ok, err := l.InForce(t.Context())
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, parse.InForce{NumCtx: 1024, NumBatch: 64, Parallel: 1}, f)

	// A new file in the place of the old, and one that was cut.
	require.NoError(t, l.Mark())
	require.NoError(t, os.Rename(path, path+".1"))
	appendTo(t, path, loadLine)
	text, err := l.Since()
	require.NoError(t, err)
	assert.Equal(t, loadLine, string(text))
	appendTo(t, path, loadLine)
	require.NoError(t, l.Mark())
	require.NoError(t, os.Truncate(path, int64(len(loadLine))))
	text, err = l.Since()
	require.NoError(t, err)
	assert.Equal(t, loadLine, string(text))

	require.NoError(t, os.Remove(path))
	_, _, err = l.InForce(t.Context())
	assert.ErrorContains(t, err, "reading server log")
}

func TestServerLogThatIsNone(t *testing.T) {
	_, err := OpenServerLog(filepath.Join(t.TempDir(), "nowhere"))
	assert.ErrorContains(t, err, "reading server log")
	_, err = OpenServerLog(t.TempDir())
	assert.ErrorContains(t, err, "is not a file: name the one that `ollama serve` writes to")

	var none *ServerLog
	require.NoError(t, none.Mark())
	_, ok, err := none.InForce(t.Context())
	require.NoError(t, err)
	assert.False(t, ok)
}
