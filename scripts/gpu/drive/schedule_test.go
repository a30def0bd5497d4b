package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// manualClock is a clock that the running stage advances.
type manualClock struct {
	mu   sync.Mutex // an abandoned stage may still advance it
	now  time.Time
	ends map[time.Time][]context.CancelCauseFunc
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func newManualClock() *manualClock {
	return &manualClock{now: noon, ends: make(map[time.Time][]context.CancelCauseFunc)}
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) Until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[end] = append(c.ends[end], cancel)
	return ctx, func() { cancel(nil) }
}

func (c *manualClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for end, cancels := range c.ends {
		for _, cancel := range cancels {
			if !end.After(c.now) {
				cancel(errLate)
			}
		}
	}
}

// work returns the run function of a stage that takes d, or until it is stopped.
func (c *manualClock) work(d time.Duration) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		for range int(d / time.Second) {
			c.pass(time.Second)
			if ctx.Err() != nil {
				return []string{"in part"}, ctx.Err()
			}
		}
		return []string{"whole"}, nil
	}
}

// runStages runs stages in a schedule with this much usable time.
func runStages(t *testing.T, c *manualClock, usable time.Duration, stages ...stage) []outcome {
	t.Helper()
	reported := 0
	s := schedule{clock: c, end: noon.Add(usable + grace + closing), stages: stages, onStage: func(so []outcome) { reported = len(so) }}
	outcomes := s.run(t.Context())
	require.Len(t, outcomes, len(stages))
	assert.Equal(t, len(stages), reported)
	assert.False(t, c.Now().After(s.end.Add(-closing)), "ended in time")
	return outcomes
}

func states(outcomes []outcome) (all []state) {
	for _, o := range outcomes {
		all = append(all, o.state)
	}
	return all
}

func TestScheduleSharesTheTime(t *testing.T) {
	c := newManualClock()
	outcomes := runStages(t, c, 100*time.Second,
		stage{name: "base", run: c.work(10 * time.Second)},
		stage{name: "one", weight: 2, run: c.work(30 * time.Second)},
		stage{name: "two", weight: 1, run: c.work(time.Hour)},
		stage{name: "three", weight: 1, run: c.work(time.Hour)},
	)
	assert.Equal(t, []state{ran, ran, stopped, stopped}, states(outcomes))
	assert.Equal(t, 100*time.Second, outcomes[0].given, "a stage that all need may use all time")
	assert.Equal(t, 45*time.Second, outcomes[1].given)
	assert.Equal(t, 30*time.Second, outcomes[2].given, "time that the stage before did not use is shared")
	assert.Equal(t, 30*time.Second, outcomes[3].given)
	assert.Equal(t, 30*time.Second, outcomes[3].took)
	assert.Equal(t, []string{"in part"}, outcomes[3].headlines)
	assert.Equal(t, errLate.Error(), outcomes[3].why)
}

func TestScheduleSkips(t *testing.T) {
	c := newManualClock()
	outcomes := runStages(t, c, 60*time.Second,
		stage{name: "base", run: c.work(25 * time.Second)},
		stage{name: "one", weight: 1, least: 30 * time.Second, run: c.work(10 * time.Second)},
		stage{name: "large", weight: 1, least: 40 * time.Second, run: c.work(time.Second)},
		stage{name: "small", weight: 1, least: 20 * time.Second, run: c.work(time.Second)},
	)
	assert.Equal(t, []state{ran, ran, skipped, ran}, states(outcomes))
	assert.Equal(t, 30*time.Second, outcomes[1].given, "an earlier stage gets the least time that it needs")
	assert.Equal(t, "25.0 s are left, and it needs 40 s", outcomes[2].why)
	assert.Equal(t, 25*time.Second, outcomes[3].given)
}

func TestScheduleOfFailures(t *testing.T) {
	c := newManualClock()
	outcomes := runStages(t, c, 60*time.Second,
		stage{name: "build", run: func(context.Context) ([]string, error) { return []string{"so far"}, errors.New("no compiler") }},
		stage{name: "server", needs: []string{"build"}, run: c.work(time.Second)},
		stage{name: "sweep", weight: 1, needs: []string{"build", "server"}, run: c.work(time.Second)},
		stage{name: "other", weight: 1, run: c.work(time.Second)},
	)
	assert.Equal(t, []state{failed, skipped, skipped, ran}, states(outcomes))
	assert.Equal(t, "no compiler", outcomes[0].why)
	assert.Equal(t, []string{"so far"}, outcomes[0].headlines)
	assert.Equal(t, "it needs build", outcomes[2].why)
}

// TestScheduleAbandons: a stage that does not end when it is stopped is abandoned.
func TestScheduleAbandons(t *testing.T) {
	c := newManualClock()
	release := make(chan struct{})
	defer close(release)
	outcomes := runStages(t, c, 60*time.Second,
		stage{name: "hanging", weight: 1, run: func(context.Context) ([]string, error) {
			c.pass(30*time.Second + grace)
			<-release
			return nil, nil
		}},
		stage{name: "next", weight: 1, run: c.work(time.Second)},
	)
	assert.Equal(t, []state{stopped, ran}, states(outcomes))
	assert.Equal(t, "its time ran out, and it did not stop", outcomes[0].why)
}

func TestScheduleInterrupted(t *testing.T) {
	c := newManualClock()
	ctx, cancel := context.WithCancelCause(t.Context())
	s := schedule{clock: c, end: noon.Add(time.Hour), onStage: func([]outcome) {}, stages: []stage{
		{name: "one", weight: 1, run: func(within context.Context) ([]string, error) {
			cancel(errors.New("interrupted"))
			<-within.Done()
			return nil, within.Err()
		}},
		{name: "two", weight: 1, run: c.work(time.Second)},
	}}
	outcomes := s.run(ctx)
	assert.Equal(t, []state{stopped, skipped}, states(outcomes))
	assert.Equal(t, "interrupted", outcomes[0].why)
	assert.Equal(t, "interrupted", outcomes[1].why)
}

func TestSelectStages(t *testing.T) {
	all := (&drive{}).stages()
	names := func(stages []stage) (names []string) {
		for _, st := range stages {
			names = append(names, st.name)
		}
		return names
	}
	assert.Equal(t, []string{"machine", "build", "model", "server", "sweep", "probes", "failures", "noise", "best", "frontier", "settings", "memory"}, names(all))
	for _, tt := range []struct{ only, want []string }{
		{nil, names(all)},
		{[]string{"build"}, []string{"build"}},
		{[]string{"noise", "probes"}, []string{"build", "model", "server", "probes", "noise"}},
	} {
		stages, err := selectStages(all, tt.only)
		require.NoError(t, err)
		assert.Equal(t, tt.want, names(stages))
	}
	_, err := selectStages(all, []string{"sweeps"})
	assert.ErrorContains(t, err, `"sweeps"`)
}
