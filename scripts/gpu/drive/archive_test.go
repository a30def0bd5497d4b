package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unpacked returns the files of an archive.
func unpacked(t *testing.T, archive string) map[string]string {
	t.Helper()
	f, err := os.Open(archive)
	require.NoError(t, err)
	defer f.Close()
	zip, err := gzip.NewReader(f)
	require.NoError(t, err)
	files := make(map[string]string)
	for r := tar.NewReader(zip); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		files[header.Name] = string(text)
	}
}

// randomBytes returns bytes that can't be compressed.
func randomBytes(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(random.IntN(256))
	}
	return text
}

func TestPack(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	archive := filepath.Join(out, archiveName)
	require.NoError(t, save(filepath.Join(dir, "sweep", "benchmark_results.json"), []byte("{}")))
	require.NoError(t, save(filepath.Join(dir, "logs", "server-1.log"), []byte("started")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "link")))
	leftOut, err := pack(dir, archive, maxArchive)
	require.NoError(t, err)
	assert.Empty(t, leftOut)
	assert.Equal(t, map[string]string{"sweep/benchmark_results.json": "{}", "logs/server-1.log": "started"}, unpacked(t, archive))

	require.NoError(t, save(filepath.Join(dir, "logs", "server-1.log"), []byte("started, and more")))
	_, err = pack(dir, archive, maxArchive)
	require.NoError(t, err)
	assert.Equal(t, "started, and more", unpacked(t, archive)["logs/server-1.log"])
	left, err := os.ReadDir(out)
	require.NoError(t, err)
	assert.Len(t, left, 1, "only the archive")
}

func TestPackLimit(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(t.TempDir(), archiveName)
	for name, size := range map[string]int{"small": 100, "larger": 30_000, "largest": 60_000} {
		require.NoError(t, save(filepath.Join(dir, name), randomBytes(size)))
	}
	leftOut, err := pack(dir, archive, 40_000)
	require.NoError(t, err)
	assert.Equal(t, []string{"largest"}, leftOut)
	files := unpacked(t, archive)
	assert.Len(t, files, 2)
	assert.Equal(t, string(randomBytes(30_000)), files["larger"])
}

// TestPackError: after an error the earlier archive is unchanged.
func TestPackError(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	archive := filepath.Join(out, archiveName)
	require.NoError(t, save(filepath.Join(dir, "log"), []byte("first")))
	_, err := pack(dir, archive, maxArchive)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(archive+".new", 0o755))
	_, err = pack(dir, archive, maxArchive)
	assert.ErrorContains(t, err, "packing")
	assert.Equal(t, map[string]string{"log": "first"}, unpacked(t, archive))
}

// TestPackTruncatedFile: a file that is truncated while it is read is padded.
func TestPackTruncatedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(file, []byte("abc"), 0o644))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "log", Size: 5}))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, copyExactly(w, f, 5))
	require.NoError(t, w.Close())
}
