package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// clock is the time of a schedule, which tests simulate.
type clock interface {
	Now() time.Time
	// Until returns a context that ends at a time, with errLate as its cause.
	Until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc)
}

// wallClock is the machine's clock.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(ctx, end, errLate)
}

// errLate is why a stage was stopped that exceeded its time.
var errLate = errors.New("its time ran out")

// stage is a part of the run. The most useful stages come first.
type stage struct {
	name string
	// weight divides the remaining time among this stage and those after it. A stage with
	// weight 0, without which the others can't run, may use all of it.
	weight float64
	least  time.Duration // with less than this it is skipped
	needs  []string      // stages that must have run before
	// run runs the stage until the context ends, and returns lines for the summary, also with
	// an error.
	run func(context.Context) (headlines []string, err error)
}

type state string

const (
	ran     state = "ran"
	failed  state = "failed"
	stopped state = "stopped"
	skipped state = "skipped"
)

// outcome is the result of a stage.
type outcome struct {
	stage       string
	state       state
	given, took time.Duration
	why         string // what failed, or why it was stopped or skipped
	headlines   []string
}

const (
	// grace is how long a stopped stage may take to save its results.
	grace = 8 * time.Second
	// closing is the time for the end of the run: the last archive, and stopping the server.
	closing = 15 * time.Second
	// shortest is the least time with which any stage begins.
	shortest = time.Second
)

// schedule runs stages within a time limit.
type schedule struct {
	clock  clock
	end    time.Time // of the whole run
	stages []stage
	// onStage is called after each stage with the outcomes so far.
	onStage func([]outcome)
}

// run runs the stages, one after another.
func (s *schedule) run(ctx context.Context) (outcomes []outcome) {
	for i := range s.stages {
		outcomes = append(outcomes, s.runOrSkip(ctx, i, outcomes))
		s.onStage(outcomes)
	}
	return outcomes
}

// runOrSkip runs a stage, or returns the reason why it is skipped.
func (s *schedule) runOrSkip(ctx context.Context, i int, before []outcome) outcome {
	st := s.stages[i]
	o := outcome{stage: st.name, state: skipped, given: s.share(i)}
	switch missing := s.missingNeed(st, before); {
	case ctx.Err() != nil:
		o.why = context.Cause(ctx).Error()
	case missing != "":
		o.why = "it needs " + missing
	case o.given < max(st.least, shortest):
		o.why = fmt.Sprintf("%.1f s are left, and it needs %.0f s", max(0, o.given).Seconds(), max(st.least, shortest).Seconds())
	default:
		s.runStage(ctx, st, &o)
	}
	return o
}

// left returns the time until the last stage has to be stopped.
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

// missingNeed returns the name of a stage that st needs and that did not run to its end, if any.
func (s *schedule) missingNeed(st stage, before []outcome) string {
	for _, o := range before {
		if o.state != ran && slices.Contains(st.needs, o.stage) {
			return o.stage
		}
	}
	return ""
}

// runStage runs a stage until its time runs out. A stage that has not ended after another grace is
// abandoned.
func (s *schedule) runStage(ctx context.Context, st stage, o *outcome) {
	begun := s.clock.Now()
	within, cancel := s.clock.Until(ctx, begun.Add(o.given))
	defer cancel()
	graceful, cancelGraceful := s.clock.Until(context.WithoutCancel(ctx), begun.Add(o.given+grace))
	defer cancelGraceful()
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
	case <-graceful.Done():
		o.state, o.why = stopped, "its time ran out, and it did not stop"
	}
	o.took = s.clock.Now().Sub(begun)
}

// selectStages returns the named stages and the stages that they need, or all stages if names is empty.
func selectStages(stages []stage, names []string) ([]stage, error) {
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
