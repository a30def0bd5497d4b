package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// What a sweep measures automatically to make its advice clear: more samples where the sweep is
// short, and the server's own num_batch where that is cheap.
const (
	// RepeatTime limits the time of all loads and prompts of a sweep that takes samples automatically.
	RepeatTime = 2 * time.Minute
	// leastSamples is the number of samples that each cell then has in any case: single samples can't
	// show that the machine was faster for a while.
	leastSamples = 2
	// shortLoad is the load time below which the server's own num_batch is always measured.
	shortLoad = 10 * time.Second
	// cheapShare is the share of a sweep's time below which it is measured also where loads are longer.
	cheapShare = 0.03
)

// RepeatText returns the text that announces automatic samples, which take at most so many loads, 0
// where that is not known.
func RepeatText(most int) string {
	limit := ""
	if most > 0 {
		limit = fmt.Sprintf("%d loads and ", most)
	}
	return fmt.Sprintf("repeat: a second sample of every cell, then more samples and baseline rounds until the advice is clear, at most %s%.0f minutes in all (-repeat=1: none)", limit, RepeatTime.Minutes())
}

// CanAdvise reports whether the cells can give advice: they have more than one num_batch.
func CanAdvise(cells []cell.Key) bool {
	_, batches := cell.Axes(cells)
	return len(batches) > 1
}

// RepeatLoads returns how many loads a sweep adds automatically at most until its advice is clear,
// once each of so many cells has so many samples: none where there is no time for a whole round.
func RepeatLoads(cp *checkpoint.Checkpoint, p Pace, cells, samples int) int {
	if spare := spareLoads(cp, p, cells, samples); spare >= min(cells, 2*MostRounds) {
		return spare
	}
	return 0
}

// spareLoads returns how many more loads, each with one prompt, fit into RepeatTime once each of so
// many cells has so many samples. It assumes a load for each sample.
func spareLoads(cp *checkpoint.Checkpoint, p Pace, cells, samples int) int {
	lacking, spent := cells*samples, time.Duration(0)
	onGrid := cp.OnGrid()
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.Failed() || !onGrid(r.Cell()) {
			continue
		}
		for _, s := range r.Samples[:min(samples, len(r.Samples))] {
			lacking, spent = lacking-1, spent+p.Load+RequestTime(s)
		}
	}
	for i := range cp.Auxiliary {
		spent += p.Load
		for _, s := range cp.Auxiliary[i].Samples {
			spent += RequestTime(s)
		}
	}
	spent += p.Time(lacking, lacking)
	if each := p.Time(1, 1); each > 0 {
		return max(0, int((RepeatTime-spent)/each))
	}
	return 0
}

// Unclear reports whether the advice needs more samples: the cells have one each, or the advice is
// unsure and more samples would settle it.
func Unclear(cp *checkpoint.Checkpoint) bool { return unclear(cp, adviceOf(cp)) }

func unclear(cp *checkpoint.Checkpoint, a Advice) bool {
	if a.Kind == NoAdvice {
		return false
	}
	least, _ := fewestSamples(cp)
	return least < leastSamples || a.Kind == Unsure && a.Next != nil
}

// adviceOf returns the advice by the checkpoint's verdict, the zero value where nothing is measured.
func adviceOf(cp *checkpoint.Checkpoint) Advice {
	v, ok := VerdictOf(cp)
	if !ok {
		return Advice{}
	}
	return Advise(cp, v)
}

