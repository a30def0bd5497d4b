package report

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	require.NoError(t, Write(dir, mixed()))
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	assert.ElementsMatch(t, Files(dir), names, "and no temporary file")
	for name, head := range map[string]string{
		BenchFile: "goos: ", TableFile: "num_batch,512,", HeatmapFile: "\x89PNG",
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, head, string(data[:len(head)]))
	}
}

func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	t.Run("a file is in the way", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		assert.ErrorContains(t, Write(filepath.Join(path, "out"), mixed()), "creating report folder: ")
	})
	t.Run("a folder is in the way", func(t *testing.T) {
		path := filepath.Join(dir, BenchFile)
		require.NoError(t, os.Mkdir(path, 0o755))
		assert.ErrorContains(t, Write(dir, mixed()), fmt.Sprintf("saving %q: ", path))
	})
	t.Run("nothing to draw", func(t *testing.T) {
		assert.ErrorContains(t, Write(t.TempDir(), planned(nil, nil)), "drawing heatmap: ")
	})
}

func BenchmarkReport(b *testing.B) {
	for _, size := range []image.Point{{X: 40, Y: 16}, {X: 100, Y: 100}} {
		cp := full(size.X, size.Y)
		b.Run(fmt.Sprintf("cells=%d", size.X*size.Y), func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				require.NoError(b, Write(dir, cp))
			}
		})
	}
}
