package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

const surface = "../../internal/simulate/testdata/saturating-12x8.json"

// computingTime is the last column, which is different every time.
var computingTime = regexp.MustCompile(`(?m) +\d+\.\d$`)

func TestTable(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run([]string{"-strategy", "golden", "-seeds", "3", "-generated", "2", surface}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	golden.Equal(t, "table.golden", computingTime.ReplaceAllString(stdout.String(), ""))
}

func TestJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run([]string{"-json", "-strategy", "golden", "-seeds", "1", surface}, &stdout, &stderr))
	var c simulate.Comparison
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&c))
	require.Len(t, c.Surfaces, 3, "golden, random and exhaustive, each once")
	assert.Equal(t, c.Surfaces[0].Mean, c.Overall[0].Mean)
	assert.Equal(t, 96.0, c.Surfaces[2].Cells)
}

func TestAxes(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates searches")
	}
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run([]string{"-axes", "1", "-seeds", "1"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	assert.Regexp(t, `(?m)-axes +one at a time `, stdout.String())
}

func TestBadArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "simulate: no surfaces: name files, or generate some with -generated N\n"},
		{[]string{"-strategy", "guess", surface}, 2, "simulate: unknown strategy \"guess\": give some of best, frontier, golden, random, exhaustive\n"},
		{[]string{"-seeds", "1000000000", surface}, 2, "simulate: 1000000000 seeds are too many plays of each strategy: 10000 is the most\n"},
		{[]string{"-generated", "1000000000"}, 2, "simulate: -generated: 1000000000 surfaces are too many: 10000 is the most\n"},
		{[]string{"-seeds", "0", surface}, 2, "simulate: 0 seeds are too few: give 1 or more\n"},
		{[]string{"-tolerance", "-1", surface}, 2, "simulate: tolerance -1 must be above 0 and below 1, like 0.01\n"},
		{[]string{"-axes", "1", surface}, 2, "simulate: -axes generates its surfaces: use it without files and without -generated\n"},
		{[]string{"-axes", "1", "-strategy", "best,frontier"}, 2, "simulate: -axes plays one search: -strategy best or -strategy frontier\n"},
		{[]string{"-axes", "20000"}, 2, "simulate: -axes: 20000 surfaces are too many: 10000 is the most\n"},
		{[]string{"-generated", "-1"}, 2, "simulate: no surfaces: name files, or generate some with -generated N\n"},
		{[]string{"none.json"}, 1, "simulate: open none.json: no such file or directory\n"},
		{[]string{"-nonsense"}, 2, "flag provided but not defined: -nonsense\n`go run ./scripts/simulate -h` lists the flags\n"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, run(test.args, &stdout, &stderr), test.args)
		assert.Equal(t, test.want, stderr.String())
		assert.Empty(t, stdout.String())
	}
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run([]string{"-h"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "usage: simulate [flags] FILE…\n")
	assert.Empty(t, stderr.String())
}

// TestPartialCheckpoint: a warning says that a search is easier on the cells of a partial
// checkpoint.
func TestPartialCheckpoint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "benchmark_results.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"version": 1, "sweep": {"model": "m", "num_ctx": [1000, 2000], "num_batch": [100, 200]}, "results": [
		{"num_ctx": 1000, "num_batch": 100, "prompt_eval_rate": 90, "error": null}]}`), 0o644))
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run([]string{"-strategy", "golden", "-seeds", "1", file}, &stdout, &stderr))
	assert.Equal(t, "simulate: warning: "+file+" has no result for 3 of its 4 cells; searches are played on the others only, which is easier\n", stderr.String())
	assert.Contains(t, stdout.String(), "On average, golden would have cost 100 % of the loads and lost 0.0 %.")
}
