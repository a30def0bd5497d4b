package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClearSaves(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".benchmark_results.json2718281828", ".heatmap_highlighted.png31", ".bench.txt.mine", ".lock", "bench.txt1"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	require.NoError(t, clearSaves(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	assert.Equal(t, []string{".bench.txt.mine", ".lock", "bench.txt1"}, left)
	assert.Error(t, clearSaves(filepath.Join(dir, "gone")))
}
