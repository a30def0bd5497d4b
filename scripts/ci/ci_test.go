// Package ci tests the scripts that GitHub's workflows run, without GitHub.
package ci

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkout is a copy of this repository in which scripts run.
type checkout string

func newCheckout(t *testing.T) checkout {
	t.Helper()
	root, dir := filepath.Join("..", ".."), filepath.Join(t.TempDir(), checkoutName)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == ".git" || name == "results") {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, info.Mode())
	}))
	return checkout(dir)
}

// checkoutName has characters that are special to a shell, to find missing quotes.
const checkoutName = "my check'out; $(id)"

// newScripts returns a checkout with only these scripts.
func newScripts(t *testing.T) checkout {
	t.Helper()
	c := checkout(filepath.Join(t.TempDir(), checkoutName))
	require.NoError(t, os.CopyFS(c.path("scripts", "ci"), os.DirFS(".")))
	return c
}

// step runs a script as a step of a workflow. It returns the script's outputs, its summary, its
// standard output and error, and its exit code.
func (c checkout) step(t *testing.T, script string, env ...string) (outputs map[string]string, summary, printed string, code int) {
	t.Helper()
	outputFile, summaryFile := filepath.Join(t.TempDir(), "output"), filepath.Join(t.TempDir(), "summary")
	cmd := exec.CommandContext(t.Context(), c.path("scripts", "ci", script))
	cmd.Dir = string(c)
	cmd.Env = append(sameBuild(), "GITHUB_OUTPUT="+outputFile, "GITHUB_STEP_SUMMARY="+summaryFile)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	outputs = make(map[string]string)
	for line := range strings.Lines(read(t, outputFile)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		require.True(t, ok, line)
		outputs[name] = value
	}
	return outputs, read(t, summaryFile), string(out), cmd.ProcessState.ExitCode()
}

// sameBuild returns the environment of a script. In it Go compiles each package once for all checkouts,
// and not once for each.
func sameBuild() []string { return append(os.Environ(), "GOFLAGS=-trimpath") }

// read returns a file's text, empty where there is none.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return string(text)
}

func (c checkout) path(names ...string) string {
	return filepath.Join(append([]string{string(c)}, names...)...)
}

func TestKey(t *testing.T) {
	c := newScripts(t)
	require.NoError(t, os.WriteFile(c.path("my.yaml"), []byte("model: m\n"), 0o644))
	first, _, printed, code := c.step(t, "key", "CONFIG=my.yaml", "STRATEGY=best", "SHARDS=3")
	require.Zero(t, code, printed)
	assert.Regexp(t, `^[0-9a-f]{16}$`, first["key"])
	assert.Equal(t, "[1,2,3]", first["shards"])

	same, _, _, _ := c.step(t, "key", "CONFIG=my.yaml", "STRATEGY=best")
	assert.Equal(t, first["key"], same["key"], "the key does not depend on the number of shards")
	assert.Equal(t, "[1]", same["shards"])
	other, _, _, _ := c.step(t, "key", "CONFIG=my.yaml", "STRATEGY=frontier")
	assert.NotEqual(t, first["key"], other["key"])
	require.NoError(t, os.WriteFile(c.path("my.yaml"), []byte("model: n\n"), 0o644))
	other, _, _, _ = c.step(t, "key", "CONFIG=my.yaml", "STRATEGY=best")
	assert.NotEqual(t, first["key"], other["key"])

	for _, shards := range []string{"0", "257", "-1", "2; id", "$(id)", "1\n2"} {
		outputs, _, printed, code := c.step(t, "key", "CONFIG=my.yaml", "SHARDS="+shards)
		assert.Equal(t, 1, code, shards)
		assert.Contains(t, printed, "it must be from 1 to 256")
		assert.Empty(t, outputs)
	}
	_, _, printed, code = c.step(t, "key", "CONFIG=$(id)")
	assert.Equal(t, 1, code)
	assert.Equal(t, "there is no config \"$(id)\": name a file of the repository\n", printed)
}

func TestCampaign(t *testing.T) {
	c := newScripts(t)
	id := func(env ...string) string {
		outputs, _, printed, code := c.step(t, "campaign", env...)
		require.Zero(t, code, printed)
		assert.Equal(t, outputs["id"]+"\n", read(t, c.path("campaign", "id")))
		return outputs["id"]
	}
	assert.Equal(t, "7of1", id("RUN=7"))
	assert.Equal(t, "7of1", id("RUN=8", "SHARDS=1"), "the sweep is resumed")
	assert.Equal(t, "9of2", id("RUN=9", "SHARDS=2"), "other shards have other cells")
	assert.Equal(t, "9of2", id("RUN=10", "SHARDS=2", "FRESH=false"))
	assert.Equal(t, "11of2", id("RUN=11", "SHARDS=2", "FRESH=true"))
	require.NoError(t, os.WriteFile(c.path("campaign", "id"), nil, 0o644))
	assert.Equal(t, "12of2", id("RUN=12", "SHARDS=2"), "the last sweep is complete")
}

