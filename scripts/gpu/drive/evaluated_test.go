package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// evaluatedLines are from the log of Ollama 0.32.5.
const evaluatedLines = `slot   operator(): id  0 | task 4 | cached n_tokens = 25, memory_seq_rm [25, end)
slot print_timing: id  0 | task 4 | prompt eval time =       0.74 ms /    13 tokens (    0.06 ms per token, 17591.34 tokens per second)
`

func TestEvaluated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.log")
	require.NoError(t, os.WriteFile(file, []byte("started\n"), 0o644))
	log, err := ollamarun.OpenServerLog(file)
	require.NoError(t, err)
	l := &serverLog{ServerLog: log, silent: maxSilent - 1}
	require.NoError(t, l.Mark())
	require.NoError(t, appendTo(file, func(w io.Writer) error {
		_, err := io.WriteString(w, evaluatedLines)
		return err
	}))
	cached, evaluated, ok := l.Evaluated(t.Context(), 740*time.Microsecond)
	assert.Equal(t, []any{25, 13, true}, []any{cached, evaluated, ok})
	assert.Zero(t, l.silent, "a line was found")

	l.silent = maxSilent - 1
	require.NoError(t, l.Mark())
	_, _, ok = l.Evaluated(t.Context(), 740*time.Microsecond)
	assert.False(t, ok, "the line belongs to the previous prompt")
	assert.Equal(t, maxSilent, l.silent)
	require.NoError(t, os.Remove(file))
	_, _, ok = l.Evaluated(t.Context(), 740*time.Microsecond)
	assert.False(t, ok, "the log is no longer read")
}