// printAutomatic announces what the sweep may measure automatically.
func (r *run) printAutomatic() {
	cut := r.BudgetCells > 0 && r.outlook.loads > r.BudgetCells // before the plan's end
	if r.Filtered || cut || !CanAdvise(r.Plan) {
		return
	}
	cp, ended := r.Store.Checkpoint(), r.summary().Missing == 0
	pace, known := PaceOf(cp)
	most := RepeatLoads(cp, pace, len(r.Plan), max(r.Repeat, r.fewest().samples))
	if r.repeatsAutomatically() && (!known || most > 0) && (!ended || Unclear(cp)) {
		fmt.Fprintf(r.Log, "%s\n", RepeatText(most))
	}
	switch reason := r.baselineReason(); {
	case ended && BaselineLoads(cp, r.Baseline) == 0:
	case reason != "":
		fmt.Fprintf(r.Log, "%s\n", BaselineText("because "+reason))
	case r.Baseline == config.BaselineAuto && !known:
		fmt.Fprintf(r.Log, "%s\n", BaselineText(fmt.Sprintf("if a load takes less than %v, or all of them less than %.0f %% of the time", shortLoad, 100*cheapShare)))
	}
}

func (r *run) searches() bool {
	_, every := r.strategy.(Exhaustive)
	return !every
}

func (r *run) repeatsAutomatically() bool { return r.RepeatUntilClear && !r.searches() }

// timeFor reports whether budget and deadline leave time for so many loads, with a prompt each:
// measurements that nobody requested must not end in an error.
func (r *run) timeFor(loads int) bool {
	end := r.Now().Add(r.pace().Time(loads, loads))
	within := func(limit time.Time) bool { return limit.IsZero() || !end.After(limit) }
	return within(r.Deadline) && within(r.BudgetEnd) && (r.BudgetCells == 0 || len(r.tally.spent)+loads <= r.BudgetCells)
}

// afterPlan takes the measurements that follow the plan. More samples come first, because they can
// change the recommended cell, and a baseline belongs to that cell. A run that was stopped in a
// baseline resumes with it.
func (r *run) afterPlan(ctx context.Context, each each) {
	more := len(baselined(r.Store.Checkpoint())) == 0 || r.fewest().begun
	for {
		if more {
			r.repeatUntilClear(ctx, each)
			r.retake(ctx, each)
		}
		if r.stop == nil {
			r.stop = r.auxiliary(ctx)
		}
		if more = r.stop == nil && r.wantsSamples(); !more {
			return
		}
	}
}

// repeatUntilClear takes another sample of every cell until no more are needed.
func (r *run) repeatUntilClear(ctx context.Context, each each) {
	for r.stop == nil && r.wantsSamples() {
		f := r.fewest()
		why := "the advice is not clear yet: "
		if f.samples < leastSamples {
			why = ""
		}
		fmt.Fprintf(r.Log, "%ssample %d of every cell\n", why, f.samples+1)
		r.want, r.outlook.loads, r.outlook.counts = f.samples+1, len(f.cells), true
		before := len(r.tally.spent)
		r.take(ctx, Choice{Cells: f.cells, Samples: r.want, Left: r.outlook.loads, Reload: true}, each)
		r.tally.repeats += len(r.tally.spent) - before
	}
	r.settleSuspects(ctx)
}

// wantsSamples reports whether to take one more sample of every cell: the advice is not clear, and
// there is time. A round that has begun is completed, so that a sweep that was stopped in it ends
// with the same checkpoint as one that was not.
func (r *run) wantsSamples() bool {
	if !r.repeatsAutomatically() || r.summary().Missing > 0 {
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
	if a.Baseline { // more rounds of that settle it, not more samples
		return false
	}
	return !a.Next.Baseline || BaselineLoads(cp, r.Baseline) == 0 || !r.wantsBaseline()
}

// spare returns how many more loads fit into RepeatTime, none where nothing was timed.
func (r *run) spare(f fewest) int {
	cp := r.Store.Checkpoint()
	pace, _ := PaceOf(cp)
	return spareLoads(cp, pace, f.of, f.samples)
}

// fewest holds the cells with the fewest samples.
type fewest struct {
	samples int        // of each of these cells
	cells   []cell.Key // in the plan's order
	of      int        // all cells with a rate, which can have more samples
	begun   bool       // other cells have one sample more, and none has two more
}

func (r *run) fewest() fewest {
	var f fewest
	most := 0
	for _, c := range r.Plan {
		known := r.state.Measured[c]
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
