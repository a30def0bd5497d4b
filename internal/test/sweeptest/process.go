package sweeptest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
)

// EndsWithin is the time in which an interrupted sweep must end, including all processes that
// it started.
const EndsWithin = 5 * time.Second

// Process is a sweep in a process of its own, started as
// `go test -run Sweep` starts it.
type Process struct {
	Command *exec.Cmd
	lines   chan string // of standard output and standard error
	done    chan struct{}
	err     error // once done

	output Buffer
	peak   atomic.Int64 // see PeakMemory
}

// Buffer is a bytes.Buffer that can be read while it is written.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Start starts a sweep with these flags of the test binary. If it still runs when the test ends,
// it is killed.
func Start(t *testing.T, flags ...string) *Process {
	t.Helper()
	// go test caches results by the files that a test opens: let it see one of the sweep.
	_, err := os.Stat(filepath.Join(Root, "sweep_test.go"))
	require.NoError(t, err)
	return StartProgram(t, binary, func(cmd *exec.Cmd) { cmd.Dir = Root }, flags...)
}

// StartWithEnv is Start with environment variables besides those of the test.
func StartWithEnv(t *testing.T, env []string, flags ...string) *Process {
	t.Helper()
	return StartProgram(t, binary, func(cmd *exec.Cmd) { cmd.Dir, cmd.Env = Root, append(os.Environ(), env...) }, flags...)
}

// StartWithRaceDetector is Start with the race detector, if these tests are built with it.
func StartWithRaceDetector(t *testing.T, flags ...string) *Process {
	t.Helper()
	return StartProgram(t, raced, func(cmd *exec.Cmd) { cmd.Dir = Root }, flags...)
}

// StartProgram is Start with another test binary, after setup has changed how it is run.
func StartProgram(t *testing.T, program string, setup func(*exec.Cmd), flags ...string) *Process {
	t.Helper()
	p := &Process{lines: make(chan string, 10_000), done: make(chan struct{})}
	if !strings.Contains(strings.Join(flags, " "), "-test.run") {
		flags = append([]string{"-test.run=^TestSweep$"}, flags...)
	}
	p.Command = exec.Command(program, append([]string{"-test.timeout=0"}, flags...)...)
	setup(p.Command)
	stdout, err := p.Command.StdoutPipe()
	require.NoError(t, err)
	p.Command.Stderr = p.Command.Stdout
	require.NoError(t, p.Command.Start())
	go func() {
		p.read(stdout)
		p.err = p.Command.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Command.Process.Kill()
		<-p.done
	})
	return p
}

func (p *Process) read(r io.Reader) {
	defer close(p.lines)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fmt.Fprintln(&p.output, lines.Text())
		p.lines <- lines.Text()
	}
}

// PeakMemory returns the most memory that the sweep had resident, in bytes, as far as samples show it: 0 where
// there is no /proc, or no WatchMemory. The kernel's figure for an ended process (ru_maxrss) is at least that of
// the process which started it, here that of all tests.
func (p *Process) PeakMemory() int64 { return p.peak.Load() }

// WatchMemory samples the memory of the sweep from now on, for PeakMemory.
func (p *Process) WatchMemory() { go p.watchMemory() }

func (p *Process) watchMemory() {
	proc, err := procfs.NewProc(p.Command.Process.Pid)
	if err != nil {
		return
	}
	for {
		status, err := proc.NewStatus()
		if err == nil && int64(status.VmHWM) > p.peak.Load() {
			p.peak.Store(int64(status.VmHWM))
		}
		select {
		case <-p.done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Printed returns the output so far.
func (p *Process) Printed() string { return p.output.String() }

// Await waits until the sweep prints a line with this prefix.
func (p *Process) Await(t *testing.T, prefix string) {
	t.Helper()
	timeout := time.After(10 * time.Minute) // the engine may have to be built
	for {
		select {
		case line, open := <-p.lines:
			require.True(t, open, "the sweep ended without %q:\n%s", prefix, p.Printed())
			if strings.HasPrefix(line, prefix) {
				return
			}
		case <-timeout:
			t.Fatalf("timed out waiting for a line %q:\n%s", prefix, p.Printed())
		}
	}
}

// Reach waits until the channel is closed. The test fails if the sweep ends before.
func (p *Process) Reach(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-p.done:
		t.Fatalf("the sweep ended too soon:\n%s", p.Printed())
	}
}

// Wait waits until the sweep ends, and returns its output and exit code.
func (p *Process) Wait() (output string, exitCode int) {
	<-p.done
	return p.Printed(), p.Command.ProcessState.ExitCode()
}

// Signal sends a signal, waits until the sweep ends, and returns how long that took.
func (p *Process) Signal(t *testing.T, s os.Signal) time.Duration {
	t.Helper()
	sent := time.Now()
	require.NoError(t, p.Command.Process.Signal(s))
	<-p.done
	return time.Since(sent)
}

// WriteConfig writes a config file and returns its name. It adds `retake: false` unless the text
// has that key, since tests keep the machine busy and would cause retakes. For the embedded
// engine it adds the ollama command that the tests run on.
func WriteConfig(t *testing.T, text string) string {
	t.Helper()
	if !strings.Contains(text, "retake:") {
		text = strings.TrimRight(text, "\n") + "\nretake: false\n"
	}
	if strings.Contains(text, "engine: embedded") {
		text += "ollama: " + Ollama(t) + "\n"
	}
	file := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}
