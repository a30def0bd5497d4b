package sweep

import (
	"fmt"
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Progress is the progress of a run, reported when a cell begins and when it ends.
type Progress struct {
	Name   string // of the cell's subtest
	Begins bool   // the cell begins, else it has ended
	// Number is the cell's place in the plan or, in a search, the number of cells measured with it,
	// and Cells the number of cells in the plan.
	Number, Cells int
	Last          float64            // tokens per second of this cell, 0 where it has no rate (yet)
	Best          *checkpoint.Result // with the highest rate so far, nil while no cell has a rate
	Failed        int                // cells in the checkpoint, those of earlier runs among them
	Elapsed       time.Duration      // since the run began
	// LeftLeast and Left are the smallest and the largest expected time to the end, where Known. They
	// differ in a search, which does not know how many cells it needs.
	Left, LeftLeast time.Duration
	HasLeft         bool
	Why             string // why a search measures the cell, empty without a search
}

// begin returns the strategy's first choice, prints how much there is to measure, and
// warns where the time is too short.
func (r *run) begin() Choice {
	choice := r.next()
	if r.Redo {
		r.beginRedo()
		return choice
	}
	lacking := 0
	for _, c := range r.Plan {
		if r.state.Measured[c].Open(r.Repeat) {
			lacking++
		}
	}
	pruned := ""
	if len(r.pruned) > 0 {
		pruned = fmt.Sprintf(", %d are pruned", len(r.pruned))
	}
	measured := len(r.Plan) - lacking - len(r.pruned)
	if choice.Answer != nil {
		expected := ""
		if r.outlook.ahead.Most > 0 {
			expected = fmt.Sprintf(", likely %v", r.expected())
		}
		fmt.Fprintf(r.Log, "%d cells: %d already measured%s; the search measures as many more as it needs%s\n", len(r.Plan), measured, pruned, expected)
		return choice
	}
	fmt.Fprintf(r.Log, "%d cells: %d already measured%s, %d to measure\n", len(r.Plan), measured, pruned, lacking)
	r.warnOfDeadline()
	return choice
}

// left returns the time that the loads and prompts of the plan still take, and the basis of
// that estimate.
func (r *run) left() (time.Duration, string) {
	pace := r.pace()
	prompts := 0
	for _, c := range r.Plan {
		if known := r.state.Measured[c]; known.Open(r.want) {
			prompts += r.want - len(known.Rates)
		}
	}
	return pace.Time(r.outlook.loads, prompts), pace.Basis
}

// leftOfSearch returns the time that a search still takes at least and at most, and false where
// that is not known or the caller may skip cells. A budget of cells limits it.
func (r *run) leftOfSearch() (least, most time.Duration, ok bool) {
	if r.outlook.ahead.Most == 0 || r.Filtered {
		return 0, 0, false
	}
	ahead := r.expected()
	if r.BudgetCells > 0 {
		left := max(0, r.BudgetCells-len(r.tally.spent))
		ahead = Range{min(ahead.Least, left), min(ahead.Most, left)}
	}
	pace, prompts := r.pace(), max(1, r.Repeat)
	return pace.Time(ahead.Least, ahead.Least*prompts), pace.Time(ahead.Most, ahead.Most*prompts), true
}

// expected returns how many loads a search still takes, given the noise so far.
func (r *run) expected() Range {
	open := 0
	for _, c := range r.Plan {
		if _, known := r.state.Measured[c]; !known {
			open++
		}
	}
	return r.outlook.ahead.Widened(Noise(r.Store.Checkpoint()), open)
}

// pace returns the pace of this run, else that of the checkpoint, else an assumption.
func (r *run) pace() Pace {
	pace, ok := r.tally.timings.pace("as measured in this run")
	if !ok {
		pace, ok = PaceOf(r.Store.Checkpoint())
	}
	if !ok {
		pace = AssumedPace
	}
	return pace
}

func (r *run) warnOfDeadline() {
	if r.outlook.warned || r.Filtered || !r.outlook.counts || r.Deadline.IsZero() {
		return
	}
	need, basis := r.left()
	left := r.Deadline.Sub(r.Now())
	if need <= left {
		return
	}
	r.outlook.warned = true
	fmt.Fprintf(r.Log, "warning: %d cells of %v (%s) need %v, and go test allows %v more: -timeout 0 lifts the limit; samples until then are saved\n",
		r.outlook.loads, round(need/time.Duration(max(1, r.outlook.loads))), basis, round(need), round(left))
}

// reportBegin reports that a step begins.
func (r *run) reportBegin(s step) {
	if r.OnProgress == nil {
		return
	}
	p := r.progress(s)
	p.Begins = true
	r.OnProgress(p)
}

// reportEnd reports that a step has ended. A failure is printed in any case.
func (r *run) reportEnd(s step, result checkpoint.Result) {
	p := r.progress(s)
	what := ""
	if result.Failed() {
		what = failureText(result)
	} else {
		p.Last = *result.PromptEvalRate
		what = fmt.Sprintf("%.1f tokens/s (load %v)", p.Last, round(result.LoadDuration()))
	}
	if r.OnProgress == nil || result.Failed() {
		fmt.Fprintf(r.Log, "%d/%d %s: %s; %s\n", p.Number, p.Cells, s.name, what, p)
	}
	if r.OnProgress != nil {
		r.OnProgress(p)
	}
	r.warnOfDeadline()
}

// progress returns the progress of the run at a step.
func (r *run) progress(s step) Progress {
	p := Progress{Name: s.name, Number: r.number(s.Key), Cells: len(r.Plan), Elapsed: r.since(r.start)}
	cp := r.Store.Checkpoint()
	for i := range cp.Results {
		switch result := &cp.Results[i]; {
		case result.Failed():
			p.Failed++
		case p.Best == nil || *result.PromptEvalRate > *p.Best.PromptEvalRate:
			p.Best = result
		}
	}
	p.Failed += len(r.suspects.all)
	if !r.outlook.counts {
		p.Why = s.why
		p.LeftLeast, p.Left, p.HasLeft = r.leftOfSearch()
	}
	if r.outlook.counts && !r.Filtered {
		p.Left, _ = r.left()
		p.LeftLeast, p.HasLeft = p.Left, true
	}
	return p
}

// String returns the progress as a part of a line:
//
//	best 3529.2 at ctx=8192/batch=8; 1 failed; elapsed 1m2s, ETA 3m0s
//	best 3529.2 at ctx=8192/batch=8; elapsed 1m2s, ETA 20s to 2m0s; initial design
func (p Progress) String() string {
	var text string
	if p.Best != nil {
		text = fmt.Sprintf("best %.1f at %v; ", *p.Best.PromptEvalRate, p.Best.Cell())
	}
	if p.Failed > 0 {
		text += fmt.Sprintf("%d failed; ", p.Failed)
	}
	text += fmt.Sprintf("elapsed %v%s", round(p.Elapsed), p.ETA(0, round))
	if p.Why != "" {
		text += "; " + p.Why
	}
	return text
}

// ETA returns the expected time to the end as text, so long after the progress was reported:
//
//	, ETA 3m0s
//	, ETA 20s to 2m0s
//
// It is empty where that is not known.
func (p Progress) ETA(since time.Duration, round func(time.Duration) time.Duration) string {
	if !p.HasLeft {
		return ""
	}
	least, most := round(max(0, p.LeftLeast-since)), round(max(0, p.Left-since))
	if least == most {
		return fmt.Sprintf(", ETA %v", most)
	}
	return fmt.Sprintf(", ETA %v to %v", least, most)
}

// number returns the cell's place in the plan or, in a search, how many cells are
// measured.
func (r *run) number(c cell.Key) int {
	if r.outlook.counts {
		return slices.Index(r.Plan, c) + 1
	}
	n := 0
	for _, c := range r.Plan {
		if k := r.state.Measured[c]; k.Failed || len(k.Rates) > 0 {
			n++
		}
	}
	return n
}

// since returns the time since t, zero for a clock that was set back. With the
// system's clock it is monotonic, whatever happens to the date.
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

// round rounds a duration for printing.
func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
