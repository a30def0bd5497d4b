// Package slurm tests the batch scripts without Slurm: shell scripts replace go, ollama and
// scontrol. .ci/slurm tests them on a real Slurm.
package slurm

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
)

const listening = `time=2026-11-26T12:00:00.000Z level=INFO source=routes.go:1 msg="Listening on 127.0.0.1:43211 (version 0.32.5)"`

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8") // they wait and don't compute; a flag of the user overrides this
	os.Exit(m.Run())
}

// task is a Slurm task whose commands are the test's shell scripts.
type task struct {
	bin string
	env []string
}

// newTask returns a task whose go command prints its environment and arguments, each on a line.
func newTask(t *testing.T, env ...string) *task {
	t.Helper()
	task := &task{bin: t.TempDir(), env: append(env, "SLURM_ARRAY_JOB_ID=17", "SLURM_ARRAY_TASK_ID=2", "SLURMD_NODENAME=node7", "TMPDIR="+t.TempDir())}
	task.command(t, "go", `echo "run $SWEEP_RUN"; echo "server ${OLLAMA_HOST:-}"; printf 'word <%s>\n' "$@"`)
	task.command(t, "scontrol", `echo "scontrol $*"`)
	return task
}

func (k *task) command(t *testing.T, name, text string) {
	t.Helper()
	script.Write(t, filepath.Join(k.bin, name), "#!/usr/bin/env bash\n"+text+"\n")
}

func (k *task) start(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"sweep.sbatch"}, args...)...)
	cmd.Env = append([]string{"PATH=" + k.bin + ":/usr/bin:/bin", "HOME=" + t.TempDir()}, k.env...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = cmd.Stdout
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

func (k *task) run(t *testing.T, args ...string) (printed string, code int) {
	t.Helper()
	cmd, lines := k.start(t, args...)
	printed = rest(lines)
	_ = cmd.Wait() // the exit code is checked
	return printed, cmd.ProcessState.ExitCode()
}

func rest(lines *bufio.Scanner) string {
	var b strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&b, lines.Text())
	}
	return b.String()
}

func TestTaskWithAServerOfItsOwn(t *testing.T) {
	t.Parallel()
	k := newTask(t)
	k.command(t, "ollama", `echo "started with $OLLAMA_HOST"; echo '`+listening+`'; exec sleep 60`)
	printed, code := k.run(t, "-config", "my sweep's.yaml", "-out", "$(id)")
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "run 17_2\n")
	assert.Contains(t, printed, "server 127.0.0.1:43211\n")
	assert.Contains(t, printed, "word <-config>\nword <my sweep's.yaml>\nword <-out>\nword <$(id)>\n")
	assert.Contains(t, printed, "word <-shard>\nword <auto>\nword <-server-log>\n")
}

// TestTaskWhoseServerDoesNotListen: the server hangs, listens elsewhere, or has ended.
func TestTaskWhoseServerDoesNotListen(t *testing.T) {
	t.Parallel()
	const patience = "SWEEP_SERVER_WAIT=2"
	for name, tt := range map[string]struct{ wait, serve, want string }{
		"hangs":         {patience, `seq -f 'line %g' 100`, "# ollama serve does not listen after 2 s; the end of its log:\n# line 81\n"},
		"half a line":   {patience, `seq -f 'line %g' 99; printf 'Listening on 127.0.0.1:4'`, "# ollama serve does not listen after 2 s; the end of its log:\n# line 81\n"},
		"elsewhere":     {patience, `echo 'Listening on [::]:43211 (version 0.32.5)'`, "# Listening on [::]:43211 (version 0.32.5)\n"},
		"prints a rate": {patience, `echo 'BenchmarkSweep/ctx=1/batch=1 1 100000000 tokens/s'`, "\n# BenchmarkSweep/ctx=1/batch=1 1 100000000 tokens/s\n"},
		"has ended":     {"SWEEP_SERVER_WAIT=600", `echo 'Error: no GPU'; exit 3`, "# ollama serve has ended; the end of its log:\n# Error: no GPU\n"},
		"no number":     {"SWEEP_SERVER_WAIT=2m", ``, "# SWEEP_SERVER_WAIT is \"2m\": it must be a number of seconds\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newTask(t, tt.wait)
			k.command(t, "ollama", `trap 'touch "$TMPDIR/printed"' EXIT; `+tt.serve+`; touch "$TMPDIR/printed"; exec /bin/sleep 600`)
			// The task's clock advances only after the server has printed.
			k.command(t, "sleep", `for _ in $(seq 1000); do [ -e "$TMPDIR/printed" ] && break; /bin/sleep 0.01; done; exec /bin/sleep "$1"`)
			printed, code := k.run(t, "-config", "my.yaml")
			assert.Equal(t, 1, code, printed)
			assert.Contains(t, printed, tt.want)
			assert.NotContains(t, printed, "word", "no sweep is started")
		})
	}
}

// TestTaskAtItsTimeLimit: the task is requeued, except with -redo, which would measure its first
// cell again each time.
func TestTaskAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args    []string
		requeue bool
	}{
		"resumes":        {[]string{"-config", "my.yaml"}, true},
		"fresh":          {[]string{"-fresh"}, true},
		"redo":           {[]string{"-run", "Sweep/ctx=1", "-redo"}, false},
		"redo with true": {[]string{"--redo=true"}, false},
		"no redo":        {[]string{"-redo", "-redo=false"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newTask(t, "OLLAMA_HOST=127.0.0.1:1")
			k.command(t, "go", `trap 'kill $!; echo interrupted; exit 1' INT; sleep 60 >/dev/null 2>&1 & echo measures; wait`)
			cmd, lines := k.start(t, tt.args...)
			for lines.Scan() && lines.Text() != "measures" {
			}
			require.NoError(t, cmd.Process.Signal(syscall.SIGUSR1))
			printed := rest(lines)
			assert.Error(t, cmd.Wait())
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			assert.Contains(t, printed, "interrupted\n")
			assert.Equal(t, tt.requeue, strings.Contains(printed, "scontrol requeue 17_2\n"), printed)
			assert.Equal(t, !tt.requeue, strings.Contains(printed, "name the cells that are left with -run"), printed)
		})
	}
}

// TestTaskWhoseServerDoesNotEnd: a server that ignores SIGTERM is killed, and the task ends.
func TestTaskWhoseServerDoesNotEnd(t *testing.T) {
	t.Parallel()
	k := newTask(t)
	k.command(t, "sleep", `[ "$1" != 10 ] || exec /bin/sleep 0.5; exec /bin/sleep "$1"`) // the ten seconds that it has
	k.command(t, "ollama", `trap '' TERM; echo "pid $$" >"$TMPDIR/pid"; echo '`+listening+`'; while :; do sleep 1; done`)
	printed, code := k.run(t)
	require.Zero(t, code, printed)
	var pid int
	text, err := os.ReadFile(filepath.Join(strings.TrimPrefix(k.env[len(k.env)-1], "TMPDIR="), "pid"))
	require.NoError(t, err)
	_, err = fmt.Sscanf(string(text), "pid %d", &pid)
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, 10*time.Second, 10*time.Millisecond)
}
