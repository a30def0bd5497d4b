package endtoend

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// root is the repository's, where `go test -run Sweep` is typed.
const root = "../.."

// binary is what `go test` builds and runs there, and raced the same with the
// race detector where these tests have it. With it, every picture takes seconds.
var binary, raced string

func TestMain(m *testing.M) {
	// Where nohup has it ignored, the sweeps that are started would too: a handler
	// here gives them the default.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	debug.SetGCPercent(1000) // as in the sweep itself, whose overhead is measured here
	os.Exit(testWithBinary(m))
}

func testWithBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ollama-sweep-endtoend-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, raced = filepath.Join(dir, "sweep.test"), filepath.Join(dir, "raced.test")
	for file, race := range map[string]bool{binary: false, raced: underRaceDetector()} {
		build := exec.Command("go", "test", "-c", "-o", file, fmt.Sprintf("-race=%v", race), ".")
		build.Dir = root
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building the sweep:", err)
			return 1
		}
	}
	return m.Run()
}

func underRaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

// sweepProcess is a sweep in a process of its own, started as
// `go test -run Sweep` starts it.
type sweepProcess struct {
	cmd   *exec.Cmd
	lines chan string // of standard output, as they come
	done  chan struct{}
	err   error // once done

	output lockedBuffer
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startSweep starts a sweep with the flags of the test binary. It is killed when
// the test ends before it.
func startSweep(t *testing.T, flags ...string) *sweepProcess {
	t.Helper()
	// Results of tests are cached by the files that they look at.
	_, err := os.Stat(filepath.Join(root, "sweep_test.go"))
	require.NoError(t, err)
	return startProgram(t, binary, func(cmd *exec.Cmd) { cmd.Dir = root }, flags...)
}

// startRaced starts one under the race detector, where these tests have it.
func startRaced(t *testing.T, flags ...string) *sweepProcess {
	t.Helper()
	return startProgram(t, raced, func(cmd *exec.Cmd) { cmd.Dir = root }, flags...)
}

// startProgram does the same with a program that is elsewhere, and in other
// circumstances.
func startProgram(t *testing.T, program string, as func(*exec.Cmd), flags ...string) *sweepProcess {
	t.Helper()
	p := &sweepProcess{lines: make(chan string, 10_000), done: make(chan struct{})}
	if !strings.Contains(strings.Join(flags, " "), "-test.run") {
		flags = append([]string{"-test.run=^TestSweep$"}, flags...)
	}
	p.cmd = exec.Command(program, append([]string{"-test.timeout=0"}, flags...)...)
	as(p.cmd)
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
		fmt.Fprintln(&p.output, lines.Text())
		p.lines <- lines.Text()
	}
}

func (p *sweepProcess) printed() string { return p.output.String() }

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

// reach returns once the channel is closed.
func (p *sweepProcess) reach(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-p.done:
		t.Fatalf("the sweep ended too soon:\n%s", p.printed())
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
