package sweep

import (
	"fmt"
	"maps"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// redo is the strategy of a run that measures cells again that are in the checkpoint: all that
// -run selects, each with a load of its own.
type redo struct{ *run }

// Next implements [Strategy]. It treats a cell as unmeasured until the run has measured or skipped it.
// The run's state keeps the old samples meanwhile, because pruning depends on them.
func (d redo) Next(s State) Choice {
	s.Measured = maps.Clone(s.Measured)
	for _, c := range s.Plan {
		if d.redoes(c) {
			delete(s.Measured, c)
		}
	}
	choice := Exhaustive{Repeat: d.Repeat, Rounds: d.Rounds}.Next(s)
	choice.Reload = true
	return choice
}

// redoes reports whether the checkpoint still has an earlier run's samples of the cell, which
// this run replaces.
func (r *run) redoes(c cell.Key) bool {
	_, measured := r.Store.Result(c)
	return r.Redo && measured && !r.redone.cells[c]
}

// beginRedo prints how many cells may be measured again. How many -run selects is not known yet.
func (r *run) beginRedo() {
	measured := 0
	for _, c := range r.Plan {
		if r.redoes(c) {
			measured++
		}
	}
	fmt.Fprintf(r.Log, "%d cells: %d already measured, of which those that -run names are measured again\n", len(r.Plan), measured)
}

// keepOld restores what is known of a cell that the caller has skipped.
func (r *run) keepOld(c cell.Key) {
	if result, ok := r.Store.Result(c); ok && r.Redo {
		r.state.Measured[c] = result.Measured()
		r.redone.cells[c] = true
	}
}

// put saves a result of the plan. A failure that may be the server's is held back.
func (r *run) put(result checkpoint.Result) error {
	replaces := r.redoes(result.Cell())
	if r.Redo {
		r.redone.cells[result.Cell()] = true
	}
	switch {
	case mayBeServersFault(&result):
		r.holdBack(result, func() error { return r.store(result, replaces) })
		return nil
	case !result.Failed():
		if err := r.noteServerWorks(); err != nil {
			return err
		}
	}
	return r.store(result, replaces)
}

// store saves a result of the plan. Before the first one that replaces an earlier run's, it copies
// the checkpoint, so that no sample is lost.
func (r *run) store(result checkpoint.Result, replaces bool) error {
	if c := result.Cell(); replaces {
		if err := r.copyOnce(); err != nil {
			return err
		}
		if n := r.Store.DropDerived(c); n > 0 {
			fmt.Fprintf(r.Log, "%v: %d samples that confirmed the old ones are removed too; the next run without -run takes new ones\n", c, n)
		}
	}
	return r.Store.Put(result)
}

func (r *run) copyOnce() error {
	if r.redone.copied {
		return nil
	}
	name, err := r.Store.CopyAside(r.Now())
	if err != nil {
		return err
	}
	r.redone.copied = true
	fmt.Fprintf(r.Log, "the checkpoint with the old samples is kept as %s\n", name)
	return nil
}

// answer returns the final answer of a search. After a redo the search is run again on the new
// samples, as the next run would do.
func (r *run) answer(choice Choice) *checkpoint.Answer {
	if !r.Redo || r.Strategy == nil {
		return choice.Answer
	}
	cp := r.Store.Checkpoint()
	known := cp.Measured()
	for c := range cp.Pruned() {
		known[c] = checkpoint.Measured{Closed: true}
	}
	found := r.Strategy.Next(State{Plan: r.Plan, Measured: known, Probes: r.mayProbe(), PromptTokens: r.probedTokens()}).Answer
	if found != nil {
		r.outlook.done = found.Done
	}
	return found
}
