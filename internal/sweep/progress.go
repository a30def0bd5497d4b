package sweep

import (
	"fmt"
	"time"
)

// assumedCell is a cell's time where nothing was measured yet: a small model on
// one GPU. It only serves to warn of a time limit that is far too short.
const assumedCell = 5 * time.Second

// begin says what lies ahead, and warns when the time can't be enough.
func (r *run) begin() {
	lacking := make(map[Cell]bool)
	for _, s := range r.steps() {
		if !r.stands(s) {
			r.todo++
			lacking[s.Cell] = true
		}
	}
	fmt.Fprintf(r.Log, "# %d cells: %d stand in the checkpoint, %d to measure\n", len(r.Plan), len(r.Plan)-len(lacking), len(lacking))
	perCell, source := r.expected()
	r.warnOfDeadline(perCell, source)
}

// expected returns the time to expect for a cell, and what that rests on.
func (r *run) expected() (time.Duration, string) {
	if len(r.spent) > 0 {
		return mean(r.spent), "as measured in this run"
	}
	var known []time.Duration
	for _, result := range r.Store.Checkpoint().Results {
		var d time.Duration
		if result.Warmup != nil {
			d = result.Warmup.TotalDuration
		}
		for i, s := range result.Samples {
			if i == 0 || !r.Rounds {
				d += s.TotalDuration
			}
		}
		if d > 0 {
			known = append(known, d)
		}
	}
	if len(known) > 0 {
		return mean(known), "as measured before"
	}
	return assumedCell, "an assumption"
}

func (r *run) warnOfDeadline(perCell time.Duration, source string) {
	if r.warned || r.Filtered || r.Deadline.IsZero() {
		return
	}
	left, need := r.Deadline.Sub(r.Now()), time.Duration(r.todo)*perCell
	if need <= left {
		return
	}
	r.warned = true
	fmt.Fprintf(r.Log, "# warning: %d cells of %v (%s) need %v, and go test allows %v more: -timeout 0 lifts that; what is measured until then is kept\n",
		r.todo, round(perCell), source, round(need), round(left))
}

// progress tells of a step that was gone through.
func (r *run) progress(s step, result Result) {
	what := ""
	if result.Failed() {
		what = failureText(result)
	} else {
		what = fmt.Sprintf("%.1f tokens/s (load %v)", *result.PromptEvalRate, round(result.LoadDuration()))
	}
	line := fmt.Sprintf("# %d/%d %s: %s; elapsed %v", s.number, len(r.Plan), s.name, what, round(r.since(r.start)))
	perCell, source := r.expected()
	if !r.Filtered {
		line += fmt.Sprintf(", ETA %v", round(time.Duration(r.todo)*perCell))
	}
	fmt.Fprintln(r.Log, line)
	r.warnOfDeadline(perCell, source)
}

// since returns the time that has gone by, which by a clock that was set back is
// none. Clocks of the system tell it right whatever happens to the date.
func (r *run) since(t time.Time) time.Duration { return max(0, r.Now().Sub(t)) }

// mean returns the arithmetic mean, zero of nothing.
func mean(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}
	return sum / time.Duration(len(ds))
}

// round shortens a duration for reading: to the second from a minute on.
func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
