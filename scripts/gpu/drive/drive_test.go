package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
)

// bundle returns a folder with scripts instead of the programs of a bundle.
func bundle(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		script.Write(t, filepath.Join(dir, name), text+"\n")
	}
	return dir
}

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), time.Now(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestRunFailedBuild: stages that need the build are skipped, and its output is in the summary.
func TestRunFailedBuild(t *testing.T) {
	out, work := t.TempDir(), t.TempDir()
	dir := bundle(t, map[string]string{"build": "echo no compiler; exit 3", "model": "echo written"})
	code, stdout, stderr := command(t, "-limit", "30m", "-bundle", dir, "-out", out, "-work", work, "-only", "sweep,memory")
	assert.Equal(t, 1, code, stderr)
	assert.Contains(t, stdout, "# build failed in ")
	summary, err := os.ReadFile(filepath.Join(out, summaryName))
	require.NoError(t, err)
	for _, want := range []string{"build: exit status 3 (see build.txt)\n", "it needs build\n", "\nbuild\n  no compiler\n", "  random-q8 written in "} {
		assert.Contains(t, string(summary), want)
	}
	files := unpacked(t, filepath.Join(out, archiveName))
	assert.Equal(t, "no compiler\n", files["logs/build.txt"])
	assert.Equal(t, "written\nwritten\n", files["logs/model.txt"])
	assert.Contains(t, files, "configs/sweep.yaml")
	left, err := os.ReadDir(out)
	require.NoError(t, err)
	assert.Len(t, left, 2)
}

// TestRunWithoutTime: a run that skips all stages writes a summary and an archive too.
func TestRunWithoutTime(t *testing.T) {
	out := t.TempDir()
	dir := bundle(t, map[string]string{"build": "exit 9"})
	code, _, stderr := command(t, "-limit", "61s", "-bundle", dir, "-out", out)
	assert.Zero(t, code, stderr)
	summary, err := os.ReadFile(filepath.Join(out, summaryName))
	require.NoError(t, err)
	assert.Equal(t, 12, strings.Count(string(summary), " skipped "))
	assert.Contains(t, unpacked(t, filepath.Join(out, archiveName)), "configs/sweep.yaml")
}

func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"help", []string{"-h"}, 0, "-only"},
		{"no bundle", []string{"-out", dir}, 2, "name the bundle"},
		{"missing bundle", []string{"-bundle", filepath.Join(dir, "x"), "-out", dir, "-work", dir}, 2, "opening the bundle: "},
		{"no such stage", []string{"-bundle", dir, "-out", dir, "-work", dir, "-only", "sweeps"}, 2, `no stage is called "sweeps"`},
		{"missing earlier run", []string{"-bundle", dir, "-out", dir, "-work", dir, "-earlier", filepath.Join(dir, "x")}, 2, "reading the earlier run: "},
		{"no time", []string{"-bundle", dir, "-out", dir, "-limit", "1m"}, 2, "the run ends 1m0s before it"},
		{"an argument", []string{"-bundle", dir, "-out", dir, "now"}, 2, `unexpected argument "now"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(t, tt.args...)
			assert.Equal(t, tt.code, code)
			assert.Contains(t, stdout+stderr, tt.want)
		})
	}
}

func TestConfigs(t *testing.T) {
	for _, small := range []bool{false, true} {
		d, err := newDrive(t.TempDir(), t.TempDir(), t.TempDir(), small)
		require.NoError(t, err)
		settings := 24
		if small {
			settings = 32
		}
		for name, cells := range map[string]int{"sweep": 30, "best": 30, "frontier": 30, "cli": 6, "sweep-4096": 6, "failing": 4, "settings": settings, "settings-best": settings} {
			cfg, err := config.Read(d.in("configs", name+".yaml"), &config.Overrides{})
			require.NoError(t, err)
			plan, leftOut := cfg.Plan()
			assert.Len(t, plan, cells, name)
			assert.Empty(t, leftOut, name)
			for _, c := range plan {
				assert.Less(t, cfg.Prompt.Tokens, c.Ctx, "%s: the prompt fits", name)
			}
		}
	}
}

// TestLateCommand: a command that exceeds its time is interrupted, and can save.
func TestLateCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancelCause(t.Context())
	script := bundle(t, map[string]string{"slow": "trap 'echo saved; exit' INT\necho begun\nwhile :; do sleep 0.01; done"})
	done := make(chan error, 1)
	go func() { done <- logged(ctx, commandOf(script, "slow"), file) }()
	require.Eventually(t, func() bool { return contains(file, "begun") }, 10*time.Second, time.Millisecond)
	cancel(errLate)
	assert.ErrorIs(t, <-done, errLate)
	assert.True(t, contains(file, "saved"))
}

func commandOf(dir, name string) *exec.Cmd { return exec.Command(filepath.Join(dir, name)) }

func contains(file, text string) bool {
	data, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(data), text)
}

func TestExitCode(t *testing.T) {
	script := bundle(t, map[string]string{"three": "exit 3", "none": ""})
	assert.Equal(t, 3, exitCode(runGroup(t.Context(), commandOf(script, "three"))))
	assert.Equal(t, 0, exitCode(runGroup(t.Context(), commandOf(script, "none"))))
	assert.Equal(t, -1, exitCode(io.EOF))
}

// TestRehearse: scripts/gpu/rehearse builds a bundle and runs it with the stand-ins.
func TestRehearse(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs of a bundle")
	}
	ollama, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	printed, err := exec.Command("../rehearse", ollama, out, "-limit", "30m", "-only", "machine").CombinedOutput()
	require.NoError(t, err, "%s", printed)
	assert.Contains(t, string(printed), "\nmachine\n  Stand-in GPU, ")
	files := unpacked(t, filepath.Join(out, archiveName))
	assert.Equal(t, "Stand-in of a rehearsal\n", files["machine/nvidia-smi.txt"])
	assert.NotEmpty(t, files["machine/nvcc.txt"])
}
