package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResume(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"sweep/benchmark_results.json": "{}", "sweep/benchmark_results.journal": "line", "sweep/bench.txt": "x", "logs/server-1.log": "x", "probes/benchmark_results.json": "x"} {
		require.NoError(t, save(filepath.Join(dir, name), []byte(text)))
	}
	archive := filepath.Join(t.TempDir(), archiveName)
	_, err := pack(dir, archive, maxArchive)
	require.NoError(t, err)
	d, err := newDrive(t.TempDir(), t.TempDir(), t.TempDir(), true)
	require.NoError(t, err)
	require.NoError(t, d.resume(archive))
	text, err := os.ReadFile(d.in("sweep", "benchmark_results.json"))
	require.NoError(t, err)
	assert.Equal(t, "{}", string(text))
	assert.FileExists(t, d.in("sweep", "benchmark_results.journal"))
	for _, name := range []string{"sweep/bench.txt", "logs/server-1.log", "probes"} {
		assert.NoFileExists(t, d.in(name))
	}

	assert.ErrorIs(t, d.resume(archive+"x"), os.ErrNotExist)
	cut, err := os.ReadFile(archive)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(archive, cut[:len(cut)/2], 0o644))
	assert.ErrorContains(t, d.resume(archive), "reading the earlier run")
}
