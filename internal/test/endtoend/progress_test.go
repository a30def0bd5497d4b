package endtoend

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// TestProgressOnATerminal runs a sweep on a terminal: a progress bar below the benchmark lines,
// which is removed at the end.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	// The prompts take longer than the bar waits before it is drawn again.
	const grid = "engine: embedded\nprompt: {tokens: 2000}\nnum_ctx: [2560, 3072]\nnum_batch: [64, 128, 192]\nrepeat: 2\nconfirm: 0\nbaseline: false\n"
	cmd := exec.Command(sweeptest.Binary(), "-test.run=^TestSweep$", "-test.timeout=0", "-config", sweeptest.WriteConfig(t, grid), "-out", out)
	cmd.Dir = sweeptest.Root
	cmd.Env = append(os.Environ(), "TERM=xterm")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 140})
	require.NoError(t, err)
	t.Cleanup(func() { cmd.Process.Kill(); terminal.Close() })
	var screen sweeptest.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := terminal.Read(buf)
			screen.Write(buf[:n])
			if err != nil {
				return // Linux returns EIO at the end
			}
		}
	}()
	require.NoError(t, cmd.Wait(), screen.String())
	<-read
	text := parse.Plain([]byte(screen.String()))
	assert.Regexp(t, `\[[=>-]+\] 1/6 ctx=2560/batch=64 \| \ds, ETA `, text, "before the first rate")
	assert.Regexp(t, `\[[=>-]+\] \d/6 ctx=\d+/batch=\d+ \| last \d+\.\d, best \d+\.\d tokens/s \| \d+s, ETA \d+s`, text)
	assert.Equal(t, 12, strings.Count(text, "BenchmarkSweep/ctx="), "each line once")
	assert.NotContains(t, text, "# 1/6 ctx=", "the bar shows that")
	tail := text[strings.LastIndex(text, "# Cells: "):]
	assert.NotContains(t, tail, "/6 ctx=", "the bar is gone")
	assert.Contains(t, tail, "PASS")
}

// TestPictureAndPageWhileRunning: picture and page are written between cells once the sweep has run for some
// seconds, and again at its end.
func TestPictureAndPageWhileRunning(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	page := filepath.Join(out, report.PageFile)
	written := func() bool { _, err := os.Stat(page); return err == nil }
	server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	first, last := sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[0]}, sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[5]}
	waited := false
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		first.Next(r)
		switch {
		case r.Path == "/api/ps" && first.N > 0 && !waited:
			waited = true
			time.Sleep(6 * time.Second) // a sweep that ends sooner draws at its end alone
		case last.Next(r):
			assert.Eventually(t, written, time.Minute, 10*time.Millisecond)
		}
		return nil
	})
	p := sweeptest.Start(t, args...)
	require.Eventually(t, written, time.Minute, 10*time.Millisecond)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	counts := regexp.MustCompile(`6 cells planned, (\d) measured`)
	measured := counts.FindSubmatch(text)
	require.NotNil(t, measured)
	assert.Less(t, string(measured[1]), "6")
	assert.Contains(t, string(text), `"grows":true`)
	assert.FileExists(t, filepath.Join(out, report.HeatmapFile))
	printed, code := p.Wait()
	require.Zero(t, code, printed)
	text, err = os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, "6", string(counts.FindSubmatch(text)[1]), printed)
	assert.Contains(t, string(text), `"grows":false`)
}
