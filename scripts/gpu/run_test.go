package gpu

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRun: drive is called with the flags, and with a folder that has all of the bundle.
func TestRun(t *testing.T) {
	needsXz(t)
	programs, dir := t.TempDir(), filepath.Join(t.TempDir(), "my bundle")
	write(t, filepath.Join(programs, "drive"), "#!/bin/sh\necho \"$3|$4|$5\"; cd \"$2\" && cat build source.tar.xz parts/*; exit 7\n")
	run := copyOf(t, dir, "run")
	archive(t, programs, filepath.Join(dir, "programs.tar.xz"))
	write(t, filepath.Join(dir, "build"), "build of the bundle\n")
	write(t, filepath.Join(dir, "engine.sh"), "")
	write(t, filepath.Join(dir, "source.tar.xz"), "sources\n")
	write(t, filepath.Join(dir, "parts", "engine.tar.xz.aa"), "engine\n")
	printed, code := script(t, []string{"TMPDIR=" + t.TempDir()}, run, "-limit", "9m", "-out=a b")
	assert.Equal(t, "-limit|9m|-out=a b\nbuild of the bundle\nsources\nengine\n", printed)
	assert.Equal(t, 7, code)
}

func TestRunBrokenBundle(t *testing.T) {
	needsXz(t)
	dir := t.TempDir()
	run := copyOf(t, dir, "run")
	write(t, filepath.Join(dir, "programs.tar.xz"), "broken")
	printed, code := script(t, []string{"TMPDIR=" + t.TempDir()}, run, "-limit", "9m")
	assert.NotZero(t, code)
	assert.NotContains(t, printed, "drive")
}
