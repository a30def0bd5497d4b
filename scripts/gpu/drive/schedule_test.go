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

// handClock is moved by hand, by the stage that is at work.
type handClock struct {
	mu   sync.Mutex // a stage that was left behind may still move it
	now  time.Time
	ends map[time.Time][]context.CancelCauseFunc
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func newHandClock() *handClock {
	return &handClock{now: noon, ends: make(map[time.Time][]context.CancelCauseFunc)}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) Until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[end] = append(c.ends[end], cancel)
	return ctx, func() { cancel(nil) }
}

func (c *handClock) pass(d time.Duration) {
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

// taking is a stage's work that takes so long, or until it is stopped.
func (c *handClock) taking(d time.Duration) func(context.Context) ([]string, error) {
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

// played runs stages in so much time that may be used.
func played(t *testing.T, c *handClock, usable time.Duration, stages ...stage) []outcome {
	t.Helper()
	noted := 0
	s := schedule{clock: c, end: noon.Add(usable + grace + closing), stages: stages, noted: func(so []outcome) { noted = len(so) }}
	outcomes := s.run(t.Context())
	require.Len(t, outcomes, len(stages))
	assert.Equal(t, len(stages), noted)
	assert.False(t, c.Now().After(s.end.Add(-closing)), "over in time")
	return outcomes
}

func states(outcomes []outcome) (all []state) {
	for _, o := range outcomes {
		all = append(all, o.state)
	}
	return all
}

func TestScheduleSharesTheTime(t *testing.T) {
	c := newHandClock()
	outcomes := played(t, c, 100*time.Second,
		stage{name: "base", run: c.taking(10 * time.Second)},
		stage{name: "one", weight: 2, run: c.taking(30 * time.Second)},
		stage{name: "two", weight: 1, run: c.taking(time.Hour)},
		stage{name: "three", weight: 1, run: c.taking(time.Hour)},
	)
	assert.Equal(t, []state{ran, ran, stopped, stopped}, states(outcomes))
	assert.Equal(t, 100*time.Second, outcomes[0].given, "what all need may take all")
	assert.Equal(t, 45*time.Second, outcomes[1].given)
	assert.Equal(t, 30*time.Second, outcomes[2].given, "what the one before did not use is shared")
	assert.Equal(t, 30*time.Second, outcomes[3].given)
	assert.Equal(t, 30*time.Second, outcomes[3].took)
	assert.Equal(t, []string{"in part"}, outcomes[3].headlines)
	assert.Equal(t, errLate.Error(), outcomes[3].why)
}

func TestScheduleSkips(t *testing.T) {
	c := newHandClock()
	outcomes := played(t, c, 60*time.Second,
		stage{name: "base", run: c.taking(25 * time.Second)},
		stage{name: "one", weight: 1, least: 30 * time.Second, run: c.taking(10 * time.Second)},
		stage{name: "large", weight: 1, least: 40 * time.Second, run: c.taking(time.Second)},
		stage{name: "small", weight: 1, least: 20 * time.Second, run: c.taking(time.Second)},
	)
	assert.Equal(t, []state{ran, ran, skipped, ran}, states(outcomes))
	assert.Equal(t, 30*time.Second, outcomes[1].given, "what is worth more has what it needs to begin")
	assert.Equal(t, "25.0 s are left, and it needs 40 s", outcomes[2].why)
	assert.Equal(t, 25*time.Second, outcomes[3].given)
}

func TestScheduleOfFailures(t *testing.T) {
	c := newHandClock()
	outcomes := played(t, c, 60*time.Second,
		stage{name: "build", run: func(context.Context) ([]string, error) { return []string{"so far"}, errors.New("no compiler") }},
		stage{name: "server", needs: []string{"build"}, run: c.taking(time.Second)},
		stage{name: "sweep", weight: 1, needs: []string{"build", "server"}, run: c.taking(time.Second)},
		stage{name: "other", weight: 1, run: c.taking(time.Second)},
	)
	assert.Equal(t, []state{failed, skipped, skipped, ran}, states(outcomes))
	assert.Equal(t, "no compiler", outcomes[0].why)
	assert.Equal(t, []string{"so far"}, outcomes[0].headlines)
	assert.Equal(t, "it needs build", outcomes[2].why)
}

// TestScheduleLeavesBehind a stage that does not end when it is told to.
func TestScheduleLeavesBehind(t *testing.T) {
	c := newHandClock()
	release := make(chan struct{})
	defer close(release)
	outcomes := played(t, c, 60*time.Second,
		stage{name: "deaf", weight: 1, run: func(context.Context) ([]string, error) {
			c.pass(30*time.Second + grace)
			<-release
			return nil, nil
		}},
		stage{name: "next", weight: 1, run: c.taking(time.Second)},
	)
	assert.Equal(t, []state{stopped, ran}, states(outcomes))
	assert.Equal(t, "its time was over, and it did not end", outcomes[0].why)
}

func TestScheduleInterrupted(t *testing.T) {
	c := newHandClock()
	ctx, cancel := context.WithCancelCause(t.Context())
	s := schedule{clock: c, end: noon.Add(time.Hour), noted: func([]outcome) {}, stages: []stage{
		{name: "one", weight: 1, run: func(within context.Context) ([]string, error) {
			cancel(errors.New("interrupted"))
			<-within.Done()
			return nil, within.Err()
		}},
		{name: "two", weight: 1, run: c.taking(time.Second)},
	}}
	outcomes := s.run(ctx)
	assert.Equal(t, []state{stopped, skipped}, states(outcomes))
	assert.Equal(t, "interrupted", outcomes[0].why)
	assert.Equal(t, "interrupted", outcomes[1].why)
}

func TestChosen(t *testing.T) {
	all := (&drive{}).stages()
	names := func(stages []stage) (names []string) {
		for _, st := range stages {
			names = append(names, st.name)
		}
		return names
	}
	assert.Equal(t, []string{"machine", "build", "model", "server", "sweep", "probes", "failures", "noise", "best", "memory"}, names(all))
	for _, tt := range []struct{ only, want []string }{
		{nil, names(all)},
		{[]string{"build"}, []string{"build"}},
		{[]string{"noise", "probes"}, []string{"build", "model", "server", "probes", "noise"}},
	} {
		stages, err := chosen(all, tt.only)
		require.NoError(t, err)
		assert.Equal(t, tt.want, names(stages))
	}
	_, err := chosen(all, []string{"sweeps"})
	assert.ErrorContains(t, err, `"sweeps"`)
}
