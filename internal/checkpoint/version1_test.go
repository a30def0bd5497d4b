package checkpoint

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

// olderTool is the file of the Python tool that this project replaces.
const olderTool = "older_tool.json"

// copyVersion1 copies a checkpoint of testdata/version1, with its journal, to a folder, and returns its path.
func copyVersion1(t *testing.T, file string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), FileName)
	for from, to := range map[string]string{file: path, JournalOf(file): JournalOf(path)} {
		text, err := os.ReadFile(from)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, text, 0o644))
	}
	return path
}

// TestCheckpointsOfEarlierReleases reads the checkpoints that sweeps wrote before there were axes besides
// num_ctx and num_batch: whole ones, stopped and killed ones, searches, shards. Their plans and figures
// are those that that release read, which wrote the golden. A save of each leaves the bytes that that
// release would have written, without the axes and keys of the newer format.
func TestCheckpointsOfEarlierReleases(t *testing.T) {
	files, err := filepath.Glob("testdata/version1/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var b strings.Builder
	for _, file := range files {
		name := filepath.Base(file)
		cp, err := Load(file)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s\n", name)
		for what, cells := range map[string][]cell.Key{"plan": cp.Plan(), "off the grid": cp.OffGrid()} {
			assert.True(t, slices.IsSortedFunc(cells, cell.Key.Compare), what)
		}
		fmt.Fprintf(&b, "  plan of %d: %s\n", len(cp.Plan()), some(cp.Plan()))
		fmt.Fprintf(&b, "  pruned: %v, off the grid: %v\n", cp.Pruned(), cp.OffGrid())
		for i := range cp.Results {
			if r := &cp.Results[i]; i < 12 || i >= len(cp.Results)-2 {
				fmt.Fprintf(&b, "  %v: %s\n", r.Cell(), text(r))
			}
		}
		for i := range cp.Auxiliary {
			if r := &cp.Auxiliary[i]; i < 12 {
				fmt.Fprintf(&b, "  %s %v: %s\n", r.Purpose, r.Cell(), text(&r.Result))
			}
		}
		if s := cp.Sweep.Search; s != nil {
			fmt.Fprintf(&b, "  search: %v %.3f done %v, %d columns\n", s.Best, s.Rate, s.Done, len(s.Columns))
		}

		path := copyVersion1(t, file)
		header := cp.Sweep
		if name == olderTool {
			header.NumCtx, header.NumBatch = cp.Axes()
		}
		s, err := OpenStore(filepath.Dir(path), header, false, noon)
		require.NoError(t, err)
		require.NoError(t, s.Save())
		saved, err := os.ReadFile(path)
		require.NoError(t, err)
		was, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = os.Stat(JournalOf(file))
		switch {
		case name == olderTool: // whose times are local
			assert.True(t, strings.HasPrefix(string(saved), "{\n  \"version\": 1,\n"))
			assert.NotContains(t, string(saved), `"key"`)
		case err == nil:
			assert.NoFileExists(t, JournalOf(path))
			fmt.Fprintf(&b, "  saved as sha256 %x\n", sha256.Sum256(saved))
		default:
			assert.Equal(t, string(was), string(saved), name)
		}
	}
	golden.Equal(t, "version1.txt", b.String())
}

// some lists cells, of many the first and the last.
func some(cells []cell.Key) string {
	if n := len(cells); n > 24 {
		return fmt.Sprintf("%v … %v", cells[:3], cells[n-3:])
	}
	return fmt.Sprint(cells)
}

func text(r *Result) string {
	if r.Failed() {
		return fmt.Sprintf("%s (%s)", *r.Error, r.Detail)
	}
	return fmt.Sprintf("%.3f of %d samples, %d probes", *r.PromptEvalRate, len(r.Samples), len(r.Probes))
}
