package setup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
)

// modelListIn returns the modelList of an out folder that a sweep has claimed.
func modelListIn(t *testing.T, dir string) modelList {
	t.Helper()
	d, err := outdir.Open(dir, "", nil)
	require.NoError(t, err)
	require.NoError(t, d.Claim())
	return modelList{d}
}

func TestModelList(t *testing.T) {
	const names = "ollama-sweep-tmp-1f3a9c07d2e4-4711-88123-1 http://127.0.0.1:11434\n"
	dir := t.TempDir()
	file := filepath.Join(dir, outdir.Models)
	m := modelListIn(t, dir)
	read := func(m modelList) string {
		t.Helper()
		data, err := m.Read()
		require.NoError(t, err)
		return string(data)
	}
	assert.Empty(t, read(m), "none yet")
	require.NoError(t, m.Write([]byte(names)))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	assert.Equal(t, names, read(modelListIn(t, dir)), "the next sweep's")
	require.NoError(t, m.Write([]byte(names+names)))
	assert.Equal(t, names+names, read(m))

	renamed := filepath.Join(t.TempDir(), "renamed")
	require.NoError(t, os.Rename(dir, renamed))
	assert.Equal(t, names+names, read(modelListIn(t, renamed)))
	copied := filepath.Join(t.TempDir(), "copied")
	require.NoError(t, os.CopyFS(copied, os.DirFS(renamed)))
	assert.Empty(t, read(modelListIn(t, copied)), "the sweep of the first folder may still run")
	require.NoError(t, modelListIn(t, copied).Write([]byte(names)))
	assert.Equal(t, names, read(modelListIn(t, copied)))

	m = modelListIn(t, renamed)
	require.NoError(t, m.Write(nil))
	assert.NoFileExists(t, filepath.Join(renamed, outdir.Models))
	assert.Empty(t, read(m))
}

// TestModelListOfOthers: a file or link that the program has not made is neither read, followed nor
// replaced, and a file that is cut or has other content modelList nothing.
func TestModelListOfOthers(t *testing.T) {
	dir, precious := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	file := filepath.Join(dir, outdir.Models)
	m := modelListIn(t, dir)
	require.NoError(t, m.Write([]byte("ollama-sweep-tmp-1f3a9c07d2e4-4711-88123-1 http://127.0.0.1:11434\n")))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, content := range []string{"", "fold", "folder 1", string(text[7:]), "\x00" + string(text), "folder 1\n" + string(text)} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		data, err := m.Read()
		require.NoError(t, err)
		assert.Empty(t, data, content)
	}

	require.NoError(t, os.WriteFile(precious, text, 0o600))
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Symlink(precious, file))
	_, err = m.Read()
	assert.ErrorContains(t, err, "not made by this program: a link")
	assert.ErrorContains(t, m.Write([]byte("x")), "not made by this program (a link)")
	require.NoError(t, m.Write(nil))
	after, err := os.ReadFile(precious)
	require.NoError(t, err)
	assert.Equal(t, text, after)
	_, err = os.Readlink(file)
	assert.NoError(t, err, "the link stays")
}
