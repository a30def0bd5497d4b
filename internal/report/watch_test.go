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
	var output strings.Builder
	w := watcher{in: dir, stdout: &output}
	last := func() string {
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		return lines[len(lines)-1]
	}
	w.update()
	w.update()
	assert.Equal(t, "waiting for "+dir+"\n", output.String(), "printed once")

	require.NoError(t, os.Mkdir(dir, 0o755))
	file := filepath.Join(dir, checkpoint.FileName)
	save := func(cp *checkpoint.Checkpoint) {
		var text strings.Builder
		require.NoError(t, cp.Encode(&text))
		require.NoError(t, os.WriteFile(file+".new", []byte(text.String()), 0o644))
		require.NoError(t, os.Rename(file+".new", file))
	}
	w.update()
	assert.Equal(t, "waiting for "+file, last())

	cp := checkpoints.Planned([]int{512, 1024}, []int{128, 256})
	checkpoints.Add(cp, 512, 128, 1000)
	save(cp)
	w.update()
	assert.Equal(t, "1 of 4 cells measured, 0 failed, best 1000.0 tokens/s at num_ctx=512, num_batch=128; wrote heatmap_highlighted.png and "+filepath.Join(dir, PageFile), last())
	page := func() string {
		text, err := os.ReadFile(filepath.Join(dir, PageFile))
		require.NoError(t, err)
		return string(text)
	}
	assert.Contains(t, page(), "1 measured")
	require.NoError(t, os.Remove(filepath.Join(dir, PageFile)))
	w.update()
	assert.NoFileExists(t, filepath.Join(dir, PageFile), "nothing has changed")

	checkpoints.Add(cp, 512, 256, 1250)
	save(cp)
	w.update()
	assert.Contains(t, page(), "2 measured")
	assert.FileExists(t, filepath.Join(dir, HeatmapFile))
	assert.NoFileExists(t, filepath.Join(dir, BenchFile), "the running sweep appends to that file")

	require.NoError(t, os.WriteFile(file, []byte("{"), 0o644))
	w.update()
	assert.Contains(t, last(), "decoding checkpoint")
	save(cp)
	w.update()
	assert.Contains(t, last(), "2 of 4 cells measured", "it tries again after an error")

	w = watcher{in: file, options: Options{Dir: filepath.Join(dir, "elsewhere")}, stdout: &output}
	w.update()
	assert.FileExists(t, filepath.Join(dir, "elsewhere", PageFile))
}