// TestRunsOfTheWorkflow runs the workflow's steps with a real engine: a sweep in two shards that the
// budget stops, and its resumption; a second sweep, compared with the first; and a regression.
func TestRunsOfTheWorkflow(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
	t.Parallel()
	c := newCheckout(t)
	require.NoError(t, os.WriteFile(c.path("my ci.yaml"), []byte("engine: embedded\nollama: "+sweeptest.Ollama(t)+"\nprompt: {tokens: 200}\nnum_ctx: [512, 1024]\nnum_batch: [64, 128]\nrepeat: 6\nconfirm: 0\nbaseline: false\n"), 0o644))
	measure := func(budget string) {
		for _, shard := range []string{"1", "2"} {
			_, _, printed, code := c.step(t, "sweep", "CONFIG=my ci.yaml", "BUDGET="+budget, "STRATEGY=exhaustive", "SHARD="+shard, "SHARDS=2", "RUNNER_NAME=runner"+shard)
			require.Zero(t, code, printed)
			assert.Contains(t, printed, "# host runner"+shard+", ")
		}
		require.NoError(t, os.RemoveAll(c.path("shards")))
		require.NoError(t, os.Rename(c.path("results"), c.path("shards"))) // as the workflow downloads the artifacts
	}

	measure("1cells")
	outputs, summary, printed, code := c.step(t, "report")
	require.Zero(t, code, printed)
	assert.Empty(t, outputs)
	assert.Contains(t, summary, "    Missing: shards/ci-1of2 lacks samples of 1 cells")
	assert.Contains(t, summary, "Not every cell is measured. Run the workflow again to resume the sweep.")

	require.NoError(t, os.RemoveAll(c.path("results")))
	require.NoError(t, os.Rename(c.path("shards"), c.path("results"))) // as the workflow restores the cache
	measure("")
	for _, shard := range []string{"ci-1of2", "ci-2of2"} {
		quiet(t, c.path("shards", shard, checkpoint.FileName))
	}
	outputs, summary, printed, code = c.step(t, "report")
	require.Zero(t, code, printed)
	assert.Equal(t, map[string]string{"complete": "true", "good": "true"}, outputs)
	assert.Contains(t, summary, "    Cells: 4 planned, 4 measured, 0 failed, 0 missing\n")
	assert.Contains(t, summary, "    Merged 2 checkpoints:\n")
	assert.Contains(t, summary, "There is no earlier sweep to compare with.")
	assert.Empty(t, read(t, c.path("campaign", "id")))
	for _, file := range []string{"heatmap_highlighted.png", "report.html", "bench.txt"} {
		assert.FileExists(t, c.path("results", "sweep", file))
	}

	// Compared with itself there is no difference; compared with twice the rates, a regression.
	require.NoError(t, os.Remove(c.path("results", "sweep", "report.html")))
	outputs, summary, printed, code = c.step(t, "report")
	require.Zero(t, code, printed)
	assert.Equal(t, map[string]string{"complete": "true", "good": "true"}, outputs)
	assert.Contains(t, summary, "4 compared, 0 significantly slower")

	path := c.path("good", checkpoint.FileName)
	cp, err := checkpoint.Load(path)
	require.NoError(t, err)
	for i := range cp.Results {
		for j := range cp.Results[i].Samples {
			cp.Results[i].Samples[j].PromptEvalDuration /= 20 // far more than the noise of a busy machine
		}
		cp.Results[i].SetRate()
	}
	require.NoError(t, cp.Save(path))
	good := read(t, path)
	outputs, summary, printed, code = c.step(t, "report")
	assert.Equal(t, 1, code, printed)
	assert.Equal(t, map[string]string{"complete": "true"}, outputs)
	// On a busy machine a disturbed cell can have too few samples to be one of the slower ones.
	assert.Regexp(t, `\*\*Regression: [1-4] of 4 cells slower by more than 5 %.*; the mean slower`, summary)
	assert.Equal(t, good, read(t, path), "the last good sweep is kept")
	outputs, _, printed, code = c.step(t, "report", "MAX_REGRESS=none")
	require.Zero(t, code, printed)
	assert.Equal(t, "true", outputs["good"])
	_, _, printed, code = c.step(t, "report", "MAX_REGRESS=$(id)")
	assert.Equal(t, 2, code)
	assert.Contains(t, printed, `invalid value "$(id)" for flag -max-regress`)
}

// TestCancelledJob cancels a job as GitHub's runner does: with a signal to the step's own
// process only, after which the runner waits for 7.5 s.
func TestCancelledJob(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
	t.Parallel()
	c := newCheckout(t)
	require.NoError(t, os.WriteFile(c.path("ci.yaml"), []byte("engine: embedded\nollama: "+sweeptest.Ollama(t)+"\nprompt: {tokens: 200}\nnum_ctx: [512, 1024]\nnum_batch: [64, 128]\nrepeat: 50\nbaseline: false\n"), 0o644))
	cmd := exec.CommandContext(t.Context(), "bash", "-c", "exec scripts/ci/sweep")
	cmd.Dir = string(c)
	cmd.Env = append(sameBuild(), "CONFIG=ci.yaml")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	var printed strings.Builder
	var cancelled time.Time
	for lines.Scan() {
		fmt.Fprintln(&printed, lines.Text())
		if cancelled.IsZero() && strings.HasPrefix(lines.Text(), "BenchmarkSweep/") {
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			cancelled = time.Now()
		}
	}
	assert.Error(t, cmd.Wait())
	assert.Contains(t, printed.String(), "# stopped: interrupted by a signal (interrupt)")
	assert.Less(t, time.Since(cancelled), 7*time.Second)
	cp, err := checkpoint.Load(c.path("results", "ci", checkpoint.FileName))
	require.NoError(t, err)
	assert.NotEmpty(t, cp.Results[0].Samples)
}

// quiet removes the records of disturbances from a checkpoint. A machine that runs tests may be busy,
// and a comparison allows for that.
func quiet(t *testing.T, path string) {
	t.Helper()
	cp, err := checkpoint.Load(path)
	require.NoError(t, err)
	for i := range cp.Results {
		cp.Results[i].SetAside = nil
		for j := range cp.Results[i].Samples {
			cp.Results[i].Samples[j].CPU = nil
		}
	}
	require.NoError(t, cp.Save(path))
}
