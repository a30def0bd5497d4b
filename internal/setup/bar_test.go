package setup

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/term"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

func TestScreenText(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	s := &screen{now: func() time.Time { return now }}
	assert.Equal(t, "reading the checkpoint", s.text())
	rate := 3445.4
	best := &checkpoint.Result{NumCtx: 1024, NumBatch: 8, PromptEvalRate: &rate}
	for _, tt := range []struct {
		p     sweep.Progress
		later time.Duration
		want  string
	}{
		{sweep.Progress{Name: "ctx=1024/batch=8", Begins: true, Number: 1, Cells: 28, HasLeft: true, LeftLeast: time.Minute, Left: time.Minute}, 0, "1/28 ctx=1024/batch=8 | 0s, ETA 1m0s"},
		{sweep.Progress{Name: "ctx=1024/batch=16", Number: 2, Cells: 28, Last: 3383, Best: best, Elapsed: 2 * time.Second, HasLeft: true, LeftLeast: 15 * time.Second, Left: 15 * time.Second}, 0, "2/28 ctx=1024/batch=16 | last 3383.0, best 3445.4 tokens/s | 2s, ETA 15s"},
		{sweep.Progress{Name: "ctx=1024/batch=32", Begins: true, Number: 3, Cells: 28, Best: best, Failed: 1, Elapsed: 2 * time.Second, HasLeft: true, LeftLeast: 15 * time.Second, Left: 15 * time.Second}, 4 * time.Second, "3/28 ctx=1024/batch=32 | last 3383.0, best 3445.4 tokens/s | 1 failed | 6s, ETA 11s"},
		{sweep.Progress{Name: "ctx=1024/batch=32", Number: 3, Cells: 28, Best: best, Failed: 2, Elapsed: 90 * time.Second}, time.Minute, "3/28 ctx=1024/batch=32 | best 3445.4 tokens/s | 2 failed | 2m30s"},
		{sweep.Progress{Name: "a", Number: 1, Cells: 2, Elapsed: 9 * time.Second, HasLeft: true, LeftLeast: 3 * time.Second, Left: 12 * time.Second, Why: "a first look"}, time.Second, "1/2 a | 10s, ETA 2s to 11s"},
		{sweep.Progress{Name: "a", Number: 1, Cells: 2, Elapsed: 9 * time.Second, HasLeft: true, LeftLeast: 3 * time.Second, Left: 12 * time.Second, Why: "a first look"}, 4 * time.Second, "1/2 a | 13s, ETA 0s to 8s"},
		{sweep.Progress{Name: "a", Number: 1, Cells: 2, HasLeft: true, LeftLeast: time.Second, Left: time.Second}, time.Minute, "1/2 a | 1m0s, ETA 0s"},
	} {
		s.update(tt.p)
		now = now.Add(tt.later)
		assert.Equal(t, tt.want, s.text())
	}
}

// TestScreenWritesAllLines: lines written before, above and after the bar are printed
// in order.
func TestScreenWritesAllLines(t *testing.T) {
	reader, tty, err := pty.Open()
	require.NoError(t, err)
	t.Cleanup(func() { reader.Close() })
	assert.True(t, term.IsTerminal(int(tty.Fd())))
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(reader) // at the end EIO, as Linux has it
		read <- parse.Plain(text)
	}()
	s := &screen{out: tty, fd: int(tty.Fd()), now: time.Now}
	write := func(line string) {
		n, err := s.Write([]byte(line))
		require.NoError(t, err)
		assert.Equal(t, len(line), n)
	}
	write("before\n")
	s.show(2)
	s.update(sweep.Progress{Name: "a", Number: 1, Cells: 2})
	write("above\n")
	s.hide()
	s.hide() // a second time is allowed
	write("after\n")
	require.NoError(t, tty.Close())
	assert.Regexp(t, `(?s)^before\s.*above\s.*after\s*$`, <-read)
}

func TestIsTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	assert.False(t, IsTerminal(file))
}
