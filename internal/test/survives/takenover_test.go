package survives

import (
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestSurvivesATakeover starts a second sweep at the path of one that runs, after the folder or its
// lock was renamed or removed. The first stops, and each sample that either of them reported is in a
// file.
func TestSurvivesATakeover(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	for name, away := range map[string]func(out string) error{
		"folder renamed": func(out string) error { return os.Rename(out, out+"-moved") },
		"folder removed": os.RemoveAll,
		"lock removed":   func(out string) error { return os.Remove(filepath.Join(out, checkpoint.LockFile)) },
		"lock renamed": func(out string) error {
			return os.Rename(filepath.Join(out, checkpoint.LockFile), filepath.Join(out, "lock"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			_, args := sweeptest.SimulatedBy(t, 20, out, manyCells)
			first := sweeptest.Start(t, args...)
			first.Await(t, "# 3/")
			require.NoError(t, first.Command.Process.Signal(syscall.SIGSTOP), "so that it saves nothing before the second has the lock")
			require.NoError(t, away(out))
			second := sweeptest.Start(t, args...)
			second.Await(t, "BenchmarkSweep/")
			require.NoError(t, first.Command.Process.Signal(syscall.SIGCONT))
			printed, code := first.Wait()
			assert.Equal(t, 1, code, printed)
			second.Signal(t, syscall.SIGINT)

			assert.Contains(t, printed, "another sweep is using the folder now")
			saved := regexp.MustCompile(`the \d+ cells of this sweep are in (\S+\.json)`).FindStringSubmatch(printed)
			require.NotNil(t, saved, printed)
			cp, err := checkpoint.Load(saved[1])
			require.NoError(t, err)
			sweeptest.RequireReported(t, cp, sweeptest.BenchLines(printed))
			sweeptest.RequireReported(t, sweeptest.Load(t, out), sweeptest.BenchLines(second.Printed()))
		})
	}
}

// TestSurvivesAnEditedCheckpoint changes the checkpoint while a sweep runs: neither the change nor a
// sample is lost.
func TestSurvivesAnEditedCheckpoint(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	_, args := sweeptest.SimulatedBy(t, 20, out, manyCells)
	p := sweeptest.Start(t, args...)
	p.Await(t, "# 3/")
	file := filepath.Join(out, checkpoint.FileName)
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o644))
	printed, code := p.Wait()
	assert.Equal(t, 1, code)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
	asides, err := filepath.Glob(filepath.Join(out, "benchmark_results-*.json"))
	require.NoError(t, err)
	require.Len(t, asides, 1, printed)
	cp, err := checkpoint.Load(asides[0])
	require.NoError(t, err)
	sweeptest.RequireReported(t, cp, sweeptest.BenchLines(printed))
}

// TestSurvivesTwoLinks: if the checkpoints of two sweeps are links to the same file, the second sweep
// is refused.
func TestSurvivesTwoLinks(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	dir := t.TempDir()
	shared := filepath.Join(dir, "shared.json")
	outs := [2]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	var all [2][]string
	for i, out := range outs {
		require.NoError(t, os.Mkdir(out, 0o755))
		_, all[i] = sweeptest.SimulatedBy(t, 20, out, manyCells)
	}
	// A short sweep in the first folder makes the file.
	_, code := sweeptest.Start(t, append(all[0], "-budget", "1cells")...).Wait()
	require.Zero(t, code)
	require.NoError(t, os.Rename(filepath.Join(outs[0], checkpoint.FileName), shared))
	for _, out := range outs {
		require.NoError(t, os.Symlink(shared, filepath.Join(out, checkpoint.FileName)))
	}
	first := sweeptest.Start(t, all[0]...)
	first.Await(t, "# 3/")
	printed, code := sweeptest.Start(t, all[1]...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "another sweep is using "+shared)
	first.Signal(t, syscall.SIGINT)
	cp, err := checkpoint.Load(shared)
	require.NoError(t, err)
	sweeptest.RequireReported(t, cp, sweeptest.BenchLines(first.Printed()))
	link, err := os.Readlink(filepath.Join(outs[0], checkpoint.FileName))
	require.NoError(t, err)
	assert.Equal(t, shared, link, "a link stays a link")
}
