package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFreshChanged: the sweep starts anew where the checkpoint is another sweep's, and only there.
func TestFreshChanged(t *testing.T) {
	begun := func(t *testing.T) (dir, text string) {
		dir = t.TempDir()
		require.NoError(t, openStore(t, dir, Header{Model: "m", OllamaVersion: "0.32.4"}).Put(measured(1, 1, 10)))
		return dir, read(t, filepath.Join(dir, FileName))
	}
	same, updated := Header{Model: "m", OllamaVersion: "0.32.4"}, Header{Model: "m", OllamaVersion: "0.32.5"}

	dir, _ := begun(t)
	s, err := Open(dir, same, FreshChanged, noon)
	require.NoError(t, err)
	assert.Empty(t, s.Note)
	assert.Len(t, s.Checkpoint().Results, 1)

	dir, text := begun(t)
	_, err = Open(dir, updated, FreshNever, noon)
	var other *OtherSweepError
	require.ErrorAs(t, err, &other)
	assert.Equal(t, `ollama_version is "0.32.4" there and "0.32.5" here`, other.Diff)
	assert.Equal(t, text, read(t, filepath.Join(dir, FileName)))

	s, err = Open(dir, updated, FreshChanged, noon)
	require.NoError(t, err)
	aside := filepath.Join(dir, "benchmark_results-20260301-120000.000.json")
	assert.Equal(t, `the sweep started anew, because ollama_version is "0.32.4" there and "0.32.5" here; the previous checkpoint is now `+aside, s.Note)
	assert.Equal(t, text, read(t, aside))
	require.NoError(t, s.Put(measured(2, 1, 20)))
	cp, err := Load(filepath.Join(dir, FileName))
	require.NoError(t, err)
	assert.Len(t, cp.Results, 1)
	assert.Equal(t, "0.32.5", cp.Sweep.OllamaVersion)
	assert.Equal(t, []string{s.Note}, cp.Sweep.Warnings, "the reports show it too")
	assert.Equal(t, text, read(t, aside))

	dir, text = begun(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), []byte(text[:len(text)/2]), 0o644))
	_, err = Open(dir, updated, FreshChanged, noon)
	assert.ErrorContains(t, err, "repair or move the file", "a damaged file is not treated as another sweep's")
	assert.Equal(t, text[:len(text)/2], read(t, filepath.Join(dir, FileName)))
}

// TestFreshOfTheSameRun: a job that is restarted resumes the checkpoint that it began, and moves an
// older one aside.
func TestFreshOfTheSameRun(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, openStore(t, dir, Header{Model: "m"}).Put(measured(1, 1, 10)))

	job := Header{Model: "m", Run: "17_2"}
	s, err := Open(dir, job, FreshAlways, noon)
	require.NoError(t, err)
	assert.Empty(t, s.Checkpoint().Results, "the checkpoint from before the job is moved aside")
	require.NoError(t, s.Put(measured(2, 1, 20)))

	s, err = Open(dir, job, FreshAlways, noon)
	require.NoError(t, err)
	assert.Len(t, s.Checkpoint().Results, 1)
	s, err = Open(dir, Header{Model: "m", Run: "18_2"}, FreshNever, noon)
	require.NoError(t, err)
	assert.Equal(t, "17_2", s.Checkpoint().Sweep.Run, "the run that began it")
	require.NoError(t, s.Put(measured(3, 1, 20)))

	for _, run := range []string{"", "17", "18_2"} {
		s, err = Open(dir, Header{Model: "m", Run: run}, FreshAlways, noon)
		require.NoError(t, err)
		assert.Empty(t, s.Checkpoint().Results, "run %q", run)
		require.NoError(t, s.Put(measured(4, 1, 20)))
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}
