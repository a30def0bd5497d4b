package sweep

import (
	"fmt"
	"slices"
	"time"
)

// assumedCell is a cell's time where nothing was measured yet: a small model on
// one GPU. It only serves to warn of a time limit that is far too short.
const assumedCell = 5 * time.Second

// begin asks the strategy for its first choice and says what lies ahead, and
// warns when the time can't be enough.
func (r *run) begin() Choice {
	choice := r.next()
	lacking := 0
	for _, c := range r.Plan {
		if r.state.Known[c].open(r.Repeat) {
			lacking++
		}
	}
	pruned := ""
	if len(r.pruned) > 0 {
		pruned = fmt.Sprintf(", %d are pruned", len(r.pruned))
	}
	stand := len(r.Plan) - lacking - len(r.pruned)
	if choice.Answer != nil {
		fmt.Fprintf(r.Log, "# %d cells: %d stand in the checkpoint%s; the search measures as many more as it takes\n", len(r.Plan), stand, pruned)
		return choice
	}
	fmt.Fprintf(r.Log, "# %d cells: %d stand in the checkpoint%s, %d to measure\n", len(r.Plan), stand, pruned, lacking)
	perCell, source := r.expected()
	r.warnOfDeadline(perCell, source)
	return choice
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
	if r.warned || r.Filtered || !r.counts || r.Deadline.IsZero() {
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
	line := fmt.Sprintf("# %d/%d %s: %s; elapsed %v", r.number(s.Cell), len(r.Plan), s.name, what, round(r.since(r.start)))
	perCell, source := r.expected()
	switch {
	case !r.counts:
		line += "; " + s.why
	case !r.Filtered:
		line += fmt.Sprintf(", ETA %v", round(time.Duration(r.todo)*perCell))
	}
	fmt.Fprintln(r.Log, line)
	r.warnOfDeadline(perCell, source)
}

// number is the cell's place in the plan or, in a search, how many cells are
// known with it.
func (r *run) number(c Cell) int {
	if r.counts {
		return slices.Index(r.Plan, c) + 1
	}
	n := 0
	for _, c := range r.Plan {
		if k := r.state.Known[c]; k.Failed || len(k.Rates) > 0 {
			n++
		}
	}
	return n
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
