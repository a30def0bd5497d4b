package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/compare"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

// command runs the command in process.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// results returns an out folder of a sweep of one cell with these durations of
// prompts of 1000 tokens, in milliseconds.
func results(t *testing.T, numCtx int, milliseconds ...int) string {
	t.Helper()
	dir := t.TempDir()
	var samples []string
	for _, ms := range milliseconds {
		samples = append(samples, fmt.Sprintf(`{"prompt_eval_count": 1000, "prompt_eval_duration_ns": %d000000}`, ms))
	}
	text := fmt.Sprintf(`{"version": 1, "sweep": {"model": "tiny", "num_ctx": [%d], "num_batch": [128]}, "results": [
{"num_ctx": %d, "num_batch": 128, "prompt_eval_rate": %v, "error": null, "samples": [%s]}]}`,
		numCtx, numCtx, 1e6/float64(milliseconds[0]), strings.Join(samples, ", "))
	require.NoError(t, os.WriteFile(filepath.Join(dir, checkpoint.FileName), []byte(text), 0o644))
	return dir
}

// withThreads returns an out folder of a sweep with two values of num_thread, the second 10 % slower.
func withThreads(t *testing.T) string {
	t.Helper()
	cp := checkpoints.Planned([]int{1024}, []int{128, 256})
	cp.Version = checkpoint.VersionAxes
	cp.Sweep.Axes = []cell.SettingAxis{{Name: "num_thread", Values: []string{"1", "2"}}}
	for _, c := range cp.Plan() {
		rate := 1000.0
		if v, _ := c.Value("num_thread"); v == "2" {
			rate = 900
		}
		checkpoints.AddCell(cp, c, rate, rate, rate, rate, rate, rate)
	}
	dir := t.TempDir()
	data, err := json.Marshal(cp)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, checkpoint.FileName), data, 0o644))
	return dir
}

func TestCompare(t *testing.T) {
	old := results(t, 1024, 1000, 1000, 1000, 1000, 1000, 1000)
	slower := results(t, 1024, 1100, 1100, 1100, 1100, 1100, 1100)
	one := results(t, 1024, 1100)
	for _, tt := range []struct {
		name string
		args []string
		code int
		has  string // on either stream
	}{
		{"slower", []string{"-max-regress", "5%", old, slower}, 1, "Regression: 1 of 1 cells slower by more than 5 %, num_ctx=1024, num_batch=128 by 9.1 %"},
		{"within the limit", []string{"-max-regress", "10%", old, slower}, 0, "no cell is slower by more than 10 %"},
		{"without a limit", []string{old, slower}, 0, "Regression: 1 of 1 cells slower,"},
		{"a limit of 0", []string{"-max-regress", "0", old, slower}, 1, "Regression: 1 of 1 cells slower,"},
		{"faster", []string{"-max-regress", "5%", slower, old}, 0, "1 significantly faster"},
		{"too few samples", []string{"-max-regress", "5%", old, one}, 0, "1 of 1 cells have too few samples for a single cell to be found slower: that needs 3 on each side (-repeat 3)"},
		{"no such folder", []string{old, filepath.Join(old, "none")}, 2, "does not exist: run a sweep first"},
		{"no such folder before", []string{filepath.Join(old, "none"), old}, 2, "does not exist: run a sweep first"},
		{"one argument", []string{old}, 2, "compare [flags] OLD NEW"},
		{"an invalid limit", []string{"-max-regress", "much", old, old}, 2, "expected a percentage like 1%"},
		{"a limit of all", []string{"-max-regress", "100%", old, old}, 2, "it must be at least 0% and below 100%"},
		{"no such flag", []string{"-x"}, 2, "flag provided but not defined"},
		{"help", []string{"-h"}, 0, "-max-regress"},
		{"a sweep without more axes", []string{"-axis", "num_gpu", old}, 2, "the sweep has no axes besides num_ctx and num_batch"},
		{"an axis of two sweeps", []string{"-axis", "num_gpu", old, slower}, 2, "one with -axis"},
		{"an axis with a limit", []string{"-axis", "num_gpu", "-max-regress", "5%", old}, 2, "are for two sweeps"},
		{"an axis", []string{"-axis", "num_thread", withThreads(t)}, 0, "num_thread=2 is 10.0 % slower than num_thread=1 (95 % "},
		{"nothing in common", []string{old, results(t, 2048, 1000)}, 2, "no cell has a rate in both sweeps"},
		{"an out folder that is a file", []string{"-out", filepath.Join(old, checkpoint.FileName), old, slower}, 2, "opening the out folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(tt.args...)
			assert.Equal(t, tt.code, code, stderr)
			assert.Contains(t, stdout+stderr, tt.has)
		})
	}
	assert.FileExists(t, filepath.Join(slower, compare.SummaryFile))
	assert.FileExists(t, filepath.Join(slower, compare.ChangesFile))
	out := t.TempDir()
	code, stdout, _ := command("-out", out, old, slower)
	assert.Zero(t, code)
	assert.Contains(t, stdout, "Wrote "+filepath.Join(out, compare.SummaryFile)+"\n")
}

// TestCompareForeignFiles: with another program's summary in the folder nothing is written,
// or in an out folder only the picture.
func TestCompareForeignFiles(t *testing.T) {
	old, new := results(t, 1024, 1000), results(t, 1024, 1100)
	for _, tt := range []struct {
		out     string
		picture bool
	}{{t.TempDir(), false}, {new, true}} {
		summary := filepath.Join(tt.out, compare.SummaryFile)
		require.NoError(t, os.WriteFile(summary, []byte("# My notes"), 0o644))
		code, stdout, stderr := command("-out", tt.out, old, new)
		assert.Equal(t, 2, code)
		assert.Contains(t, stderr, "summary.md")
		assert.Contains(t, stderr, "name another folder with -out")
		assert.Contains(t, stdout, "Cells: ")
		text, err := os.ReadFile(summary)
		require.NoError(t, err)
		assert.Equal(t, "# My notes", string(text))
		_, err = os.Stat(filepath.Join(tt.out, compare.ChangesFile))
		assert.Equal(t, tt.picture, err == nil)
	}
}
