package setup

import (
	"context"
	"errors"
	"time"
)

// cleanup holds what has to be undone at the end of a sweep.
type cleanup struct {
	steps []func() error
	by    time.Time // deadline of the requests to the server, set by run
}

// add adds a step, which runs before those that were added earlier.
func (c *cleanup) add(step func() error) { c.steps = append(c.steps, step) }

// run runs all steps, also after one that fails. It needs no context of the sweep, which has ended
// when that was interrupted.
func (c *cleanup) run() error {
	c.by = time.Now().Add(closeTimeout)
	var errs []error
	for i := len(c.steps) - 1; i >= 0; i-- {
		errs = append(errs, c.steps[i]())
	}
	c.steps = nil
	return errors.Join(errs...)
}

// requests returns the context of a step's requests to the server.
func (c *cleanup) requests() (context.Context, context.CancelFunc) {
	return context.WithDeadline(context.Background(), c.by)
}
