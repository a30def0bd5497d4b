package search

import (
	"fmt"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Frontier finds the fastest num_batch for every num_ctx. It measures the cell
// from which the picks of all num_ctx together are expected to gain most: what
// is measured at one num_ctx tells of all others. Use one for one sweep at a
// time.
type Frontier struct {
	// Tolerance is the relative difference in rate that is not worth another
	// cell: 0.01 is 1 %. It must be positive.
	Tolerance float64
	// Repeat is how many samples a cell is to get that has none; 0 is 1. Cells of
	// which something is known already are not loaded again for it.
	Repeat int
	searcher
}

// frontierDesign is the first cells: the range of num_batch at the smallest
// num_ctx, and places along num_ctx.
var frontierDesign = []place{{0, 1}, {0, 0.47}, {0, 0.2}, {0, 0.07}, {0.5, 0.47}, {1, 0.2}, {1, 1}, {0.5, 1}, {0.75, 0.33}, {0.25, 0.73}}

// What is worth it, as gains in log rate of the mean pick, found by simulation.
const (
	columnWorth = 0.015           // a cell, in parts of the tolerance
	columnAgain = columnWorth / 4 // another prompt of the loaded cell, likewise
	againShare  = 1.0 / 4         // another prompt, in parts of what the best cell would gain
)

// Next implements [sweep.Strategy].
func (f *Frontier) Next(st sweep.State) sweep.Choice {
	v := f.look(st)
	if v.m == nil {
		if i, ok := v.first(frontierDesign); ok {
			return v.load(i, max(f.Repeat, 1), firstLook, v.fewest(), v.frontierAhead(math.Inf(1)))
		}
		return done(noneLeft, v.fewest())
	}
	c := newColumns(v)
	answer := c.answer(f.Tolerance)
	if i, ok := v.suspect(); ok {
		return v.choose(i, len(v.of[i].logs)+1, onceMore, answer)
	}
	if i, ok := v.first(frontierDesign); ok {
		return v.load(i, max(f.Repeat, 1), firstLook, answer, v.frontierAhead(math.Inf(1)))
	}
	next, loaded, gain, again := -1, -1, 0.0, 0.0
	for i, g := range c.gains() {
		g /= float64(len(c.picks))
		if v.again(i) {
			loaded, again = i, g
		} else if v.asked(i) && g > gain {
			next, gain = i, g
		}
	}
	switch {
	case again > f.Tolerance*columnAgain && again > gain*againShare:
		return v.choose(loaded, len(v.of[loaded].logs)+1, onceMore, answer)
	case next < 0:
		return done(noneLeft, answer)
	case gain >= f.Tolerance*columnWorth:
		why := fmt.Sprintf("tells most of the fastest num_batch: %.2g %% to be gained per num_ctx on average", 100*gain)
		return v.load(next, max(f.Repeat, 1), why, answer, v.frontierAhead(gain/(f.Tolerance*columnWorth)))
	}
	return done(fmt.Sprintf("measuring another cell would gain %.2g %% per num_ctx on average", 100*gain), answer)
}
