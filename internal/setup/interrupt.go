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

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Interruptible returns a context that ends when the sweep is to stop in good
// order: with SIGINT, SIGTERM or SIGHUP, when nobody reads what is written to
// the writer, which passes it on to stdout, and when the go command that runs
// the test is gone, which passes on no signal but those of the keyboard. A line
// on stdout says so. The second signal finds no handler and ends the process at
// once.
func Interruptible(ctx context.Context, stdout io.Writer) (_ context.Context, out io.Writer, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	// The write is to fail, and not the process. The signals themselves tell
	// nothing: a connection that a server closes comes with SIGPIPE too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ)
	unread := make(chan struct{}, 1)
	orphaned := make(chan struct{})
	if underGoTest() {
		go watchParent(ctx, orphaned)
	}
	go func() {
		var why string
		select {
		case got := <-signals:
			why = fmt.Sprintf("by a signal (%v)", got)
		case <-unread:
			why = "because nobody reads standard output"
		case <-orphaned:
			why = "because the go command has ended"
		case <-ctx.Done():
			return
		}
		signal.Stop(signals)
		fmt.Fprintf(stdout, "# interrupted %s: saving and clearing up; once more ends at once\n", why)
		cancel(fmt.Errorf("%w %s", sweep.ErrInterrupted, why))
	}()
	return ctx, &heard{stdout, unread}, func() { signal.Stop(signals); cancel(nil) }
}

// heard tells when what is written has no reader any more.
type heard struct {
	io.Writer
	unread chan<- struct{}
}

func (h *heard) Write(p []byte) (int, error) {
	n, err := h.Writer.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		select {
		case h.unread <- struct{}{}:
		default: // it is known
		}
	}
	return n, err
}

// underGoTest reports whether the go command runs this test, by a flag that it
// alone sets.
func underGoTest() bool {
	f := flag.Lookup("test.paniconexit0")
	return f != nil && f.Value.String() == "true"
}

// parentPoll is how often the parent is looked at.
const parentPoll = 250 * time.Millisecond

// watchParent closes orphaned once this process has had another parent for the
// time between two looks. What ended the go command may be a signal to the
// whole process group, as when a terminal closes: that one is to be heard here
// first, or it would come as the second.
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
