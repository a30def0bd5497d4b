package setup

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Interruptible returns a context that is cancelled when the sweep has to stop:
// after SIGINT, SIGTERM or SIGHUP, when nobody reads the output, and when the go
// command that runs the test has ended, since it passes on only the signals of
// the keyboard. The cause is [sweep.ErrInterrupted] with the reason, which is
// printed too. The returned writer writes to stdout and notices when it is closed.
// A second signal ends the process at once.
func Interruptible(ctx context.Context, stdout io.Writer) (_ context.Context, out io.Writer, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signal.Notify(signals, syscall.SIGHUP)
	}
	// Let the write fail instead of the process. The signals themselves are no
	// reason to stop: a connection that a server closes raises SIGPIPE too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ)
	closed := make(chan struct{}, 1)
	orphaned := make(chan struct{})
	if underGoTest() {
		go watchParent(ctx, orphaned)
	}
	go func() {
		var why string
		select {
		case got := <-signals:
			why = fmt.Sprintf("by a signal (%v)", got)
		case <-closed:
			why = "because nobody reads standard output"
		case <-orphaned:
			why = "because the go command has ended"
		case <-ctx.Done():
			return
		}
		signal.Stop(signals)
		fmt.Fprintf(lines.Comments(stdout), "interrupted %s: saving and cleaning up; a second signal ends the sweep at once\n", why)
		cancel(fmt.Errorf("%w %s", sweep.ErrInterrupted, why))
	}()
	return ctx, &pipeWriter{stdout, closed}, func() { signal.Stop(signals); cancel(nil) }
}

// pipeWriter sends on a channel when its writer is a pipe that is closed.
type pipeWriter struct {
	io.Writer
	closed chan<- struct{}
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		select {
		case w.closed <- struct{}{}:
		default: // already sent
		}
	}
	return n, err
}

// underGoTest reports whether the go command runs this test, by a flag that only
// it sets.
func underGoTest() bool {
	f := flag.Lookup("test.paniconexit0")
	return f != nil && f.Value.String() == "true"
}

// parentPoll is how often the parent process is checked.
const parentPoll = 250 * time.Millisecond

// watchParent closes orphaned once this process has had another parent in two
// checks. The go command may have been ended by a signal to the whole process
// group, as when a terminal closes. This process has to receive that signal
// first, or it would count as the second one.
func watchParent(ctx context.Context, orphaned chan<- struct{}) {
	parent := os.Getppid()
	t := time.NewTicker(parentPoll)
	defer t.Stop()
	for gone := false; ; {
		select {
		case <-t.C:
			if gone {
				close(orphaned)
				return
			}
			gone = os.Getppid() != parent
		case <-ctx.Done():
			return
		}
	}
}
