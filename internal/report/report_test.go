package report

import (
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	files, err := Write(dir, checkpoints.Mixed())
	require.NoError(t, err)
	assert.Equal(t, Files(), files)
	assert.ElementsMatch(t, files, namesIn(t, dir), "no temporary file is left")
	for name, head := range map[string]string{
		BenchFile: "goos: ", TableFile: "num_batch,512,", HeatmapFile: "\x89PNG",
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, head, string(data[:len(head)]))
	}
}

// TestWriteWithoutRates checks that advice of an earlier state of the checkpoint is removed.
func TestWriteWithoutRates(t *testing.T) {
	race.SkipSequential(t)
	dir := t.TempDir()
	_, err := Write(dir, checkpoints.Mixed())
	require.NoError(t, err)
	files, err := Write(dir, checkpoints.Planned([]int{512}, []int{128}))
	require.NoError(t, err)
	assert.Equal(t, []string{BenchFile, TableFile, StatsFile, HeatmapFile, PageFile, FrontierFile}, files)
	assert.ElementsMatch(t, files, namesIn(t, dir))
}

// TestWriteOfManyCells checks that picture and page of a grid that is too large are not
// written, and that a warning says so.
func TestWriteOfManyCells(t *testing.T) {
	race.SkipSequential(t)
	dir := t.TempDir()
	_, err := Write(dir, checkpoints.Mixed())
	require.NoError(t, err)
	large := checkpoints.Planned(checkpoints.Steps(8192, 1, 501), checkpoints.Steps(1, 1, 500))
	checkpoints.Add(large, 8192, 1, 1000)
	files, err := Write(dir, large)
	require.NoError(t, err)
	assert.ElementsMatch(t, files, namesIn(t, dir), "the earlier files are removed")
	assert.NotContains(t, files, HeatmapFile)
	assert.NotContains(t, files, PageFile)
	assert.Contains(t, files, TableFile)
	var text strings.Builder
	require.NoError(t, Print(&text, large, Options{}))
	assert.Contains(t, text.String(), "Warning: 501 × 500 cells are more than the 250000 that a picture can show: there is no")
	assert.Less(t, text.Len(), 5000, "the table is not printed either")
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if e.Name() != outdir.RecordFile {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	t.Run("a file is in the way", func(t *testing.T) {
		path := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		_, err := Write(filepath.Join(path, "out"), checkpoints.Mixed())
		assert.ErrorContains(t, err, "opening the out folder: ")
	})
	t.Run("a folder is in the way", func(t *testing.T) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, BenchFile), 0o755))
		_, err := Write(dir, checkpoints.Mixed())
		assert.ErrorContains(t, err, "but did not make: bench.txt (a folder); move them, or name another folder with -out")
		assert.Equal(t, []string{BenchFile, "file"}, namesIn(t, dir), "no file was written")
	})
	t.Run("nothing to draw", func(t *testing.T) {
		_, err := Write(t.TempDir(), checkpoints.Planned(nil, nil))
		assert.ErrorContains(t, err, "drawing heatmap: ")
	})
}

// TestWriteEachForItself blocks one file after the other, in the folder of a sweep: all other
// files are written, with the newest figures.
func TestWriteEachForItself(t *testing.T) {
	race.SkipSequential(t)
	for _, name := range Files() {
		t.Run(name, func(t *testing.T) {
			dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
			require.NoError(t, os.WriteFile(elsewhere, []byte("precious"), 0o644))
			_, err := Write(dir, checkpoints.Planned([]int{512}, []int{128}))
			require.NoError(t, err)
			path := filepath.Join(dir, name)
			if err := os.Remove(path); err != nil {
				require.ErrorIs(t, err, fs.ErrNotExist)
			}
			require.NoError(t, os.Symlink(elsewhere, path))

			files, err := Write(dir, checkpoints.Mixed())
			assert.EqualError(t, err, fmt.Sprintf("saving %q: it exists and was not made by this program (a link): move it, or name another folder with -out", path))
			assert.Equal(t, slices.DeleteFunc(Files(), func(f string) bool { return f == name }), files)
			link, err := os.Readlink(path)
			require.NoError(t, err)
			assert.Equal(t, elsewhere, link)
			text, err := os.ReadFile(elsewhere)
			require.NoError(t, err)
			assert.Equal(t, "precious", string(text))
		})
	}
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
