package survives

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestSurvivesSignals interrupts sweeps of a template, whose temporary model must be deleted, in every
// state of a server. The first load and the sizing take six prompts, each cell a load and three
// samples.
func TestSurvivesSignals(t *testing.T) {
	t.Parallel()
	first, third := sweeptest.SmallPlan[0], sweeptest.SmallPlan[2]
	for i, test := range []struct {
		name  string
		fault http.HandlerFunc // the answer to the prompts of cell, beginning with number from
		cell  cell.Key
		from  int
		saved bool // some samples are saved
	}{
		{"in a load", ollamatest.Hang(""), first, 1, false},
		{"before the first sample", ollamatest.Hang(""), first, 7, false},
		{"in a sample, before the header", ollamatest.Hang(""), third, 3, true},
		{"in a sample, in the stream", ollamatest.Hang(`{"model":"tiny","created_at":"2026-11-23T07:06:01.599962147Z","response":"H","done":false}` + "\n"), third, 3, true},
		{"waiting for a server that is busy", ollamatest.ReplyStatus(503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`), third, 3, true},
	} {
		signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
		if !*long { // one signal for each state
			signals = signals[i%3 : i%3+1]
		}
		for _, s := range signals {
			t.Run(fmt.Sprint(test.name, " ", s), func(t *testing.T) {
				out := t.TempDir()
				template := filepath.Join(t.TempDir(), "template")
				require.NoError(t, os.WriteFile(template, []byte("FROM tiny\nPARAMETER top_k 5\n"), 0o644))
				server, args := sweeptest.Simulated(t, out, "modelfile: "+template+"\n"+sweeptest.SmallGrid)
				client := api.NewClient(server.URL, http.DefaultClient)
				prompts, reached := sweeptest.PromptCounter{Cell: test.cell}, make(chan struct{})
				server.Inject(func(r ollamatest.Request) http.HandlerFunc {
					if !prompts.Next(r) || prompts.N < test.from {
						return nil
					}
					if prompts.N == test.from {
						close(reached)
					}
					return test.fault
				})
				p := sweeptest.Start(t, args...)
				p.Reach(t, reached)
				took := p.Signal(t, s)
				printed, code := p.Wait()
				assert.Equal(t, 1, code)
				assert.Less(t, took, sweeptest.EndsWithin)
				assert.Contains(t, printed, fmt.Sprintf("# interrupted by a signal (%v): saving and cleaning up; a second signal ends the sweep at once\n", s))
				assert.Contains(t, printed, "# everything is saved and cleaned up; to resume: run the same command again")
				assert.Len(t, sweeptest.Models(t, client), 1, "the temporary model is deleted")
				sweeptest.RequireNothingLoaded(t, client)
				if !test.saved {
					assert.NoFileExists(t, filepath.Join(out, checkpoint.FileName))
					return
				}
				saved := 0
				for _, r := range sweeptest.Load(t, out).Results {
					saved += len(r.Samples)
					assert.False(t, r.Failed(), "an interrupted cell has not failed")
				}
				assert.Equal(t, len(sweeptest.BenchLines(printed)), saved)
				assert.GreaterOrEqual(t, saved, 6, "two cells were measured")
			})
		}
	}
}

// TestSurvivesSignalsOfAHangingServer: a server that no longer answers delays the end of an
// interrupted sweep, but does not prevent it.
func TestSurvivesSignalsOfAHangingServer(t *testing.T) {
	t.Parallel()
	server, args := sweeptest.Simulated(t, t.TempDir(), sweeptest.SmallGrid)
	hanging := make(chan struct{})
	third := sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[2]}
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		if third.Next(r) && third.N == 1 {
			close(hanging)
		}
		if third.N > 0 {
			return ollamatest.Hang("")
		}
		return nil
	})
	p := sweeptest.Start(t, args...)
	p.Reach(t, hanging)
	assert.Less(t, p.Signal(t, syscall.SIGINT), sweeptest.EndsWithin)
	printed, code := p.Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "# the server does not answer: the next start deletes what is left on it\n")

	p = sweeptest.Start(t, args...) // and is interrupted while it waits for the server
	time.Sleep(time.Second)
	require.NoError(t, p.Command.Process.Signal(syscall.SIGINT))
	p.Await(t, "# interrupted by a signal")
	_, code = p.Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, p.Printed(), "# stopped before the first cell was measured; to resume: run the same command again\n")
}

// TestSurvivesASecondSignal: a second signal ends a sweep at once that is still cleaning up.
func TestSurvivesASecondSignal(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	unloading, asked := make(chan struct{}), 0
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		if asked++; asked > 20 && strings.Contains(r.Body, `"keep_alive":"0s"`) {
			close(unloading)
			return ollamatest.Hang("")
		}
		return nil
	})
	p := sweeptest.Start(t, args...)
	p.Await(t, "# 1/6 ")
	require.NoError(t, p.Command.Process.Signal(syscall.SIGINT))
	p.Reach(t, unloading)
	took := p.Signal(t, syscall.SIGTERM)
	assert.Less(t, took, time.Second)
	status := p.Command.ProcessState.Sys().(syscall.WaitStatus)
	assert.True(t, status.Signaled() && status.Signal() == syscall.SIGTERM, "the signal itself ends it")
	assert.NotEmpty(t, sweeptest.Load(t, out).Results)
}

// TestSurvivesAClosedOutput: when the reader of its output ends, as with `| head`, the sweep cleans
// up and exits.
func TestSurvivesAClosedOutput(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	cmd := exec.Command(sweeptest.Binary(), append([]string{"-test.run=^TestSweep$", "-test.timeout=0"}, args...)...)
	cmd.Dir = sweeptest.Root
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line := make([]byte, 10)
	_, err = stdout.Read(line)
	require.NoError(t, err)
	require.NoError(t, stdout.Close())
	require.Error(t, cmd.Wait())
	assert.True(t, cmd.ProcessState.Exited(), "%v", cmd.ProcessState)
	sweeptest.RequireNothingLoaded(t, api.NewClient(server.URL, http.DefaultClient))
}

// TestSurvivesUnderGoTest sends the signals as a user of `go test` does, on a
// real engine: Ctrl-C goes to every process of the terminal, `kill` and
// `timeout` to the go command alone.
func TestSurvivesUnderGoTest(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		group  bool
		want   string
	}{
		{"Ctrl-C", syscall.SIGINT, true, "# interrupted by a signal (interrupt): "},
		{"SIGTERM to go", syscall.SIGTERM, false, "# interrupted because the go command has ended: "},
		{"SIGKILL to go", syscall.SIGKILL, false, "# interrupted because the go command has ended: "},
		{"the terminal closes", syscall.SIGHUP, true, "# interrupted by a signal (hangup): "},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := t.TempDir()
			config := sweeptest.WriteConfig(t, "engine: embedded\n"+sweeptest.RealGrid)
			cmd := exec.Command("go", "test", "-run", "Sweep", "-timeout", "0", "-config", config, "-out", out)
			cmd.Dir = sweeptest.Root
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var printed sweeptest.Buffer
			cmd.Stdout, cmd.Stderr = &printed, &printed
			// The test binary inherits the output, and can outlive the go command.
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			require.Eventually(t, func() bool { return strings.Contains(printed.String(), "# 1/6 ") }, 10*time.Minute, 20*time.Millisecond)
			begun, to := time.Now(), cmd.Process.Pid
			if test.group {
				to = -to
			}
			require.NoError(t, syscall.Kill(to, test.signal))
			cmd.Wait() // until no process has the output open
			assert.Less(t, time.Since(begun), sweeptest.EndsWithin)
			assert.Contains(t, printed.String(), test.want)
			assert.Contains(t, printed.String(), "# everything is saved and cleaned up; to resume: run the same command again")
			sweeptest.RequireEngineGone(t, out)
			assert.NotEmpty(t, sweeptest.Load(t, out).Results)
		})
	}
}

// TestSurvivesAStoppedEngine: an interrupted sweep kills an engine that can't react to signals. It waits 3.5 of its
// five seconds for that, so the test runs beside no other one.
func TestSurvivesAStoppedEngine(t *testing.T) {
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	p := sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "engine: embedded\n"+sweeptest.RealGrid), "-out", out)
	p.Await(t, "# 1/6 ")
	started := descendants(t, p.Command.Process.Pid)[1:]
	if len(started) == 0 {
		t.Skip("/proc does not list the children of a process here")
	}
	for i, pid := range started {
		err := syscall.Kill(pid, syscall.SIGSTOP)
		if i > 0 && errors.Is(err, syscall.ESRCH) {
			continue // a runner, which ends with its cell; the first is the server
		}
		require.NoError(t, err)
	}
	assert.Less(t, p.Signal(t, syscall.SIGTERM), sweeptest.EndsWithin)
	sweeptest.RequireEngineGone(t, out)
	requireNoScratch(t, out)
}
