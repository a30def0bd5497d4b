package ollamarun

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hash returns the result of Hash, which must not fail.
func hash(t *testing.T, w *Weights) map[string]string {
	t.Helper()
	sums, err := w.Hash(t.Context(), nil)
	require.NoError(t, err)
	return sums
}

// old sets all times of files that a program can set to a time long ago.
func old(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		require.NoError(t, os.Chtimes(file, time.Unix(1e9, 0), time.Unix(1e9, 0)))
	}
}

func TestWeights(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		old(t, file)
		return file
	}
	elsewhere := filepath.Join(t.TempDir(), "draft.gguf")
	require.NoError(t, os.WriteFile(elsewhere, []byte("draft"), 0o644))
	write("a-1.gguf", "one")
	write("a-2.gguf", "two")
	adapter := write("lora/model.safetensors", strings.Repeat("x", 600))
	config := write("lora/adapter_config.json", "{}")
	m, err := ReadModelfile(write("Modelfile", "FROM ./a-1.gguf\nFROM a-2.gguf\nADAPTER lora\nDRAFT "+elsewhere+"\n"))
	require.NoError(t, err)
	before := hash(t, m.Weights())
	assert.Equal(t, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", before["a-1.gguf"])
	for _, name := range []string{"a-2.gguf", "lora/model.safetensors", "lora/adapter_config.json", elsewhere} {
		assert.Len(t, before[name], 64, name)
	}
	assert.Len(t, before, 5)
	assert.Equal(t, before, hash(t, m.Weights()))

	// Each file can be replaced by another of the same size and times.
	for _, file := range []string{filepath.Join(dir, "a-1.gguf"), filepath.Join(dir, "a-2.gguf"), adapter, config, elsewhere} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		was := hash(t, m.Weights())
		text[0]++
		require.NoError(t, os.WriteFile(file, text, 0o644))
		old(t, file)
		assert.NotEqual(t, was, hash(t, m.Weights()), file)
	}
	write("lora/model-2.safetensors", "another shard")
	assert.NotEqual(t, before, hash(t, m.Weights()))

	require.NoError(t, os.Remove(elsewhere))
	_, err = m.Weights().Hash(t.Context(), nil)
	assert.ErrorContains(t, err, "there is no file "+elsewhere+" any more: restore it")
}

// TestWeightsOfOtherFolders checks that the hashes do not depend on the template's folder.
func TestWeightsOfOtherFolders(t *testing.T) {
	sums := func(dir string) map[string]string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.gguf"), []byte("one"), 0o644))
		file := filepath.Join(dir, "Modelfile")
		require.NoError(t, os.WriteFile(file, []byte("FROM "+dir+"/a.gguf\n"), 0o644))
		m, err := ReadModelfile(file)
		require.NoError(t, err)
		return hash(t, m.Weights())
	}
	assert.Equal(t, sums(t.TempDir()), sums(t.TempDir()))
}

// TestWeightsAreReadOnce checks that unchanged files are not read again, which would take as long as
// a load.
func TestWeightsAreReadOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.gguf")
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o644))
	w := newWeights(filepath.Dir(file), FromModel(file).commands)
	sums := hash(t, w)
	stamps, err := w.stat()
	require.NoError(t, err)
	w.stamps = stamps // as for a file that was written long ago
	w.hashed.Files[file] = "sha256:known"
	assert.Equal(t, map[string]string{"a.gguf": "known"}, hash(t, w))
	old(t, file)
	assert.Equal(t, sums, hash(t, w), "written again")
	assert.Nil(t, w.stamps, "a file that was just written can be written again within the same clock tick")

	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	pipe := filepath.Join(t.TempDir(), "pipe") // from which nothing comes
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	w.commands[0].Args = pipe
	_, err = w.digests(ctx)
	assert.ErrorIs(t, err, stopped)
}

func TestWeightsOfNoFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Modelfile")
	require.NoError(t, os.WriteFile(file, []byte("FROM tiny\nSYSTEM /etc/passwd\n"), 0o644))
	m, err := ReadModelfile(file)
	require.NoError(t, err)
	assert.Empty(t, hash(t, m.Weights()))
	assert.Nil(t, m.Weights().request())
}
