package sweep

import (
	"context"
	"errors"
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// step is a cell to measure until it has enough samples.
type step struct {
	cell.Key
	want   int    // samples in all
	reload bool   // also where the cell is loaded
	name   string // of the subtest
	why    string // the strategy wants it
}

// each is the callback of [Sweep.Run].
type each func(name string, measure func() Outcome)

// next returns the strategy's next choice. Its answer is saved with the next sample.
func (r *run) next() Choice {
	r.state.Loaded = r.server.cell
	r.setProbes()
	choice := r.strategy.Next(r.state)
	if choice.Answer != nil {
		r.Store.SetAnswer(choice.Answer)
	}
	r.outlook.loads, r.outlook.counts = choice.Left, choice.Left > 0
	if choice.Ahead.Most > 0 {
		r.outlook.ahead = choice.Ahead
	}
	return choice
}

// reportMeasured calls back for the cells of the plan that are already measured.
func (r *run) reportMeasured(each each) {
	first := r.Repeat
	if r.Rounds {
		first = 1
	}
	for want := first; want <= r.Repeat; want++ {
		for _, c := range r.Plan {
			if known, ok := r.state.Measured[c]; !ok || known.Open(want) {
				continue
			}
			if result, ok := r.Store.Result(c); ok {
				each(r.name(c, want), func() Outcome { return Outcome{Skip: measuredText(result)} })
			}
		}
	}
	r.reportPruned(each)
}

// reportPruned calls back for the cells that were pruned since the last call, and
// reports whether there are any.
func (r *run) reportPruned(each each) (any bool) {
	for _, c := range r.Plan {
		by, ok := r.pruned[c]
		if !ok || r.named[c.String()] {
			continue
		}
		any = true
		out, ok := r.suspected(by)
		if !ok {
			out, _ = r.Store.Result(by)
		}
		each(r.name(c, 0), func() Outcome {
			return Outcome{Skip: fmt.Sprintf("pruned: it needs at least the memory of %v, which failed twice in a row: %s", by, *out.Error)}
		})
	}
	return any
}

// name returns the name of the subtest in which a cell gets its samples up to want. No
// two calls return the same name.
func (r *run) name(c cell.Key, want int) string {
	name := c.String()
	switch {
	case r.Rounds && want > 0:
		return fmt.Sprintf("%v/round=%d", c, want)
	case r.named[name]:
		return fmt.Sprintf("%v/samples=%d", c, want)
	}
	r.named[name] = true
	return name
}

// choices measures the choices of the strategy, beginning with the given one, until it wants no more
// cells or the sweep must stop, and returns the last choice.
func (r *run) choices(ctx context.Context, choice Choice, each each) Choice {
	for r.stop == nil && len(choice.Cells) > 0 {
		r.take(ctx, choice, each)
		choice = r.next()
	}
	r.outlook.done = len(choice.Cells) == 0
	r.settleSuspects(ctx)
	return choice
}

// take measures the cells of a choice. It returns early where cells were pruned, since
// the strategy may then choose others.
func (r *run) take(ctx context.Context, choice Choice, each each) {
	for _, c := range choice.Cells {
		if r.onlyProbes(choice, c) {
			if r.stop = r.probe(ctx, c, choice.Probes); r.stop != nil {
				return
			}
			continue
		}
		s := step{Key: c, want: choice.Samples, reload: choice.Reload, why: choice.Why}
		if r.stop = r.mustStop(ctx, s); r.stop != nil {
			return
		}
		s.name = r.name(c, s.want)
		called := false
		each(s.name, func() Outcome { called = true; return r.cell(ctx, s) })
		if r.stop != nil {
			return
		}
		if !called {
			r.keepOld(c)
			known := r.state.Measured[c]
			known.Closed = true
			r.state.Measured[c] = known
			r.outlook.loads--
		}
		r.prune()
		if r.reportPruned(each) {
			return
		}
	}
}

// reusesLoad reports whether the step needs no load, because its cell is loaded.
func (r *run) reusesLoad(s step) bool { return r.server.cell == s.Key && !s.reload }

// cell measures a step.
func (r *run) cell(ctx context.Context, s step) Outcome {
	begun := r.Now()
	result, _ := r.Store.Result(s.Key)
	if result.Failed() || r.redoes(s.Key) {
		result = checkpoint.Result{}
	}
	result.SetCell(s.Key)
	reused := r.reusesLoad(s)
	had := len(result.Samples)
	r.reportBegin(s)
	err := r.measure(ctx, &task{result: &result, want: s.want, reuseLoad: reused, save: r.put, onSample: r.OnSample})
	if err != nil {
		r.stop = err
		return Outcome{Err: err}
	}
	r.state.Measured[s.Key] = result.Measured()
	spent := min(r.since(begun), r.CellTimeout)
	r.tally.timings.add(spent, !reused, result.Samples[had:])
	if !reused {
		r.tally.spent = append(r.tally.spent, spent)
		r.outlook.loads--
		r.outlook.ahead = r.outlook.ahead.less()
	}
	r.reportEnd(s, result)
	if result.Failed() {
		r.tally.failed++
		r.tally.failedCells[s.Key] = true
		if r.stop = r.checkServer(ctx); r.stop != nil {
			return Outcome{Err: r.stop}
		}
		return Outcome{Skip: failureText(result)}
	}
	if r.stop = r.reference(ctx); r.stop != nil {
		return Outcome{Err: r.stop}
	}
	return Outcome{}
}

// prune closes the cells that need at least the memory of one that ran out of it, and
// opens those for which this is no longer true because a larger cell worked.
func (r *run) prune() {
	if !r.Prune {
		return
	}
	for c := range r.pruned {
		delete(r.state.Measured, c)
	}
	r.pruned = checkpoint.Pruned(r.Plan, r.state.Measured)
	for c := range r.pruned {
		r.state.Measured[c] = checkpoint.Measured{Closed: true}
	}
}

// keepAnswer saves the answer of a search, with the reason why the sweep stopped.
func (r *run) keepAnswer(a *checkpoint.Answer) error {
	if a == nil || r.stop != nil && !inGoodOrder(r.stop) || len(r.Store.Checkpoint().Results) == 0 {
		return nil
	}
	if !r.outlook.done && r.stop != nil {
		a.Why = "stopped: " + r.stop.Error()
	}
	r.Store.SetAnswer(a)
	return r.Store.Save()
}

// inGoodOrder reports whether a stop was planned, and not caused by an error.
func inGoodOrder(stop error) bool {
	return errors.Is(stop, ErrInterrupted) || errors.Is(stop, ErrDeadline) || errors.Is(stop, ErrBudget)
}
