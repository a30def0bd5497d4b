package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// What a sweep does by itself, so that its advice says something: more samples, where that is
// short, and the server's own num_batch, where that is cheap.
const (
	// RepeatTime is how long all measuring may take in the end where a sweep takes more samples
	// than it was asked for.
	RepeatTime = 2 * time.Minute
	// leastSamples is how many each cell has then in any case: the scatter of single samples around
	// their rows and columns does not show that a machine was faster for a while.
	leastSamples = 2
	// ShortLoad is below what a load is so short that the server's own num_batch is measured.
	ShortLoad = 10 * time.Second
	// CheapShare is the share of a sweep's time below which it is measured where loads are longer.
	CheapShare = 0.03
)

// RepeatText says beforehand that more samples are taken; most is how many loads that takes at
// most, 0 where that is not known.
func RepeatText(most int) string {
	limit := ""
	if most > 0 {
		limit = fmt.Sprintf("at most %d loads and ", most)
	}
	return fmt.Sprintf("repeat: a second sample of every cell, then more of these and of the baseline while the advice can't tell, %s%.0f minutes in all (-repeat=1: none)", limit, RepeatTime.Minutes())
}

// CanAdvise reports whether rates of the cells may allow advice: there is more than one num_batch.
func CanAdvise(cells []cell.Key) bool {
	_, batches := cell.Axes(cells)
	return len(batches) > 1
}

// RepeatLoads returns how many loads a sweep takes by itself at most while its advice can't tell,
// once each of so many cells has so many samples: none where there is no time for a round.
func RepeatLoads(cp *checkpoint.Checkpoint, p Pace, cells, samples int) int {
	if spare := spareLoads(cp, p, cells, samples); spare >= min(cells, 2*MostRounds) {
		return spare
	}
	return 0
}

// spareLoads returns how many more loads, each with a prompt, are within RepeatTime once each of so
// many cells has so many samples. Each sample is taken to have a load of its own.
func spareLoads(cp *checkpoint.Checkpoint, p Pace, cells, samples int) int {
	lacking, spent := cells*samples, time.Duration(0)
	onGrid := cp.OnGrid()
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.Failed() || !onGrid(r.Cell()) {
			continue
		}
		for _, s := range r.Samples[:min(samples, len(r.Samples))] {
			lacking, spent = lacking-1, spent+p.Load+Taken(s)
		}
	}
	for i := range cp.Remeasured {
		spent += p.Load
		for _, s := range cp.Remeasured[i].Samples {
			spent += Taken(s)
		}
	}
	spent += p.Time(lacking, lacking)
	if each := p.Time(1, 1); each > 0 {
		return max(0, int((RepeatTime-spent)/each))
	}
	return 0
}

// Unclear reports whether more samples are to be taken as far as the figures go: single ones, or
// such as can't tell what to set where more would.
func Unclear(cp *checkpoint.Checkpoint) bool { return unclear(cp, adviceOf(cp)) }

func unclear(cp *checkpoint.Checkpoint, a Advice) bool {
	if a.Kind == NoAdvice {
		return false
	}
	least, _ := fewestSamples(cp)
	return least < leastSamples || a.Kind == Unsure && a.Next != nil
}

// adviceOf is that of the checkpoint's own verdict.
func adviceOf(cp *checkpoint.Checkpoint) Advice {
	v, ok := VerdictOf(cp)
	if !ok {
		return Advice{}
	}
	return Advise(cp, v)
}

// sayAutomatic says beforehand what the sweep may do by itself.
func (r *run) sayAutomatic() {
	cut := r.BudgetCells > 0 && r.todo > r.BudgetCells // before the plan's end
	if r.Filtered || cut || !CanAdvise(r.Plan) {
		return
	}
	cp, ended := r.Store.Checkpoint(), r.summary().Missing == 0
	pace, known := PaceOf(cp)
	most := RepeatLoads(cp, pace, len(r.Plan), max(r.Repeat, r.fewest().samples))
	if r.repeatsByItself() && (!known || most > 0) && (!ended || Unclear(cp)) {
		fmt.Fprintf(r.Log, "# %s\n", RepeatText(most))
	}
	switch reason := r.baselineReason(); {
	case ended && BaselineLoads(cp, r.Baseline) == 0:
	case reason != "":
		fmt.Fprintf(r.Log, "# %s\n", BaselineText("because "+reason))
	case r.Baseline == config.BaselineAuto && !known:
		fmt.Fprintf(r.Log, "# %s\n", BaselineText(fmt.Sprintf("if a load takes less than %v or that less than %.0f %% of the time", ShortLoad, 100*CheapShare)))
	}
}

