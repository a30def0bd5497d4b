package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

func TestWatcher(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	var said strings.Builder
	w := watcher{in: dir, stdout: &said}
	last := func() string {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return lines[len(lines)-1]
	}
	w.look()
	w.look()
	assert.Equal(t, "no "+dir+" yet\n", said.String(), "said once")

	require.NoError(t, os.Mkdir(dir, 0o755))
	file := filepath.Join(dir, checkpoint.FileName)
	save := func(cp *checkpoint.Checkpoint) {
		var text strings.Builder
		require.NoError(t, cp.Encode(&text))
		require.NoError(t, os.WriteFile(file+".new", []byte(text.String()), 0o644))
		require.NoError(t, os.Rename(file+".new", file))
	}
	w.look()
	assert.Equal(t, "no "+file+" yet", last())

	cp := checkpoints.Planned([]int{512, 1024}, []int{128, 256})
	checkpoints.Add(cp, 512, 128, 1000)
	save(cp)
	w.look()
	assert.Equal(t, "1 of 4 cells measured, 0 failed, best 1000.0 tokens/s at num_ctx=512, num_batch=128; wrote heatmap_highlighted.png and "+filepath.Join(dir, PageFile), last())
	page := func() string {
		text, err := os.ReadFile(filepath.Join(dir, PageFile))
		require.NoError(t, err)
		return string(text)
	}
	assert.Contains(t, page(), "1 measured")
	require.NoError(t, os.Remove(filepath.Join(dir, PageFile)))
	w.look()
	assert.NoFileExists(t, filepath.Join(dir, PageFile), "nothing has changed")

	checkpoints.Add(cp, 512, 256, 1250)
	save(cp)
	w.look()
	assert.Contains(t, page(), "2 measured")
	assert.FileExists(t, filepath.Join(dir, HeatmapFile))
	assert.NoFileExists(t, filepath.Join(dir, BenchFile), "that is the sweep's, which adds to it")

	require.NoError(t, os.WriteFile(file, []byte("{"), 0o644))
	w.look()
	assert.Contains(t, last(), "decoding checkpoint")
	save(cp)
	w.look()
	assert.Contains(t, last(), "2 of 4 cells measured", "it looked again")

	w = watcher{in: file, out: filepath.Join(dir, "elsewhere"), stdout: &said}
	w.look()
	assert.FileExists(t, filepath.Join(dir, "elsewhere", PageFile))
}
