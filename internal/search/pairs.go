package search

import (
	"iter"
	"slices"
)

// An interaction that no reading has shown is not expected by the model, which has a normal distribution for all of
// them: that two values are much faster together, or that one changes the best num_batch. So a search over other
// settings sees each pair of their values, and each value at each num_batch, at least once. Many pairs share a
// cell, as in a covering array, and a probe is enough for a num_batch.

// mostForPairs is the number of measured cells from which on a search measures no further cells for pairs.
const mostForPairs = 50

// nextOfPairs returns the unmeasured cell that has the most pairs of values which no measured cell has, times the
// probability that it works, at the num_ctx and num_batch of the recommended cell.
func (v *view) nextOfPairs(recommended int, prospects []prospect) (next int, ok bool) {
	if len(v.obs)+len(v.failed) >= mostForPairs {
		return 0, false
	}
	seen := make(map[[2]int]bool)
	for _, o := range v.obs {
		for pair := range v.pairs(o.cell) {
			seen[pair] = true
		}
	}
	next = -1
	var most, mean float64
	for j, i := range v.usable {
		if i >= v.planned || !v.unmeasured(i) || v.ctx[i] != v.ctx[recommended] || v.batch[i] != v.batch[recommended] || v.feas.works(i) < leastTried {
			continue
		}
		var unseen float64
		for pair := range v.pairs(i) {
			if !seen[pair] {
				unseen += v.feas.works(i)
			}
		}
		if unseen > most || unseen > 0 && unseen == most && prospects[j].mean > mean {
			next, most, mean = i, unseen, prospects[j].mean
		}
	}
	return next, next >= 0
}

// unseenProbes returns those probes of the loaded cell that are of a num_batch at which one of its values has no
// reading yet.
func (v *view) unseenProbes() (points []point) {
	seen := make(map[[2]int]bool) // value and num_batch
	for _, o := range slices.Concat(v.obs, v.probes) {
		for _, value := range v.others.values[v.other[o.cell]] {
			seen[[2]int{value, o.pass}] = true
		}
	}
	for _, p := range v.probeable() {
		unseen := func(value int) bool { return !seen[[2]int{value, p.pass}] }
		if slices.ContainsFunc(v.others.values[v.other[p.cell]], unseen) {
			points = append(points, p)
		}
	}
	return points
}

// pairs returns the pairs of values of a cell, as indices in the list of all values.
func (s *space) pairs(i int) iter.Seq[[2]int] {
	return func(yield func([2]int) bool) {
		values := s.others.values[s.other[i]]
		for n, v := range values {
			for _, w := range values[:n] {
				if !yield([2]int{w, v}) {
					return
				}
			}
		}
	}
}
