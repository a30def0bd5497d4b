package sweep

import (
	"context"
	"fmt"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// BaselineReason returns why a sweep with so many loads and prompts measures a baseline automatically,
// empty where it does not.
func BaselineReason(b config.Baseline, search bool, p Pace, loads, prompts int) string {
	rounds := p.Time(2*MostRounds, 2*MostRounds)
	switch {
	case b != config.BaselineAuto:
		return ""
	case search:
		return "this is a search"
	case p.Load < shortLoad:
		return fmt.Sprintf("a load takes %v", round(p.Load))
	case float64(rounds) < cheapShare*float64(p.Time(loads, prompts)):
		return fmt.Sprintf("they take less than %.0f %% of the sweep's time", 100*cheapShare)
	}
	return ""
}

// BaselineText returns the text that announces a baseline. The condition begins with "because" or "if".
func BaselineText(condition string) string {
	return fmt.Sprintf("baseline: the server's own num_batch, %d loads at the end, %s (-baseline=false: none)", 2*MostRounds, condition)
}

// mostBaselines is how many cells are measured in turns with the server's own num_batch: the first
// baseline can show that another cell is the one to recommend.
const mostBaselines = 2

// baselineTurns is a baseline: a cell and the server's own num_batch at its num_ctx, measured in turns.
type baselineTurns struct {
	cells  []cell.Key // the cell, and its num_ctx with num_batch 0
	rounds int        // samples that each of them needs
}

// turnsToTake returns the baseline to measure next. It depends on the checkpoint and the requested rounds
// alone, so that a run which was stopped in a baseline resumes it. It returns false where there is nothing
// to recommend, or the recommended cell has its baseline.
func turnsToTake(cp *checkpoint.Checkpoint, b config.Baseline) (baselineTurns, bool) {
	begun := baselined(cp)
	if t, ok := begunTurns(cp); ok {
		return t, true
	}
	a := adviceOf(cp)
	t := turnsOf(cp, a.Key)
	t.rounds = max(t.rounds, b.Rounds())
	switch {
	case a.Kind == NoAdvice:
		return baselineTurns{}, false
	case slices.Contains(begun, a.Key): // with fewer rounds, perhaps
		missing, failed := missingTurns(cp, checkpoint.Baseline, t.cells, t.rounds)
		return t, missing > 0 && !failed
	}
	return t, (a.Own != a.Batch || b.Requested()) && len(begun) < mostBaselines
}

// baselined returns the cells that were measured in turns with the server's own num_batch, the
// newest last.
func baselined(cp *checkpoint.Checkpoint) (cells []cell.Key) {
	for i := range cp.Auxiliary {
		r := &cp.Auxiliary[i]
		if c := r.Cell(); r.Purpose == checkpoint.Baseline && r.NumBatch > 0 && !slices.Contains(cells, c) {
			cells = append(cells, c)
		}
	}
	return cells
}

// begunTurns returns the baseline that a run was stopped in. Until it is complete, nothing else is
// decided by its samples.
func begunTurns(cp *checkpoint.Checkpoint) (baselineTurns, bool) {
	cells := baselined(cp)
	if len(cells) == 0 {
		return baselineTurns{}, false
	}
	t := turnsOf(cp, cells[len(cells)-1])
	missing, failed := missingTurns(cp, checkpoint.Baseline, t.cells, t.rounds)
	return t, missing > 0 && !failed
}

// turnsOf returns the baseline of a cell: six rounds, doubled until its samples fit in.
func turnsOf(cp *checkpoint.Checkpoint, c cell.Key) baselineTurns {
	rates, _ := auxiliaryRates(cp, checkpoint.Baseline, c)
	return baselineTurns{[]cell.Key{c, c.Column()}, config.Reaching(len(rates)).Rounds()}
}

// BaselineLoads returns how many loads a baseline still takes: none where there is nothing to
// recommend, or where the recommended num_batch is known to be the server's own.
func BaselineLoads(cp *checkpoint.Checkpoint, b config.Baseline) int {
	t, ok := turnsToTake(cp, b)
	if !ok {
		return 0
	}
	loads, _ := missingTurns(cp, checkpoint.Baseline, t.cells, t.rounds)
	return loads
}

// baselineReason returns why the sweep measures a baseline automatically, empty where it does not or
// where that is not known yet.
func (r *run) baselineReason() string {
	pace, known := PaceOf(r.Store.Checkpoint())
	if !known && !r.searches() {
		return ""
	}
	return BaselineReason(r.Baseline, r.searches(), pace, len(r.Plan), len(r.Plan)*r.Repeat)
}

// wantsBaseline reports whether to measure the server's own num_batch.
func (r *run) wantsBaseline() bool {
	if r.Baseline.Requested() {
		return true
	}
	return r.baselineReason() != "" && r.timeFor(BaselineLoads(r.Store.Checkpoint(), r.Baseline))
}

// baseline measures the server's own num_batch at the recommended num_ctx, in turns with the
// recommended cell. While the gain is not clear and there is time, it doubles the rounds.
func (r *run) baseline(ctx context.Context) error {
	cp := r.Store.Checkpoint()
	for r.wantsBaseline() {
		t, ok := turnsToTake(cp, r.Baseline)
		if !ok {
			t, ok = r.moreTurns()
		}
		if !ok {
			return nil
		}
		if err := r.turns(ctx, checkpoint.Baseline, t.cells, t.rounds); err != nil {
			return err
		}
	}
	return nil
}

// moreTurns returns the baseline of the recommended cell with twice as many rounds, and false where
// these are not needed or there is no time.
func (r *run) moreTurns() (baselineTurns, bool) {
	cp := r.Store.Checkpoint()
	a := adviceOf(cp)
	t := turnsOf(cp, a.Key)
	t.rounds *= 2
	missing, failed := missingTurns(cp, checkpoint.Baseline, t.cells, t.rounds)
	if !r.repeatsAutomatically() || a.Kind != Unsure || !a.Baseline || failed || r.spare(r.fewest()) < missing || !r.timeFor(missing) {
		return t, false
	}
	fmt.Fprintf(r.Log, "the advice is not clear yet: %d rounds of the baseline\n", t.rounds)
	return t, true
}
