package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Moment is when the identity of server and model is checked.
type Moment int

// The moments. Each includes all checks of the one before it.
const (
	BeforeLoad   Moment = iota // cheap checks only, since all were made after the last sample
	BeforeSave                 // before a sample or a failure is kept
	AfterAbsence               // after the server was away, when more than a restart may have happened
)

// verify returns an error where the server or the model is no longer that of the checkpoint: the
// server may have been replaced, its model created anew, a file of the template rewritten. It is
// called before each load and before each sample or failure is kept, so that none of another server
// counts.
func (r *run) verify(ctx context.Context, when Moment) error {
	if r.Identify == nil {
		return nil
	}
	now, err := r.Identify(ctx, when)
	if err != nil {
		return asServerFailure(err)
	}
	version := now.OllamaVersion
	was, now := r.Store.Checkpoint().Sweep, now.WithoutVaried()
	if err := differs(was, now); err != nil {
		return err
	}
	r.Evidence.Version = cmp.Or(version, r.Evidence.Version)
	if was.Settings == nil && now.Settings != nil {
		r.server.attentionChecked = false // the server was restarted, and its earlier settings are not known
	}
	r.Store.UpdateIdentity(now)
	return nil
}

// verifyLoad returns an error where the server's log shows another flash attention or KV cache type
// than in the sweep's first load. It checks the first load after each start of the server: later ones
// may be on other GPUs.
func (r *run) verifyLoad(attention string) error {
	if attention == "" || r.server.attentionChecked {
		return nil
	}
	was := r.Store.Checkpoint().Sweep
	now := was
	now.Attention = attention
	if now = now.WithoutVaried(); now.Attention == "" {
		return nil
	}
	if err := differs(was, now); err != nil {
		return err
	}
	r.server.attentionChecked = true
	r.Store.SetAttention(attention)
	return nil
}

// differs returns an error where two headers do not belong to the same sweep.
func differs(was, now checkpoint.Header) error {
	if d := was.Difference(now); d != nil {
		return fmt.Errorf("%s was %s and is now %s: what would be measured now %w: start a new sweep in another -out folder, or restore %s and run the same command again", d.Key, d.Was, d.Is, checkpoint.ErrOtherSweep, d.Was)
	}
	return nil
}

// asServerFailure turns the failure of an identity request into one of the server. Its class would make
// it the cell's failure.
func asServerFailure(err error) error {
	var f *measurement.Failure
	if errors.As(err, &f) && f.Class.FailsCell() {
		return &measurement.Failure{Class: measurement.ServerAway, Detail: f.Detail}
	}
	return err
}

// ready waits until the server answers, and checks that it is still that of the checkpoint.
func (r *run) ready(ctx context.Context) error {
	if err := r.Runner.Ready(ctx); err != nil {
		return r.cause(ctx, err)
	}
	r.server.attentionChecked = false
	err := r.verify(ctx, AfterAbsence)
	var away *measurement.Failure
	if err == nil || errors.As(err, &away) { // the next try finds out
		return nil
	}
	return r.cause(ctx, err)
}
