package search

import (
	"iter"
	"slices"
)

// An interaction that no reading has shown is not expected by the model, which has a normal distribution for all of
// them: that two values are much faster together, or that one changes the best num_batch. So a search over other
// settings sees each pair of their values, and each value at each num_batch, at least once. Many pairs share a
// cell, as in a covering array, and a probe is enough for a num_batch. Where loads can't be probed, each value is
// seen at a small, a middle and a large num_batch instead.

const (
	// mostForPairs is the number of measured cells from which a search measures no more of them to see two values
	// together.
	mostForPairs = 50
	// passWorth is the weight of a value at a num_batch without a reading. Two values that no cell has together have
	// the weight 1, and so has a value in a band of num_batch without a sample.
	passWorth = 0.3
)

// nextForInteractions returns the cell that a search over other settings measures before it ends, and why: one that
// shows interactions which the model does not expect. It has the num_ctx of the recommended cell. mean has the expected log rates of the cells.
func (v *view) nextForInteractions(recommended int, mean []float64) (next int, why string, ok bool) {
	if i, ok := v.nextOfPairs(recommended, mean); ok {
		return i, "two values of settings that no cell has together yet", true
	}
	i, ok := v.otherValue(recommended, mean)
	return i, "another value of one setting, with all else as recommended", ok
}

// nextOfPairs returns the unmeasured cell that has the most pairs of values which no measured cell has, times the
// probability that it works, at the num_ctx of the recommended cell. Where loads can be probed, its num_batch is
// the recommended one or a larger one: its probes show the recommended one, and a value whose best num_batch is larger.
func (v *view) nextOfPairs(recommended int, mean []float64) (next int, ok bool) {
	if len(v.obs)+len(v.failed) >= mostForPairs {
		return 0, false
	}
	seen, bands, unread := v.seenPairs(), v.seenBands(), v.unreadPasses()
	next = -1
	var most float64
	for _, i := range v.usable {
		if i >= v.planned || !v.unmeasured(i) || v.ctx[i] != v.ctx[recommended] || v.st.Probes && v.batch[i] < v.batch[recommended] {
			continue
		}
		works := v.feas.works(i)
		if works < leastTried {
			continue
		}
		var unseen float64
		for pair := range v.pairs(i) {
			if !seen[pair] {
				unseen++
			}
		}
		for _, value := range v.others.values[v.other[i]] {
			switch {
			case v.st.Probes:
				unseen += passWorth * float64(unread[value][v.batch[i]])
			case !bands[[2]int{value, v.band(v.batch[i])}]:
				unseen++
			}
		}
		unseen *= works
		if unseen > most || unseen > 0 && unseen == most && mean[i] > mean[next] {
			next, most = i, unseen
		}
	}
	return next, next >= 0
}

// pairsLeft returns how many pairs of values of the same two settings, those of which most are left, no cell has shown
// yet: a cell shows one of them. Without probes the bands of num_batch count as the values of a setting. No more cells
// are measured for pairs than mostForPairs allows.
func (v *view) pairsLeft() (most int) {
	known := v.seenPairs()
	for _, i := range v.failed {
		for pair := range v.pairs(i) {
			known[pair] = true
		}
	}
	bands := v.seenBands()
	left := make(map[[2]int]int) // by the places of the two settings, -1 for num_batch
	for _, values := range v.others.values {
		for n, w := range values {
			for pass := range v.batchs {
				if shown := [2]int{w, v.band(pass)}; !v.st.Probes && !bands[shown] {
					bands[shown] = true
					left[[2]int{-1, n}]++
				}
			}
			for m, u := range values[:n] {
				if pair := [2]int{u, w}; !known[pair] {
					known[pair] = true
					left[[2]int{m, n}]++
				}
			}
		}
	}
	for _, n := range left {
		most = max(most, n)
	}
	return max(0, min(most, mostForPairs-len(v.obs)-len(v.failed)))
}

// unseenProbes returns those probes of the loaded cell that are of a num_batch at which one of its values has no
// reading yet.
func (v *view) unseenProbes() (points []point) {
	seen := v.seenPasses()
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

// seenPairs returns the pairs of values that measured cells have.
func (v *view) seenPairs() map[[2]int]bool {
	seen := make(map[[2]int]bool)
	for _, o := range v.obs {
		for pair := range v.pairs(o.cell) {
			seen[pair] = true
		}
	}
	return seen
}

// seenPasses returns which values have a reading at which num_batch.
func (v *view) seenPasses() map[[2]int]bool {
	seen := make(map[[2]int]bool)
	for _, o := range slices.Concat(v.obs, v.probes) {
		for _, value := range v.others.values[v.other[o.cell]] {
			seen[[2]int{value, o.pass}] = true
		}
	}
	return seen
}

// unreadPasses returns, for each value, how many of the num_batch up to each have no reading with it yet.
func (v *view) unreadPasses() [][]int {
	seen, unread := v.seenPasses(), make([][]int, v.others.count)
	for value := range unread {
		n := 0
		for pass := range v.batchs {
			if !seen[[2]int{value, pass}] {
				n++
			}
			unread[value] = append(unread[value], n)
		}
	}
	return unread
}

// seenBands returns which values have a sample in which band.
func (v *view) seenBands() map[[2]int]bool {
	seen := make(map[[2]int]bool)
	for _, o := range v.obs {
		for _, value := range v.others.values[v.other[o.cell]] {
			seen[[2]int{value, v.band(o.pass)}] = true
		}
	}
	return seen
}

// band returns in which of three bands a num_batch lies: the smallest quarter of them, the largest one, or between.
func (s *space) band(pass int) int {
	switch quarter := max(1, len(s.batchs)/4); {
	case pass < quarter:
		return 0
	case pass >= len(s.batchs)-quarter:
		return 2
	}
	return 1
}
