package bench

import (
	"context"
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
// order: with SIGINT, SIGTERM or SIGHUP, when nobody reads standard output any
// more, and when the go command that runs the test is gone, which passes on no
// signal but those of the keyboard. The second signal finds no handler and ends
// the process at once. What takes a line when that happens is say.
func Interruptible(ctx context.Context, say io.Writer) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	// Taken for good: without a handler the next line would end the process.
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	// Where files have a limit, the write is to fail, and not the process.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGXFSZ)
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
		fmt.Fprintf(say, "# interrupted %s: saving and clearing up; once more ends at once\n", why)
		cancel(fmt.Errorf("%w %s", sweep.ErrInterrupted, why))
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// underGoTest reports whether the go command runs this test, by a flag that it
// alone sets.
func underGoTest() bool {
	f := flag.Lookup("test.paniconexit0")
	return f != nil && f.Value.String() == "true"
}

// parentPoll is how often the parent is looked at.
const parentPoll = 250 * time.Millisecond

// watchParent closes orphaned once this process has another parent.
func watchParent(ctx context.Context, orphaned chan<- struct{}) {
	parent := os.Getppid()
	t := time.NewTicker(parentPoll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if os.Getppid() != parent {
				close(orphaned)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
