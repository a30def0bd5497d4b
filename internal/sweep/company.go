package sweep

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// crowded says that samples were refused, one after the other, because somebody else uses the
// server.
type crowded struct{ text string }

func (e *crowded) Error() string { return e.text }

// A sweep waits for the others to be done, each time twice as long up to longestPause: 23 minutes in
// all. The lengths vary by half, so that of two sweeps that wait for each other one goes on.
const (
	firstPause   = 30 * time.Second
	longestPause = 10 * time.Minute
	mostPauses   = 6
)

// giveWay waits before the cell is measured again, for the n-th time. After mostPauses it returns why.
func (r *run) giveWay(ctx context.Context, c cell.Key, n int, why *crowded) error {
	if n > mostPauses {
		return why
	}
	if err := r.timeUp(ctx); err != nil {
		return err
	}
	pause := min(firstPause<<(n-1), longestPause)
	pause = (pause/2 + rand.N(pause)).Round(time.Second)
	fmt.Fprintf(r.Log, "# %v: %s: waiting for %v, then measuring the cell again\n", c, why, pause)
	if err := r.sleep(ctx, pause); err != nil {
		return stopCause(ctx)
	}
	return nil
}

// sleep returns after the pause, and with an error when the context ends before.
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
