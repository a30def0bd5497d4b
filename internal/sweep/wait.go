package sweep

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// inUseError reports that several samples in a row were refused because another client uses the
// server.
type inUseError struct{ text string }

func (e *inUseError) Error() string { return e.text }

// A sweep waits until other clients are done, each time twice as long up to longestPause: 23 minutes in
// all. The lengths vary by half, so that of two sweeps that wait for each other one continues.
const (
	firstPause   = 30 * time.Second
	longestPause = 10 * time.Minute
	mostPauses   = 6
)

// waitForOthers waits for the n-th time before the cell is measured again. After mostPauses it returns
// the error.
func (r *run) waitForOthers(ctx context.Context, c cell.Key, n int, why *inUseError) error {
	if n > mostPauses {
		return why
	}
	if err := r.timeUp(ctx); err != nil {
		return err
	}
	pause := min(firstPause<<(n-1), longestPause)
	pause = (pause/2 + rand.N(pause)).Round(time.Second)
	fmt.Fprintf(r.Log, "%v: %s: waiting for %v, then measuring the cell again\n", c, why, pause)
	if err := r.sleep(ctx, pause); err != nil {
		return stopCause(ctx)
	}
	return nil
}

// sleep waits for the pause. It returns an error when the context ends before.
func (r *run) sleep(ctx context.Context, pause time.Duration) error {
	if r.Sleep != nil {
		return r.Sleep(ctx, pause)
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
