package ollamasweep

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sweepProcess is a sweep in a process of its own: this test binary, started as
// `go test -run Sweep` starts it.
type sweepProcess struct {
	cmd   *exec.Cmd
	lines chan string // of standard output, as they come
	done  chan struct{}
	err   error // once done

	mu     sync.Mutex
	output bytes.Buffer
}

// startSweep starts a sweep with the flags of the test binary. It is killed when
// the test ends before it.
func startSweep(t *testing.T, flags ...string) *sweepProcess {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	p := &sweepProcess{lines: make(chan string, 10_000), done: make(chan struct{})}
	if !strings.Contains(strings.Join(flags, " "), "-test.run") {
		flags = append([]string{"-test.run=^TestSweep$"}, flags...)
	}
	p.cmd = exec.Command(binary, append([]string{"-test.timeout=0"}, flags...)...)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	require.NoError(t, p.cmd.Start())
	go func() {
		p.read(stdout)
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

func (p *sweepProcess) read(r io.Reader) {
	defer close(p.lines)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		p.mu.Lock()
		p.output.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
		p.lines <- lines.Text()
	}
}

func (p *sweepProcess) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// await returns when a line that begins so was printed.
func (p *sweepProcess) await(t *testing.T, prefix string) {
	t.Helper()
	timeout := time.After(10 * time.Minute) // the engine may have to be built
	for {
		select {
		case line, open := <-p.lines:
			require.True(t, open, "the sweep ended without %q:\n%s", prefix, p.printed())
			if strings.HasPrefix(line, prefix) {
				return
			}
		case <-timeout:
			t.Fatalf("no line %q in time:\n%s", prefix, p.printed())
		}
	}
}

// wait returns what was printed and the exit code once the sweep has ended.
func (p *sweepProcess) wait() (output string, exitCode int) {
	<-p.done
	return p.printed(), p.cmd.ProcessState.ExitCode()
}

// signal sends it and returns how long the sweep took to end.
func (p *sweepProcess) signal(t *testing.T, s os.Signal) time.Duration {
	t.Helper()
	sent := time.Now()
	require.NoError(t, p.cmd.Process.Signal(s))
	<-p.done
	return time.Since(sent)
}

// writeConfig returns the name of a config file of this text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}
