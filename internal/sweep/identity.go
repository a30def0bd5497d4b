package sweep

import (
	"context"
	"errors"
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Moment says when it is asked who is measured.
type Moment int

// The moments, each of which asks for all that the one before it does.
const (
	BeforeLoad   Moment = iota // of a server that was looked at after the last sample: what costs little
	BeforeKept                 // before a sample or a failure is kept
	AfterAbsence               // of the server, which may have been taken away by more than its restart
)

// verify returns an error where what is measured is no more what the checkpoint is of: the server
// may have been replaced, its model created anew, a file of the template rewritten. It is called
// before each load, and before each sample or failure is kept, so that none of another server
// counts.
func (r *run) verify(ctx context.Context, when Moment) error {
	if r.Identify == nil {
		return nil
	}
	now, err := r.Identify(ctx, when)
	if err != nil {
		return ofNoCell(err)
	}
	was := r.Store.Checkpoint().Sweep
	if err := differs(was, now); err != nil {
		return err
	}
	if was.Settings == nil && now.Settings != nil {
		r.attended = false // started anew, and with which settings before is not known
	}
	r.Store.Told(now)
	return nil
}

// verifyLoad returns an error where the server's log says that a load attends to its context in
// another way than the first one did. It is asked for the first load after each start of the
// server: later ones may lie on other GPUs.
func (r *run) verifyLoad(attention string) error {
	if attention == "" || r.attended {
		return nil
	}
	was := r.Store.Checkpoint().Sweep
	now := was
	now.Attention = attention
	if err := differs(was, now); err != nil {
		return err
	}
	r.attended = true
	r.Store.Attends(attention)
	return nil
}

// differs returns an error where two headers are not of one sweep.
func differs(was, now checkpoint.Header) error {
	if d := was.Difference(now); d != nil {
		return fmt.Errorf("%s was %s and is now %s: what would be measured now %w: start that one in a new -out folder, or bring %s back and run the same command again", d.Key, d.Was, d.Is, checkpoint.ErrOtherSweep, d.Was)
	}
	return nil
}

// ofNoCell turns the failure of a question about the server, which would be a cell's if a prompt
// failed so, into one of the server.
func ofNoCell(err error) error {
	var f *measurement.Failure
	if errors.As(err, &f) && f.Class.OfCell() {
		return &measurement.Failure{Class: measurement.ServerAway, Detail: f.Detail}
	}
	return err
}

// ready returns when the server answers and is still the one that the checkpoint is of.
func (r *run) ready(ctx context.Context) error {
	if err := r.Runner.Ready(ctx); err != nil {
		return r.cause(ctx, err)
	}
	r.attended = false
	err := r.verify(ctx, AfterAbsence)
	var away *measurement.Failure
	if err == nil || errors.As(err, &away) { // the next try meets it
		return nil
	}
	return r.cause(ctx, err)
}
