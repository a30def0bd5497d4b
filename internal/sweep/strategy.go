package sweep

import (
	"fmt"
	"math"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Strategy decides which cells of a plan are measured, in which order and how
// often. What it says follows from the state alone, so that a sweep that ended
// goes on as if it had not.
type Strategy interface {
	Next(State) Choice
}

// State is what a strategy is told.
type State struct {
	// Plan is the cells that may be measured, in the plan's order.
	Plan []cell.Key
	// Known holds the cells that have samples or are not to be measured. Some may
	// be outside of the plan: of a larger grid, or another shard.
	Known map[cell.Key]checkpoint.Known
	// Loaded is the cell whose load is in force, so that one more sample of it
	// costs no load; the zero value where there is none.
	Loaded cell.Key
}

// Choice is what a strategy wants next, or, without cells, that it wants nothing
// more.
type Choice struct {
	Cells   []cell.Key
	Samples int // that each is to have in the end, those that it has among them
	Left    int // loads still to come, these among them; 0 where that is not known
	// Ahead is the same for a strategy that learns how many it needs: between these they
	// are in nine of ten sweeps. The zero value says nothing new.
	Ahead Range
	// Early says that Ahead is that of any surface: too little is known of this one.
	Early  bool
	Reload bool   // take them after a load of their own, also where the cell is loaded
	Why    string // in words
	// Answer is what was found so far, nil for a strategy that looks for nothing.
	Answer *checkpoint.Answer
}

// Range is a number of loads that is not known exactly.
type Range struct{ Least, Most int }

// String writes it as "3 to 12", or "3" where both are the same.
func (r Range) String() string {
	if r.Least == r.Most {
		return strconv.Itoa(r.Least)
	}
	return fmt.Sprintf("%d to %d", r.Least, r.Most)
}

// noisyFrom is the noise above which searches take more loads than they say, roughly in
// proportion to it, as plays on drawn surfaces do.
const noisyFrom = 0.12

// Widened returns the range for samples with so much noise, as a relative standard deviation, where
// open cells are left to load.
func (r Range) Widened(noise float64, open int) Range {
	most := int(math.Ceil(float64(r.Most) * max(1, noise/noisyFrom)))
	return Range{r.Least, max(r.Most, min(most, open))}
}

// less is the range after one load of it.
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
		known := s.Known[c]
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
