package sweep

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"time"
)

// redo is the strategy of a run that measures again what the checkpoint holds: every cell
// that the caller lets through, each with a load of its own.
type redo struct{ *run }

// Next implements [Strategy]. Until the run has come to a cell, what is known of it counts
// for nothing here; the state keeps it, because cells are pruned by it.
func (d redo) Next(s State) Choice {
	s.Known = maps.Clone(s.Known)
	for _, c := range s.Plan {
		if d.redoes(c) {
			delete(s.Known, c)
		}
	}
	choice := Exhaustive{Repeat: d.Repeat, Rounds: d.Rounds}.Next(s)
	choice.Reload = true
	return choice
}

// redoes reports whether the checkpoint still holds what an earlier run has measured of the
// cell, which this one is to replace.
func (r *run) redoes(c Cell) bool {
	_, measured := r.Store.Result(c)
	return r.Redo && measured && !r.redone[c]
}

// beginRedo says how many cells may be measured again. Which of them the caller lets
// through is known only once all are gone through.
func (r *run) beginRedo() {
	measured := 0
	for _, c := range r.Plan {
		if r.redoes(c) {
			measured++
		}
	}
	fmt.Fprintf(r.Log, "# %d cells: %d already measured, of which those that -run names are measured again\n", len(r.Plan), measured)
}

// keepOld has the cell that the caller passes over stay as it is.
func (r *run) keepOld(c Cell) {
	if result, ok := r.Store.Result(c); ok && r.Redo {
		r.state.Known[c] = result.known()
		r.redone[c] = true
	}
}

// put saves a result of the plan, or holds it back where it is a failure that may be the server's.
func (r *run) put(result Result) error {
	replaces := r.redoes(result.Cell())
	if r.Redo {
		r.redone[result.Cell()] = true
	}
	switch {
	case mayBeServers(&result):
		r.suspect(result, func() error { return r.store(result, replaces) })
		return nil
	case !result.Failed():
		if err := r.works(); err != nil {
			return err
		}
	}
	return r.store(result, replaces)
}

// store saves a result of the plan. Before the first one that replaces an earlier run's, the
// checkpoint is copied: nothing that was measured is lost.
func (r *run) store(result Result, replaces bool) error {
	if c := result.Cell(); replaces {
		if err := r.copyOnce(); err != nil {
			return err
		}
		if n := r.Store.forget(c); n > 0 {
			fmt.Fprintf(r.Log, "# %v: %d samples that confirmed the old ones are removed too; the next run without -run takes new ones\n", c, n)
		}
	}
	return r.Store.Put(result)
}

func (r *run) copyOnce() error {
	if r.copied {
		return nil
	}
	name, err := r.Store.copyAside(r.Now())
	if err != nil {
		return err
	}
	r.copied = true
	fmt.Fprintf(r.Log, "# the checkpoint with the old samples is kept as %s\n", name)
	return nil
}

// answer is what a search holds for the best in the end. After a redo it is asked anew, as
// the next run would do: its old answer rests on figures that are replaced.
func (r *run) answer(choice Choice) *Answer {
	if !r.Redo || r.Strategy == nil {
		return choice.Answer
	}
	cp := r.Store.Checkpoint()
	known := cp.Known()
	for c := range cp.Pruned() {
		known[c] = Known{Closed: true}
	}
	found := r.Strategy.Next(State{Plan: r.Plan, Known: known}).Answer
	if found != nil {
		r.done = found.Done
	}
	return found
}

// copyAside copies the file to a name with the time in it, as -fresh would give it, and
// returns that.
func (s *Store) copyAside(now time.Time) (string, error) {
	name := asideName(s.path, now)
	var data bytes.Buffer
	err := s.encode(&data)
	if err == nil {
		err = s.copyTo(name, data.Bytes())
	}
	if err != nil {
		return "", fmt.Errorf("copying the checkpoint before a cell of it is replaced: %w", err)
	}
	return name, nil
}

// forget removes what rests on a cell's old samples and counts with its new ones: what a
// search has found, and what was measured again of it in turns with others, the other side of a
// baseline among it, whose number it returns. A reference and a host's cells are compared among
// themselves and stay. The change is saved with the next result.
func (s *Store) forget(c Cell) (confirmations int) {
	s.Found(nil)
	remeasured, lines := s.cp.Remeasured[:0], s.remeasured[:0]
	for i, r := range s.cp.Remeasured {
		if r.Purpose == Confirm && r.Cell() == c || r.Purpose == Baseline && (r.Cell() == c || r.Cell() == Cell{Ctx: c.Ctx}) {
			confirmations++
			continue
		}
		remeasured, lines = append(remeasured, r), append(lines, s.remeasured[i])
	}
	s.cp.Remeasured, s.remeasured, s.whole = remeasured, lines, true
	return confirmations
}

func (c *Config) checkRedo() error {
	if c.Redo && c.Fresh == FreshAlways {
		return errors.New("fresh puts all that is measured aside, which leaves nothing to measure again: leave out one of the two")
	}
	return nil
}
