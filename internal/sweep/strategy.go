package sweep

import (
	"fmt"
	"math"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Strategy decides which cells of a plan are measured, in which order and how
// often. Its choice depends on the state alone, so that a sweep that was stopped
// resumes as if it had not been.
type Strategy interface {
	Next(State) Choice
}

// State is what a strategy decides by.
type State struct {
	// Plan holds the cells that may be measured, in the plan's order.
	Plan []cell.Key
	// Measured holds the cells that have samples, failed or must not be measured. Some may
	// be outside of the plan: of a larger grid, or another shard.
	Measured map[cell.Key]checkpoint.Measured
	// Loaded is the cell that is loaded, so that one more sample of it costs no
	// load; the zero value where there is none.
	Loaded cell.Key
	// Probes means that a loaded cell can be probed.
	Probes bool
	// PromptTokens is the length of a prompt, by which the cost of a probe is known.
	PromptTokens int
}

// Choice is what a strategy wants to measure next. Without cells it wants nothing
// more.
type Choice struct {
	Cells   []cell.Key // to measure
	Samples int        // that each cell needs in all, with those that it already has
	// Probes are the sizes of passes, in tokens, to take a reading of in the loaded cell: at most its
	// num_batch. They are taken where it needs no more samples.
	Probes []int
	Left   int // loads to the end, including these; 0 where that is not known
	// Ahead is the same for a strategy that does not know how many loads it needs: nine
	// of ten sweeps are within the range. The zero value leaves it as it was.
	Ahead Range
	// Early reports that Ahead is that of an average surface, since too little is known of
	// this one.
	Early  bool
	Reload bool   // load each cell, also where it is loaded
	Why    string // the reason, as a text
	// Answer is the result so far, nil for a strategy that is not a search.
	Answer *checkpoint.Answer
}

// Range is a number of loads that is not known exactly.
type Range struct{ Least, Most int }

// String returns the range as "3 to 12", or as "3" where both are the same.
func (r Range) String() string {
	if r.Least == r.Most {
		return strconv.Itoa(r.Least)
	}
	return fmt.Sprintf("%d to %d", r.Least, r.Most)
}

// noisyFrom is the noise above which searches take more loads than they predict, roughly in
// proportion to the noise. It was found by simulation.
const noisyFrom = 0.12

// Widened returns the range for samples with so much noise, a relative standard deviation. Its upper
// end is at most open, the number of unmeasured cells.
func (r Range) Widened(noise float64, open int) Range {
	most := int(math.Ceil(float64(r.Most) * max(1, noise/noisyFrom)))
	return Range{r.Least, max(r.Most, min(most, open))}
}

// less returns the range after one load.
func (r Range) less() Range { return Range{max(0, r.Least-1), max(0, r.Most-1)} }

// Exhaustive measures every cell in the plan's order.
type Exhaustive struct {
	Repeat int  // samples of each
	Rounds bool // one sample of every cell, then the next of every cell
}

// Next implements [Strategy].
func (e Exhaustive) Next(s State) Choice {
	choice := Choice{Samples: e.Repeat + 1, Reload: e.Rounds, Why: "every cell of the plan is measured"}
	for _, c := range s.Plan {
		known := s.Measured[c]
		if !known.Open(e.Repeat) {
			continue
		}
		want, loads := e.Repeat, 1
		if e.Rounds {
			want, loads = len(known.Rates)+1, e.Repeat-len(known.Rates)
		}
		choice.Left += loads
		if want < choice.Samples { // an earlier round than that of the cells so far
			choice.Samples, choice.Cells = want, nil
		}
		if want == choice.Samples {
			choice.Cells, choice.Why = append(choice.Cells, c), "every cell of the plan"
		}
	}
	return choice
}
