package search

import (
	"fmt"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Best finds the fastest cell. It measures the cell with the highest expected
// improvement over the best so far, times the probability that it works at all,
// and takes further prompts of a leader or a suspected outlier while it is
// loaded. Use one for one sweep at a time.
type Best struct {
	// Tolerance is the relative difference in rate that is not worth another
	// cell: 0.01 is 1 %. It must be positive.
	Tolerance float64
	// Repeat is how many samples a cell is to get that has none; 0 is 1. Cells of
	// which something is known already are not loaded again for it.
	Repeat int
	searcher
}

// bestDesign is the first cells: five num_batch at the smallest num_ctx, then one
// each along num_ctx.
var bestDesign = []place{{0, 1}, {0, 0.47}, {0, 0.2}, {0, 0.07}, {0, 0.33}, {0.5, 0.6}, {1, 0.2}}

// What is worth it, as gains in log rate in parts of the tolerance, found by
// simulation.
const (
	cellWorth   = 1.0 / 5  // a cell
	sampleWorth = 1.0 / 12 // another prompt of the loaded cell
	// worthMore is the number of cells from which on a cell has to be worth more in
	// proportion to their number: so many chances are mostly chance.
	worthMore = 15
	// leastChance is that of any cell to be faster by more than the tolerance below
	// which one has to promise three times as much.
	leastChance = 0.1
)

// Next implements [sweep.Strategy].
func (b *Best) Next(st sweep.State) sweep.Choice {
	v := b.look(st)
	if v.m == nil {
		if i, ok := v.first(bestDesign); ok {
			return v.load(i, max(b.Repeat, 1), firstLook, v.fewest(), v.bestAhead(math.Inf(1)))
		}
		return done(noneLeft, v.fewest())
	}
	hopes := b.hopes(v)
	answer := b.answer(v, hopes)
	if i, ok := v.suspect(); ok {
		return v.choose(i, len(v.of[i].logs)+1, onceMore, answer)
	}
	if i, ok := v.first(bestDesign); ok {
		return v.load(i, max(b.Repeat, 1), firstLook, answer, v.bestAhead(math.Inf(1)))
	}
	next, gain := -1, 0.0
	for j, i := range v.alive {
		h := hopes[j]
		if v.again(i) && h.gain > b.Tolerance*sampleWorth {
			return v.choose(i, len(v.of[i].logs)+1, onceMore, answer)
		}
		if g := h.gain * v.feas.works(i); v.asked(i) && g > gain {
			next, gain = i, g
		}
	}
	least := b.Tolerance * cellWorth * max(1, float64(len(v.obs))/worthMore)
	switch {
	case next < 0:
		return done(noneLeft, answer)
	case gain >= 3*least || gain >= least && answer.Chance >= leastChance:
		why := fmt.Sprintf("may be faster than the best: %.1f %% to be gained on average", 100*gain)
		return v.load(next, max(b.Repeat, 1), why, answer, v.bestAhead(gain/least))
	}
	return done(fmt.Sprintf("measuring another cell would gain %.2g %% on average", 100*gain), answer)
}

// hope is what measuring a cell may bring.
type hope struct {
	mean, square float64 // of the log rate, and of its square
	gain         float64 // expected, in log rate of the best cell
	chance       float64 // of being faster than the best by more than the tolerance
}

// hopes returns those of the alive cells.
func (b *Best) hopes(v *view) []hope {
	hopes := make([]hope, len(v.alive))
	for _, p := range v.m.posts {
		bs := v.m.beliefs(p, v.alive)
		first, second := -1, -1 // of those measured
		for j, i := range v.alive {
			hopes[j].mean += p.weight * bs.mean[j]
			hopes[j].square += p.weight * (bs.mean[j]*bs.mean[j] + bs.variance[j])
			if v.of[i] == nil {
				continue
			}
			switch {
			case first < 0 || bs.mean[j] > bs.mean[first]:
				first, second = j, first
			case second < 0 || bs.mean[j] > bs.mean[second]:
				second = j
			}
		}
		noise := p.k.noise * p.k.noise
		for j, i := range v.alive {
			ahead, sd := bs.mean[j]-bs.mean[first], math.Sqrt(bs.variance[j])
			hopes[j].chance += p.weight * normalCDF((ahead-math.Log1p(b.Tolerance))/sd)
			if v.of[i] != nil { // one more sample does not tell all
				sd = bs.variance[j] / math.Sqrt(bs.variance[j]+noise)
			}
			if j == first {
				ahead = bs.mean[second] - bs.mean[first]
			}
			hopes[j].gain += p.weight * expectedGain(ahead, sd)
		}
	}
	return hopes
}

// expectedGain is how much above zero a normal variable is on average.
func expectedGain(mean, sd float64) float64 {
	z := mean / sd
	return sd * (normalPDF(z) + z*normalCDF(z))
}

// answer is the measured cell with the highest belief.
func (b *Best) answer(v *view, hopes []hope) *checkpoint.Answer {
	a := new(checkpoint.Answer)
	best := -1
	for j, i := range v.alive {
		if v.of[i] == nil {
			a.Chance = max(a.Chance, hopes[j].chance*v.feas.works(i))
		} else if best < 0 || hopes[j].mean > hopes[best].mean {
			best = j
		}
	}
	a.Best = v.cells[v.alive[best]]
	a.Rate, a.Low, a.High = interval(hopes[best].mean, hopes[best].square)
	return a
}

// interval turns the mean of a log rate and of its square into a rate and its
// 95 % interval.
func interval(mean, square float64) (rate, low, high float64) {
	sd := math.Sqrt(max(square-mean*mean, 0))
	return math.Exp(mean), math.Exp(mean - 1.96*sd), math.Exp(mean + 1.96*sd)
}
