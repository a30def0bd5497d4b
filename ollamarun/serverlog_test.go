package ollamarun

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const (
	loadLine = `msg="starting llama server" cmd="ollama runner --ctx-size 1024 --batch-size 1024 --parallel 1"` + "\n"
	passLine = "llama_context: n_ubatch      = 512\n"
	endLine  = `msg="llama runner started in 0.25 seconds"` + "\n"
)

// waitForLog runs a test on a log at a path, with a fake clock.
func waitForLog(t *testing.T, test func(t *testing.T, path string, l *ServerLog)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.log")
	appendTo(t, path, "before "+loadLine+endLine)
	synctest.Test(t, func(t *testing.T) {
		l, err := OpenServerLog(path)
		require.NoError(t, err)
		test(t, path, l)
	})
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestServerLog(t *testing.T) {
	waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
		begin := time.Now()
		_, ok, err := l.Effective(t.Context())
		require.NoError(t, err)
		assert.False(t, ok, "lines from before Mark do not count")
		assert.LessOrEqual(t, time.Since(begin), logWait+2*logPoll)

		appendTo(t, path, loadLine+passLine+endLine)
		begin = time.Now()
		f, ok, err := l.Effective(t.Context())
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, measurement.Effective{NumCtx: 1024, NumBatch: 512, Parallel: 1}, f.Only(nil))
		assert.Zero(t, time.Since(begin), "a complete log is not waited for")
	})
}

// TestServerLogMemory reads the memory of the newest load.
func TestServerLogMemory(t *testing.T) {
	waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
		memory, attention, err := l.Memory()
		require.NoError(t, err)
		assert.Nil(t, memory)
		assert.Empty(t, attention)
		appendTo(t, path, loadLine+"load_tensors: offloaded 3/3 layers to GPU\n"+endLine)
		memory, attention, err = l.Memory()
		require.NoError(t, err)
		assert.Equal(t, &measurement.Memory{GPULayers: 3, Layers: 3}, memory)
		assert.Equal(t, "flash attention off, KV cache f16", attention)
		require.NoError(t, os.Remove(path))
		_, _, err = l.Memory()
		assert.ErrorContains(t, err, "reading server log")
	})
}

// TestServerLogLate covers a log that is written in parts after the answer.
func TestServerLogLate(t *testing.T) {
	t.Parallel()
	waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
		go func() {
			for _, line := range []string{loadLine, passLine, endLine} {
				time.Sleep(50 * time.Millisecond)
				appendTo(t, path, line)
			}
		}()
		f, ok, err := l.Effective(t.Context())
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, 512, f.NumBatch, "the command's 1024 is not the effective num_batch")
	})
}

// TestServerLogUnended covers a load whose last line is never written.
func TestServerLogUnended(t *testing.T) {
	waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
		appendTo(t, path, loadLine)
		begin := time.Now()
		f, ok, err := l.Effective(t.Context())
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, 1024, f.NumBatch)
		assert.LessOrEqual(t, time.Since(begin), logWait+2*logPoll)
	})
}

// TestServerLogTiming checks that Timing waits for a prompt's figures only if the log has figures of prompts.
func TestServerLogTiming(t *testing.T) {
	const (
		loadWithPrompts = `msg="starting llama-server" cmd="llama-server --model x -c 2048 -b 64 -ub 64"` + "\n"
		part            = "slot   operator(): id  0 | task 4 | cached n_tokens = 25, memory_seq_rm [25, end)\n"
		timing          = "slot print_timing: id  0 | task 4 | prompt eval time =       0.74 ms /    13 tokens (\n"
	)
	const took = 741 * time.Microsecond
	for _, late := range []string{"", part + timing} {
		waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
			appendTo(t, path, loadWithPrompts)
			go func() { time.Sleep(50 * time.Millisecond); appendTo(t, path, late) }()
			begin := time.Now()
			cached, evaluated, ok, err := l.Timing(t.Context(), took)
			require.NoError(t, err)
			if late == "" {
				assert.False(t, ok)
				assert.LessOrEqual(t, time.Since(begin), logWait+2*logPoll)
				return
			}
			assert.Equal(t, []any{25, 13, true}, []any{cached, evaluated, ok})
		})
	}
	waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
		appendTo(t, path, loadLine)
		begin := time.Now()
		_, _, ok, err := l.Timing(t.Context(), took)
		require.NoError(t, err)
		assert.False(t, ok)
		assert.Zero(t, time.Since(begin), "an older server's log is not waited for")
	})
}