func (r *run) searches() bool {
	_, every := r.strategy.(Exhaustive)
	return !every
}

func (r *run) repeatsByItself() bool { return r.RepeatUntilClear && !r.searches() }

// timeFor reports whether budget and deadline leave time for so many loads, with a prompt each:
// what nobody has asked for must not end in an error.
func (r *run) timeFor(loads int) bool {
	end := r.Now().Add(r.pace().Time(loads, loads))
	within := func(limit time.Time) bool { return limit.IsZero() || !end.After(limit) }
	return within(r.Deadline) && within(r.BudgetEnd) && (r.BudgetCells == 0 || len(r.spent)+loads <= r.BudgetCells)
}

// afterPlan measures what comes after the plan. More samples come first, since a baseline is that
// of one cell, which they may no longer recommend; a run that was cut after the first turns resumes with the
// baseline.
func (r *run) afterPlan(ctx context.Context, each each) {
	more := len(baselined(r.Store.Checkpoint())) == 0 || r.fewest().begun
	for {
		if more {
			r.repeatUntilClear(ctx, each)
			r.retake(ctx, each)
		}
		if r.stop == nil {
			r.stop = r.beside(ctx)
		}
		if more = r.stop == nil && r.wantsSamples(); !more {
			return
		}
	}
}

// repeatUntilClear takes one more sample of every cell, and one more, as long as they are wanted.
func (r *run) repeatUntilClear(ctx context.Context, each each) {
	for r.stop == nil && r.wantsSamples() {
		f := r.fewest()
		why := "the advice can't tell yet: "
		if f.samples < leastSamples {
			why = ""
		}
		fmt.Fprintf(r.Log, "# %ssample %d of every cell\n", why, f.samples+1)
		r.want, r.todo, r.counts = f.samples+1, len(f.cells), true
		before := len(r.spent)
		r.take(ctx, Choice{Cells: f.cells, Samples: r.want, Left: r.todo, Reload: true}, each)
		r.repeats += len(r.spent) - before
	}
	r.endSuspects(ctx)
}

// wantsSamples reports whether one more sample of every cell is to be taken: the figures can't
// tell yet, and there is time. A round that has begun is brought to its end, so that a sweep that
// was stopped in it comes to the same figures as one that was not.
func (r *run) wantsSamples() bool {
	if !r.repeatsByItself() || r.summary().Missing > 0 {
		return false
	}
	cp, f := r.Store.Checkpoint(), r.fewest()
	if len(f.cells) == 0 || r.spare(f) < f.of || !r.timeFor(len(f.cells)) {
		return false
	}
	if f.begun {
		return true
	}
	if _, begun := begunTurns(cp); begun {
		return false
	}
	a := adviceOf(cp)
	if !unclear(cp, a) {
		return false
	}
	if f.samples < leastSamples {
		return true
	}
	if a.Baseline { // which has more rounds
		return false
	}
	return !a.Next.Baseline || BaselineLoads(cp, r.Baseline) == 0 || !r.wantsBaseline()
}

// spare returns how many more loads are within RepeatTime, none where nothing was timed.
func (r *run) spare(f fewest) int {
	cp := r.Store.Checkpoint()
	pace, _ := PaceOf(cp)
	return spareLoads(cp, pace, f.of, f.samples)
}

// fewest is which cells have the fewest samples, and how many.
type fewest struct {
	samples int
	cells   []cell.Key // in the plan's order
	of      int        // cells that may have more
	begun   bool       // the others have one more, and none has two more
}

func (r *run) fewest() fewest {
	var f fewest
	most := 0
	for _, c := range r.Plan {
		known := r.state.Known[c]
		n := len(known.Rates)
		if known.Failed || known.Closed || n == 0 {
			continue
		}
		f.of++
		most = max(most, n)
		switch {
		case len(f.cells) == 0 || n < f.samples:
			f.samples, f.cells = n, []cell.Key{c}
		case n == f.samples:
			f.cells = append(f.cells, c)
		}
	}
	f.begun = most == f.samples+1
	return f
}
