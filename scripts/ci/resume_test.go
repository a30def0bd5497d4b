package ci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestJobWithoutSave: a runner went down before its job could save its samples, and later runs
// another job of the same sweep.
func TestJobWithoutSave(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	t.Parallel()
	c := newCheckout(t)
	state := filepath.Join(t.TempDir(), "it's state")
	samples := func(file string, n int) {
		t.Helper()
		r := checkpoint.Result{NumCtx: 512, NumBatch: 64}
		for i := range n {
			r.Samples = append(r.Samples, measurement.Sample{PromptEvalCount: 400, PromptEvalDuration: time.Second + time.Duration(i)})
		}
		r.SetRate()
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, (&checkpoint.Checkpoint{Version: checkpoint.Version, Results: []checkpoint.Result{r}}).Save(file))
	}
	has := func(file string) int {
		cp, err := checkpoint.Load(file)
		if os.IsNotExist(errors.Unwrap(err)) {
			return 0
		}
		require.NoError(t, err)
		return len(cp.Results[0].Samples)
	}
	// job prepares a job, with so many samples in the cache, and returns its checkpoint.
	job := func(id string, cached int) (file, printed string) {
		require.NoError(t, os.RemoveAll(c.path("results")))
		if cached > 0 {
			samples(c.path("results", "ci-1of2", checkpoint.FileName), cached)
		}
		outputs, _, printed, code := c.step(t, "resume", "ID="+id, "STATE="+state)
		require.Zero(t, code, printed)
		assert.Equal(t, filepath.Join(state, id, "ci"), outputs["out"])
		return filepath.Join(outputs["out"]+"-1of2", checkpoint.FileName), printed
	}

	file, printed := job("key-7of2-1", 0)
	assert.Empty(t, printed, "the first job of a runner")
	samples(file, 3)
	other, printed := job("key-7of2-2", 0)
	assert.Empty(t, printed, "a job of another shard")
	assert.Zero(t, has(other))

	_, printed = job("key-7of2-1", 1)
	assert.Contains(t, printed, "it has 3 samples, and the other 1")
	assert.Equal(t, 3, has(file))
	_, printed = job("key-7of2-1", 4)
	assert.Contains(t, printed, "resuming results/ci-1of2", "another runner has more samples")
	assert.Equal(t, 4, has(file))
	other, _ = job("key-9of2-1", 0)
	assert.Zero(t, has(other), "another sweep")

	// The save step copies the whole out folder into the checkout, or nothing.
	require.NoError(t, os.WriteFile(strings.TrimSuffix(file, ".json")+".journal", []byte("newest"), 0o644))
	_, _, printed, code := c.step(t, "save", "OUT="+filepath.Join(state, "key-7of2-1", "ci"))
	require.Zero(t, code, printed)
	assert.Equal(t, read(t, file), read(t, c.path("results", "ci-1of2", checkpoint.FileName)))
	assert.Equal(t, "newest", read(t, c.path("results", "ci-1of2", "benchmark_results.journal")))
	_, _, _, code = c.step(t, "save", "OUT="+filepath.Join(state, "nothing", "ci"))
	assert.Equal(t, 1, code)
	assert.NoDirExists(t, c.path("results"), "no partial copy for the cache")

	old := time.Now().AddDate(0, 0, -40)
	for _, name := range []string{"key-7of2-1", "foreign"} {
		require.NoError(t, os.MkdirAll(filepath.Join(state, name), 0o755))
		require.NoError(t, os.Chtimes(filepath.Join(state, name), old, old))
	}
	job("key-9of2-1", 0)
	assert.NoDirExists(t, filepath.Join(state, "key-7of2-1"))
	assert.DirExists(t, filepath.Join(state, "foreign"))
	for _, id := range []string{"", "..", "a/../../b", "a b", "-", "$(id)"} {
		_, _, printed, code := c.step(t, "resume", "ID="+id, "STATE="+state)
		assert.Equal(t, 1, code, printed)
	}
}

// TestCampaignOfAnotherOllama: after an update of Ollama between two nights a new sweep starts,
// reports why, and keeps the old checkpoint. After damage to the checkpoint it does not.
func TestCampaignOfAnotherOllama(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
	t.Parallel()
	c := newCheckout(t)
	require.NoError(t, os.WriteFile(c.path("ci.yaml"), []byte("engine: embedded\nollama: "+sweeptest.Ollama(t)+"\nprompt: {tokens: 200}\nnum_ctx: [512]\nnum_batch: [64, 128]\nrepeat: 2\nconfirm: 0\nbaseline: false\n"), 0o644))
	out := c.path("state", "ci")
	night := func() (printed string, code int) {
		_, _, printed, code = c.step(t, "sweep", "CONFIG=ci.yaml", "OUT="+out)
		return printed, code
	}
	printed, code := night()
	require.Zero(t, code, printed)
	file := filepath.Join(out, checkpoint.FileName)
	cp, err := checkpoint.Load(file)
	require.NoError(t, err)
	version := cp.Sweep.OllamaVersion
	cp.Sweep.OllamaVersion = "0.1.2"
	require.NoError(t, cp.Save(file))
	old := read(t, file)

	printed, code = night()
	require.Zero(t, code, printed)
	changed := fmt.Sprintf("the sweep started anew, because ollama_version is %q there and %q here", "0.1.2", version)
	assert.Contains(t, printed, "# "+changed)
	asides, err := filepath.Glob(filepath.Join(filepath.Dir(file), "benchmark_results-*.json"))
	require.NoError(t, err)
	require.Len(t, asides, 1)
	assert.Equal(t, old, read(t, asides[0]))
	printed, code = night()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# 2 cells: 2 already measured, 0 to measure")

	require.NoError(t, os.Rename(filepath.Dir(out), c.path("shards")))
	_, summary, printed, code := c.step(t, "report")
	require.Zero(t, code, printed)
	assert.Contains(t, strings.Join(strings.Fields(summary), " "), changed)
	assert.Contains(t, summary, "Cells: 2 planned, 2 measured, 0 failed, 0 missing")
	require.NoError(t, os.Rename(c.path("shards"), filepath.Dir(out)))

	require.NoError(t, os.WriteFile(file, []byte(old[:len(old)/2]), 0o644))
	printed, code = night()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "repair or move the file")
	assert.Equal(t, old[:len(old)/2], read(t, file))
}