// TestServerLogMarkPrompt checks that Timing finds no prompt from before MarkPrompt, also in a new file.
func TestServerLogMarkPrompt(t *testing.T) {
	const lines = "| task 4 | cached n_tokens = 25, memory_seq_rm [25, end)\n| task 4 | prompt eval time = 0.74 ms / 13 tokens\n"
	const took = 740 * time.Microsecond
	waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
		appendTo(t, path, lines)
		l.MarkPrompt()
		_, _, ok, err := l.Timing(t.Context(), took)
		require.NoError(t, err)
		assert.False(t, ok)
		appendTo(t, path, lines)
		_, _, ok, err = l.Timing(t.Context(), took)
		require.NoError(t, err)
		assert.True(t, ok)
		require.NoError(t, os.WriteFile(path, []byte(lines), 0o600))
		_, _, ok, err = l.Timing(t.Context(), took)
		require.NoError(t, err)
		assert.True(t, ok, "a file that was truncated is searched as a whole")
	})
	var none *ServerLog
	none.MarkPrompt()
}

func TestServerLogCanceled(t *testing.T) {
	waitForLog(t, func(t *testing.T, path string, l *ServerLog) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := l.Effective(ctx)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// TestServerLogRotated covers a log that is replaced by a new file, truncated, and
// removed.
func TestServerLogRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	appendTo(t, path, "before "+loadLine)
	l, err := OpenServerLog(path)
	require.NoError(t, err)
	require.NoError(t, os.Rename(path, path+".1"))
	appendTo(t, path, strings.Repeat(loadLine, 3))
	text, err := l.Since()
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat(loadLine, 3), string(text), "a new file that is longer than the old one")

	require.NoError(t, l.Mark())
	require.NoError(t, os.Truncate(path, int64(len(loadLine))))
	text, err = l.Since()
	require.NoError(t, err)
	assert.Equal(t, loadLine, string(text))

	require.NoError(t, l.Mark())
	require.NoError(t, os.Truncate(path, 0))
	text, err = l.Since()
	require.NoError(t, err)
	assert.Empty(t, text)

	require.NoError(t, os.Remove(path))
	_, _, err = l.Effective(t.Context())
	assert.ErrorContains(t, err, "reading server log")
}

// TestServerLogLong checks that only the end of a long log is read.
func TestServerLogLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	appendTo(t, path, "")
	l, err := OpenServerLog(path)
	require.NoError(t, err)
	appendTo(t, path, strings.Repeat("x", maxLog)+"\n"+loadLine)
	text, err := l.Since()
	require.NoError(t, err)
	assert.Len(t, text, maxLog)
	assert.True(t, strings.HasSuffix(string(text), loadLine))
}

func TestServerLogErrors(t *testing.T) {
	_, err := OpenServerLog(filepath.Join(t.TempDir(), "nowhere"))
	assert.ErrorContains(t, err, "reading server log")
	assert.ErrorContains(t, err, "journalctl")
	_, err = OpenServerLog(t.TempDir())
	assert.ErrorContains(t, err, "is not a file: name the file that `ollama serve` writes its log to")

	var none *ServerLog
	require.NoError(t, none.Mark())
	text, err := none.Since()
	require.NoError(t, err)
	assert.Empty(t, text)
	_, ok, err := none.Effective(t.Context())
	require.NoError(t, err)
	assert.False(t, ok)
	memory, _, err := none.Memory()
	require.NoError(t, err)
	assert.Nil(t, memory)
}
