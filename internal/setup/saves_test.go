package setup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClearSaves(t *testing.T) {
	dir := t.TempDir()
	const link, folder = ".report.html2718281828459045", ".frontier.csv2718281828459045"
	for _, name := range []string{".results_table.csv2718281828", ".heatmap_highlighted.png3141592653589793238", ".bench.txt31", ".bench.txt02718281828", ".bench.txt99999999999999999999", ".bench.txt.mine", ".lock", "bench.txt1"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	require.NoError(t, os.Symlink("bench.txt1", filepath.Join(dir, link)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o755))
	require.NoError(t, clearSaves(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	assert.Equal(t, []string{".bench.txt.mine", ".bench.txt02718281828", ".bench.txt31", ".bench.txt99999999999999999999", folder, ".lock", link, "bench.txt1"}, left)
	assert.Error(t, clearSaves(filepath.Join(dir, "gone")))
}
