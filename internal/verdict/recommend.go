package verdict

import (
	"math"
	"slices"
)

// outlying is the number of robust scales from which a lone sample is not
// believed.
const outlying = 3

// repeated is the number of samples from which a cell's median speaks for
// itself: the median of three withstands one outlier.
const repeated = 3

func (s *surface) lone(i int) bool { return len(s.cells[i].Rates) < repeated }

// above reports whether cell i stands above what its neighbours, or its row and
// its column, lead to expect. One of the two is enough: on the recorded sweep,
// drawn anew 1,000 times, to ask for both let 51 lucky samples be recommended,
// and so 2. A peak of a single cell is taken for luck with that; three samples
// of it settle the matter.
func (s *surface) above(i int) bool {
	return s.lone(i) && s.logs[i]-math.Min(s.local[i], s.additive[i]) > outlying*s.scale
}

// below reports whether cell i stands alone below all around it.
func (s *surface) below(i int) bool {
	return s.lone(i) && math.Min(s.local[i], s.additive[i])-s.logs[i] > outlying*s.scale
}

// level is the cell's speed as its surroundings have it, or as its own samples
// do where they are repeated.
func (s *surface) level(i int) float64 {
	if !s.lone(i) {
		return s.logs[i]
	}
	lo, hi := math.Min(s.local[i], s.additive[i]), math.Max(s.local[i], s.additive[i])
	return math.Max(lo, math.Min(s.logs[i], hi))
}

// margin is the distance that the levels of two equal cells keep within. A
// level is about the median of nine samples, and the noise of one is the
// robust scale.
func (s *surface) margin(comparisons int) float64 {
	return normalQuantile(comparisons) * s.scale * math.Sqrt(2*medianVariance(9))
}

// recommend picks from the candidates, indexes of cells, the one to prefer
// among those on the best plateau: cells that neither stand alone above their
// surroundings, where a lone sample was lucky, nor below, where the plateau
// isn't theirs. When all candidates do, it picks from all cells instead, and of
// a surface on which no cell is like those around it from the candidates as they
// are.
func (s *surface) recommend(candidates []int) Cell {
	for _, from := range [][]int{candidates, indexes(len(s.cells))} {
		if kept := s.settled(from); len(kept) > 0 {
			candidates = kept
			break
		}
	}
	best := math.Inf(-1)
	for _, i := range candidates {
		best = math.Max(best, s.level(i))
	}
	var plateau []Cell
	for _, i := range candidates {
		if best-s.level(i) <= s.margin(len(candidates)-1) {
			plateau = append(plateau, s.cells[i])
		}
	}
	return slices.MinFunc(plateau, byPreference)
}

func (s *surface) settled(candidates []int) []int {
	var kept []int
	for _, i := range candidates {
		if !s.above(i) && !s.below(i) {
			kept = append(kept, i)
		}
	}
	return kept
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
