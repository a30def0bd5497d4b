package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// clock is what a schedule keeps to.
type clock interface {
	Now() time.Time
	// Until returns a context that ends at a time.
	Until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc)
}

// wallClock is the machine's own.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(ctx, end, errLate)
}

// errLate ends a stage whose time is over.
var errLate = errors.New("its time was over")

// stage is a part of the run. Stages come in order of their worth.
type stage struct {
	name string
	// weight is its part of the time that is left, against the weights of the stages
	// after it; 0 for a stage without which none of them can be, which may take all.
	weight float64
	least  time.Duration // without which it does not begin
	needs  []string      // stages without which it can't be
	// run does the work until the context ends, and returns what is to be said of it in
	// the summary, also with an error.
	run func(context.Context) (headlines []string, err error)
}

type state string

const (
	ran     state = "ran"
	failed  state = "failed"
	stopped state = "stopped"
	skipped state = "skipped"
)

// outcome is what became of a stage.
type outcome struct {
	stage       string
	state       state
	given, took time.Duration
	why         string // what failed, or why it was stopped or skipped
	headlines   []string
}

const (
	// grace is how long a stage that is stopped may take to save what it has.
	grace = 8 * time.Second
	// closing is what the end of the run takes: the last archive, and the server's end.
	closing = 15 * time.Second
	// shortest is what any stage needs to begin.
	shortest = time.Second
)

// schedule runs stages by a clock.
type schedule struct {
	clock  clock
	end    time.Time // by which the run is over
	stages []stage
	// noted takes the outcomes so far, after each stage.
	noted func([]outcome)
}

// run runs the stages, one after another.
func (s *schedule) run(ctx context.Context) (outcomes []outcome) {
	for i := range s.stages {
		outcomes = append(outcomes, s.one(ctx, i, outcomes))
		s.noted(outcomes)
	}
	return outcomes
}

// one runs a stage, or says why it does not.
func (s *schedule) one(ctx context.Context, i int, before []outcome) outcome {
	st := s.stages[i]
	o := outcome{stage: st.name, state: skipped, given: s.share(i)}
	switch lacking := s.lacking(st, before); {
	case ctx.Err() != nil:
		o.why = context.Cause(ctx).Error()
	case lacking != "":
		o.why = "it needs " + lacking
	case o.given < max(st.least, shortest):
		o.why = fmt.Sprintf("%.1f s are left, and it needs %.0f s", max(0, o.given).Seconds(), max(st.least, shortest).Seconds())
	default:
		s.begin(ctx, st, &o)
	}
	return o
}

// left is the time until the last stage must have been stopped.
func (s *schedule) left() time.Duration { return s.end.Sub(s.clock.Now()) - grace - closing }

// share returns the time that a stage is given.
func (s *schedule) share(i int) time.Duration {
	sum := 0.0
	for _, st := range s.stages[i:] {
		sum += st.weight
	}
	st, left := s.stages[i], s.left()
	if st.weight == 0 {
		return left
	}
	return min(left, max(st.least, time.Duration(float64(left)*st.weight/sum)))
}

// lacking names a needed stage that did not run to its end.
func (s *schedule) lacking(st stage, before []outcome) string {
	for _, o := range before {
		if o.state != ran && slices.Contains(st.needs, o.stage) {
			return o.stage
		}
	}
	return ""
}

// begin runs a stage until its time is over. One that does not end then is left behind.
func (s *schedule) begin(ctx context.Context, st stage, o *outcome) {
	begun := s.clock.Now()
	within, cancel := s.clock.Until(ctx, begun.Add(o.given))
	defer cancel()
	patient, cancelPatient := s.clock.Until(context.WithoutCancel(ctx), begun.Add(o.given+grace))
	defer cancelPatient()
	type result struct {
		headlines []string
		err       error
	}
	done := make(chan result, 1)
	go func() {
		headlines, err := st.run(within)
		done <- result{headlines, err}
	}()
	select {
	case r := <-done:
		o.headlines = r.headlines
		o.state = ran
		switch {
		case within.Err() != nil:
			o.state, o.why = stopped, context.Cause(within).Error()
		case r.err != nil:
			o.state, o.why = failed, r.err.Error()
		}
	case <-patient.Done():
		o.state, o.why = stopped, "its time was over, and it did not end"
	}
	o.took = s.clock.Now().Sub(begun)
}

// chosen returns the stages that are named, with those that they need; all where none is named.
func chosen(stages []stage, names []string) ([]stage, error) {
	if len(names) == 0 {
		return stages, nil
	}
	want := make(map[string]bool)
	for _, name := range names {
		i := slices.IndexFunc(stages, func(st stage) bool { return st.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no stage is called %q", name)
		}
		want[name] = true
		for _, need := range stages[i].needs {
			want[need] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(stages), func(st stage) bool { return !want[st.name] }), nil
}
