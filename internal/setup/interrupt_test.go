package setup

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

func TestInterruptibleByASignal(t *testing.T) {
	ctx, out, release := Interruptible(t.Context(), io.Discard)
	defer release()
	fmt.Fprintln(out, "a line that is read")
	// As when a server closes a connection, or a command ends before it has read
	// its prompt.
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGPIPE))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGXFSZ))
	select {
	case <-ctx.Done():
		t.Fatal("no reason to stop: ", context.Cause(ctx))
	case <-time.After(50 * time.Millisecond): // both signals arrive at once
	}
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	<-ctx.Done()
	assert.ErrorIs(t, context.Cause(ctx), sweep.ErrInterrupted)
	assert.EqualError(t, context.Cause(ctx), "interrupted by a signal (terminated)")
}

func TestInterruptibleByAClosedOutput(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	ctx, out, release := Interruptible(t.Context(), writer)
	defer release()
	require.NoError(t, reader.Close())
	for range 3 {
		_, err = fmt.Fprintln(out, "a line that nobody reads")
		assert.ErrorIs(t, err, syscall.EPIPE)
	}
	<-ctx.Done()
	assert.EqualError(t, context.Cause(ctx), "interrupted because nobody reads standard output")
}
