package report

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// state is the state of a combination of a num_ctx and a num_batch of the axes.
type state int

const (
	notPlanned state = iota // both values are on an axis, but the combination is not in the plan
	leftOut                 // num_batch is above num_ctx
	missing                 // planned, and not measured yet or not by the search
	pruned                  // planned, and skipped because it needs at least the memory of a cell that ran out of memory
	failed
	measured
)

// grid is a checkpoint by its axes, with the result of every cell.
type grid struct {
	ctx, batch []int           // ascending
	settings   []cell.Settings // the combinations of the other axes; the empty one where there are none
	view       cell.Projection
	planned    map[cell.Key]bool
	pruned     map[cell.Key]cell.Key // each with the cell that ran out of memory
	results    map[cell.Key]*checkpoint.Result
	again      map[cell.Key][]float64 // rates of the auxiliary measurements of cells
	gpu        bool                   // the sweep used GPUs, so a model outside of GPU memory has spilled
	cp         *checkpoint.Checkpoint
	verdict    func() (sweep.Verdict, bool) // of the checkpoint, computed once
	disturbed  func() disturbances          // computed once
	advice     func() *advice               // computed once; nil while no cell has a rate
	// faster reports whether the first of two measured cells is shown in the place of both.
	faster func(a, b *checkpoint.Result) bool
}

func newGrid(cp *checkpoint.Checkpoint) *grid {
	plan := cp.Plan()
	g := &grid{
		planned: make(map[cell.Key]bool, len(plan)),
		results: cp.ByCell(),
	}
	g.again, _ = sweep.AuxiliaryRates(cp)
	g.cp = cp
	g.verdict = sync.OnceValues(func() (sweep.Verdict, bool) { return sweep.VerdictOf(cp) })
	g.disturbed = sync.OnceValue(g.disturbances)
	g.advice = sync.OnceValue(func() *advice { return g.advise(g.stats().Verdict) })
	g.pruned = cp.Pruned()
	g.gpu = len(cp.Sweep.GPUs()) > 0
	g.ctx, g.batch = cp.Axes()
	g.settings = cell.Combinations(cp.Sweep.Axes)
	g.view, _ = cp.Grid().Project("", "")
	g.faster = fasterCell
	for _, c := range plan {
		g.planned[c] = true
	}
	for i := range cp.Results {
		g.gpu = g.gpu || cp.Results[i].SizeVRAM > 0
	}
	g.includeAgain()
	return g
}

// includeAgain sets the rate of each cell with auxiliary measurements to that of all of its
// samples.
func (g *grid) includeAgain() {
	if len(g.again) == 0 {
		return
	}
	v, ok := g.verdict()
	if !ok {
		return
	}
	for c := range g.again {
		if rate, ok := v.Figure(verdict.Cell{Key: c}); ok && g.results[c] != nil {
			r := *g.results[c]
			r.PromptEvalRate = &rate
			g.results[c] = &r
		}
	}
}

// at returns the state of c, with its result where it is failed or measured. A
// result counts also where num_batch is above num_ctx: older tools measured such cells.
func (g *grid) at(c cell.Key) (state, *checkpoint.Result) {
	r := g.results[c]
	switch {
	case r != nil && r.Failed():
		return failed, r
	case r != nil && r.PromptEvalRate != nil:
		return measured, r
	case g.planned[c] && g.pruned[c] != cell.Key{}:
		return pruned, nil
	case g.planned[c]:
		return missing, nil
	case !c.Valid():
		return leftOut, nil
	}
	return notPlanned, nil
}

// missingText explains why the missing cells were not measured.
func (g *grid) missingText() string {
	switch s := g.cp.Sweep.Search; {
	case s == nil:
		return "not measured yet"
	case s.Done:
		return "not needed by the search"
	}
	return "not measured by the search yet"
}

// The explanations of combinations that are no cells.
const (
	leftOutText    = "left out: num_batch above num_ctx"
	notPlannedText = "not planned"
)

// prunedText explains why the pruned cells were not measured.
const prunedText = "pruned: needs at least the memory of a cell that ran out of memory"

// pickText explains the mark of the cells that a search estimates to be the fastest of
// their num_ctx.
const pickText = "estimated fastest of its num_ctx"

// spilledText explains the mark of a spilled cell.
const spilledText = "a part of the model was not in GPU memory"

// spilled reports whether a part of the cell's model was not in GPU memory.
func (g *grid) spilled(r *checkpoint.Result) bool { return check.Spilled(r.Size, r.SizeVRAM, g.gpu) }

// hasSpilled reports whether any measured cell has spilled.
func (g *grid) hasSpilled() bool {
	for _, r := range g.results {
		if !r.Failed() && g.spilled(r) {
			return true
		}
	}
	return false
}

// cells returns all combinations of the axes, in order of num_ctx, num_batch and the other settings.
func (g *grid) cells() iter.Seq[cell.Key] {
	return func(yield func(cell.Key) bool) {
		for _, ctx := range g.ctx {
			for _, batch := range g.batch {
				for _, s := range g.settings {
					if !yield(cell.Key{Ctx: ctx, Batch: batch, Settings: s}) {
						return
					}
				}
			}
		}
	}
}

// has reports whether any combination of the axes is in one of the states.
func (g *grid) has(states ...state) bool {
	for c := range g.cells() {
		if at, _ := g.at(c); slices.Contains(states, at) {
			return true
		}
	}
	return false
}

// OneLine makes text from a file safe to print within a line: it replaces control
// characters, line ends among them, by spaces.
func OneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}
