package search

import (
	"fmt"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Frontier finds the fastest num_batch for every num_ctx. It measures the cell
// from which the picks of all num_ctx together are expected to gain most: a
// measurement at one num_ctx also improves the predictions for others. A Frontier
// must not be used for two sweeps at the same time.
type Frontier struct {
	// Tolerance is the relative difference in rate that is not worth another
	// cell: 0.01 is 1 %. It must be positive.
	Tolerance float64
	// Repeat is the number of samples of a cell that has none yet; 0 is 1. Cells
	// with fewer samples are not loaded again for it.
	Repeat int
	searcher
}

// frontierDesign is the initial design: the range of num_batch at the smallest
// num_ctx, then cells at larger num_ctx.
var frontierDesign = []position{{0, 1}, {0, 0.47}, {0, 0.2}, {0, 0.07}, {0.5, 0.47}, {1, 0.2}, {1, 1}, {0.5, 1}, {0.75, 0.33}, {0.25, 0.73}}

// frontierProbed is the initial design where loads can be probed: they show the smaller num_batch.
var frontierProbed = []position{{0, 1}, {1, 1}, {0.5, 1}}

// Thresholds on the expected gain in log rate, averaged over the picks, found by
// simulation.
const (
	columnWorth   = 0.02    // for another cell, relative to the tolerance
	columnAgain   = 0.00375 // for another prompt of the loaded cell, relative to the tolerance
	againShare    = 1.0 / 4 // for another prompt, relative to the gain of the best cell
	probedWorth   = 0.06    // for another cell where loads can be probed, relative to the tolerance
	settingsWorth = 0.15    // for another cell of a search over other settings, of which many are alike
	columnProbe   = 0.008   // for a probe, relative to the tolerance and to its cost
	// probedFrom is the number of measured cells from which probedWorth and settingsWorth grow in proportion to it.
	probedFrom = 16
)

// Next implements [sweep.Strategy].
func (f *Frontier) Next(st sweep.State) sweep.Choice {
	f.stairs = true
	v := f.update(st)
	if points := v.firstProbes(); len(points) > 0 {
		return v.probe(points, v.earlyAnswer())
	}
	design, least := frontierDesign, f.Tolerance*columnWorth
	if st.Probes {
		design, least = frontierProbed, f.Tolerance*probedWorth*max(1, float64(len(v.obs))/probedFrom)
	}
	if v.hasSettings() {
		least = f.Tolerance * settingsWorth * max(1, float64(len(v.obs))/probedFrom)
	}
	if v.m == nil {
		if i, ok := v.nextOfDesign(design); ok {
			return v.load(i, max(f.Repeat, 1), initialDesign, v.earlyAnswer(), v.frontierAhead(math.Inf(1)))
		}
		return done(noneLeft, v.earlyAnswer())
	}
	c := newColumns(v, v.eachCtx)
	answer := c.answer(f.Tolerance)
	if i, ok := v.suspectedOutlier(); ok {
		return v.choose(i, len(v.byCell[i].logs)+1, anotherPrompt, answer)
	}
	if points := v.unseenProbes(); len(points) > 0 {
		return v.probe(points, answer)
	}
	if points := v.worthProbing(v.probeable(), c, f.Tolerance*columnProbe*float64(len(c.picks))); len(points) > 0 {
		return v.probe(points, answer)
	}
	if i, ok := v.nextOfDesign(design); ok {
		return v.load(i, max(f.Repeat, 1), initialDesign, answer, v.frontierAhead(math.Inf(1)))
	}
	loads, loaded, again := candidates{next: -1}, -1, 0.0
	for i, g := range c.gains() {
		g /= float64(len(c.picks))
		if v.canRepeat(i) {
			loaded, again = i, g
		} else if v.unmeasured(i) {
			loads.offer(v, i, g)
		}
	}
	switch {
	case again > f.Tolerance*columnAgain && again > loads.most*againShare:
		return v.choose(loaded, len(v.byCell[loaded].logs)+1, anotherPrompt, answer)
	case loads.most >= least:
		why := fmt.Sprintf("most informative cell: expected gain %.2g %% per num_ctx", 100*loads.gain)
		return v.load(loads.next, max(f.Repeat, 1), why, answer, v.frontierAhead(loads.most/least))
	}
	if i, ok := c.doubtedPick(); ok {
		return v.load(i, len(v.byCell[i].logs)+1, doubtedRate, answer, v.frontierAhead(0))
	}
	if i, why, ok := v.nextForInteractions(v.index[answer.Best], c.mean); ok {
		return v.load(i, max(f.Repeat, 1), why, answer, v.frontierAhead(0))
	}
	if i, ok := c.unmeasuredBest(); ok {
		return v.load(i, max(f.Repeat, 1), "measuring the fastest of all recommended cells", answer, sweep.Range{Least: 1, Most: 2})
	}
	if loads.next < 0 {
		return done(noneLeft, answer)
	}
	return done(fmt.Sprintf("measuring another cell would gain %.2g %% per num_ctx on average", 100*loads.most), answer)
}
