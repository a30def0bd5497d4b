package search

import (
	"fmt"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Best finds the fastest cell. It measures the cell with the highest expected
// improvement over the best so far, times the probability that the cell works at
// all, and measures further prompts of a leading cell or a suspected outlier while
// it is loaded. A Best must not be used for two sweeps at the same time.
type Best struct {
	// Tolerance is the relative difference in rate that is not worth another
	// cell: 0.01 is 1 %. It must be positive.
	Tolerance float64
	// Repeat is the number of samples of a cell that has none yet; 0 is 1. Cells
	// with fewer samples are not loaded again for it.
	Repeat int
	searcher
}

// bestDesign is the initial design: five num_batch at the smallest num_ctx, then two
// cells at larger num_ctx.
var bestDesign = []position{{0, 1}, {0, 0.47}, {0, 0.2}, {0, 0.07}, {0, 0.33}, {0.5, 0.6}, {1, 0.2}}

// bestThresholds decide when Best ends. Gains are in log rate, relative to the tolerance.
type bestThresholds struct {
	cell   float64 // least expected gain for another cell
	sample float64 // for another prompt of the loaded cell
	// from is the number of measured cells from which the threshold for another grows
	// in proportion to it: with many candidates, a high expected gain is more often due
	// to noise.
	from float64
	// chance is the probability that any cell is faster by more than the tolerance;
	// below it the threshold is three times as high.
	chance float64
}

// The thresholds were found by simulation. With probes the highest expected gains are soon
// measured, so that a gain of the same size is more often due to noise.
var (
	bestMeasured = bestThresholds{cell: 1.0 / 5, sample: 1.0 / 12, from: 15, chance: 0.1}
	bestProbed   = bestThresholds{cell: 0.9, sample: 0.5, from: 8, chance: 0.15}
	bestSettings = bestThresholds{cell: 0.3, sample: 0.3, from: 25, chance: 0.05}
)

// bestThresholds returns those for what the model knows.
func (v *view) bestThresholds() bestThresholds {
	switch {
	case v.hasSettings():
		return bestSettings
	case v.st.Probes:
		return bestProbed.towards(bestMeasured, v.m.probesScatter())
	}
	return bestMeasured
}

// towards returns thresholds between these (share 0) and others (share 1).
func (t bestThresholds) towards(u bestThresholds, share float64) bestThresholds {
	return bestThresholds{
		between(t.cell, u.cell, share), between(t.sample, u.sample, share), between(t.from, u.from, share), between(t.chance, u.chance, share),
	}
}

// bestProbe is the least expected gain of a probe, relative to the tolerance and to its cost.
const bestProbe = 0.2

// Next implements [sweep.Strategy].
func (b *Best) Next(st sweep.State) sweep.Choice {
	v := b.update(st)
	if points := v.firstProbes(); len(points) > 0 {
		return v.probe(points, v.earlyAnswer())
	}
	design := bestDesign
	if st.Probes {
		design = probedDesign
	}
	if v.m == nil {
		if i, ok := v.nextOfDesign(design); ok {
			return v.load(i, max(b.Repeat, 1), initialDesign, v.earlyAnswer(), v.bestAhead(math.Inf(1)))
		}
		return done(noneLeft, v.earlyAnswer())
	}
	least := v.bestThresholds()
	prospects := b.prospects(v)
	answer := b.answer(v, prospects)
	if i, ok := v.suspectedOutlier(); ok {
		return v.choose(i, len(v.byCell[i].logs)+1, anotherPrompt, answer)
	}
	if points := v.unseenProbes(); len(points) > 0 {
		return v.probe(points, answer)
	}
	if points := v.probeable(); len(points) > 0 {
		if worth := v.worthProbing(points, newColumns(v, v.wholeGrid), b.Tolerance*bestProbe); len(worth) > 0 {
			return v.probe(worth, answer)
		}
	}
	i, ok := v.nextOfDesign(design)
	if !ok && st.Probes {
		i, ok = v.nextOfSpread(prospects)
	}
	if ok {
		return v.load(i, max(b.Repeat, 1), initialDesign, answer, v.bestAhead(math.Inf(1)))
	}
	loads := candidates{next: -1}
	for j, i := range v.usable {
		h := prospects[j]
		if v.canRepeat(i) && h.gain > b.Tolerance*least.sample {
			return v.choose(i, len(v.byCell[i].logs)+1, anotherPrompt, answer)
		}
		if v.unmeasured(i) {
			loads.offer(v, i, h.gain*v.feas.works(i))
		}
	}
	worth := b.Tolerance * least.cell * max(1, float64(len(v.obs))/least.from)
	if loads.next >= 0 && (loads.most >= 3*worth || loads.most >= worth && answer.Chance >= least.chance) {
		why := fmt.Sprintf("may be faster than the best: expected gain %.1f %%", 100*loads.gain)
		return v.load(loads.next, max(b.Repeat, 1), why, answer, v.bestAhead(loads.most/worth))
	}
	if i := v.index[answer.Best]; v.doubted(i) {
		return v.load(i, len(v.byCell[i].logs)+1, doubtedRate, answer, v.bestAhead(0))
	}
	if i, why, ok := v.nextForInteractions(v.index[answer.Best], v.means(prospects)); ok {
		return v.load(i, max(b.Repeat, 1), why, answer, v.bestAhead(0))
	}
	if loads.next < 0 {
		return done(noneLeft, answer)
	}
	return done(fmt.Sprintf("measuring another cell would gain %.2g %% on average", 100*loads.most), answer)
}

// prospect is the predicted rate of a cell, and the expected benefit of measuring it.
type prospect struct {
	mean, square float64 // expected log rate, and expected square of it
	gain         float64 // expected improvement of the best log rate
	chance       float64 // probability of being faster than the best by more than the tolerance
}

// means returns the expected log rates of the usable cells, by cell.
func (v *view) means(prospects []prospect) []float64 {
	mean := make([]float64, len(v.cells))
	for j, i := range v.usable {
		mean[i] = prospects[j].mean
	}
	return mean
}

// prospects returns the prospects of the usable cells.
func (b *Best) prospects(v *view) []prospect {
	prospects := make([]prospect, len(v.usable))
	for _, p := range v.m.posts {
		bs := v.m.beliefs(p, v.sampledAll(v.usable))
		first, second := -1, -1 // the fastest measured cells
		for j, i := range v.usable {
			prospects[j].mean += p.weight * bs.mean[j]
			prospects[j].square += p.weight * (bs.mean[j]*bs.mean[j] + bs.variance[j])
			if v.byCell[i] == nil {
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
		for j, i := range v.usable {
			ahead, sd := bs.mean[j]-bs.mean[first], math.Sqrt(bs.variance[j])
			prospects[j].chance += p.weight * normalCDF((ahead-math.Log1p(b.Tolerance))/sd)
			if v.byCell[i] != nil { // another sample reduces the uncertainty, but not to zero
				sd = bs.variance[j] / math.Sqrt(bs.variance[j]+noise)
			}
			if j == first && second < 0 {
				continue // nothing can take its place
			}
			if j == first {
				ahead = bs.mean[second] - bs.mean[first]
			}
			prospects[j].gain += p.weight * expectedGain(ahead, sd)
		}
	}
	return prospects
}

// expectedGain is the expectation of the positive part of a normal variable.
func expectedGain(mean, sd float64) float64 {
	z := mean / sd
	return sd * (normalPDF(z) + z*normalCDF(z))
}

// answer recommends the measured cell with the highest expected rate.
func (b *Best) answer(v *view, prospects []prospect) *checkpoint.Answer {
	a := new(checkpoint.Answer)
	best := -1
	for j, i := range v.usable {
		if v.byCell[i] == nil {
			a.Chance = max(a.Chance, prospects[j].chance*v.feas.works(i))
		} else if best < 0 || prospects[j].mean > prospects[best].mean {
			best = j
		}
	}
	a.Best = v.cells[v.usable[best]]
	a.Rate, a.Low, a.High = interval(prospects[best].mean, prospects[best].square)
	a.Others = v.otherValues(v.usable[best])
	return a
}

// interval turns the mean of a log rate and of its square into a rate and its
// 95 % interval.
func interval(mean, square float64) (rate, low, high float64) {
	sd := math.Sqrt(max(square-mean*mean, 0))
	return math.Exp(mean), math.Exp(mean - 1.96*sd), math.Exp(mean + 1.96*sd)
}
