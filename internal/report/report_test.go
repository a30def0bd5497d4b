package report

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	files, err := Write(dir, mixed())
	require.NoError(t, err)
	assert.Equal(t, Files(), files)
	assert.ElementsMatch(t, files, namesIn(t, dir), "and no temporary file")
	for name, head := range map[string]string{
		BenchFile: "goos: ", TableFile: "num_batch,512,", HeatmapFile: "\x89PNG",
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, head, string(data[:len(head)]))
	}
}

// TestWriteWithoutRates: advice of an earlier state of the checkpoint goes.
func TestWriteWithoutRates(t *testing.T) {
	dir := t.TempDir()
	_, err := Write(dir, mixed())
	require.NoError(t, err)
	files, err := Write(dir, planned([]int{512}, []int{128}))
	require.NoError(t, err)
	assert.Equal(t, []string{BenchFile, TableFile, StatsFile, HeatmapFile, PageFile, FrontierFile}, files)
	assert.ElementsMatch(t, files, namesIn(t, dir))
}

// TestWriteOfManyCells: a picture that nobody could look at is not made, and said.
func TestWriteOfManyCells(t *testing.T) {
	dir := t.TempDir()
	_, err := Write(dir, mixed())
	require.NoError(t, err)
	large := planned(steps(8192, 1, 501), steps(1, 1, 500))
	add(large, 8192, 1, 1000)
	files, err := Write(dir, large)
	require.NoError(t, err)
	assert.ElementsMatch(t, files, namesIn(t, dir), "those of before are gone")
	assert.NotContains(t, files, HeatmapFile)
	assert.NotContains(t, files, PageFile)
	assert.Contains(t, files, TableFile)
	var text strings.Builder
	require.NoError(t, Print(&text, large, Options{}))
	assert.Contains(t, text.String(), "Warning: 501 × 500 cells are more than the 250000 that a picture can show: there is no")
	assert.Less(t, text.Len(), 5000, "nor is the table for a terminal")
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	t.Run("a file is in the way", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		_, err := Write(filepath.Join(path, "out"), mixed())
		assert.ErrorContains(t, err, "creating report folder: ")
	})
	t.Run("a folder is in the way", func(t *testing.T) {
		path := filepath.Join(dir, BenchFile)
		require.NoError(t, os.Mkdir(path, 0o755))
		_, err := Write(dir, mixed())
		assert.ErrorContains(t, err, fmt.Sprintf("saving %q: ", path))
	})
	t.Run("nothing to draw", func(t *testing.T) {
		_, err := Write(t.TempDir(), planned(nil, nil))
		assert.ErrorContains(t, err, "drawing heatmap: ")
	})
}

func BenchmarkReport(b *testing.B) {
	for _, size := range []image.Point{{X: 40, Y: 16}, {X: 100, Y: 100}, {X: 1000, Y: 1000}} {
		cp := full(size.X, size.Y)
		b.Run(fmt.Sprintf("cells=%d", size.X*size.Y), func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				_, err := Write(dir, cp)
				require.NoError(b, err)
			}
		})
	}
}
