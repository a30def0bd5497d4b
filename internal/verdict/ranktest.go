package verdict

import (
	"cmp"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Differ reports for each rival whether it was told apart from the leader, by a
// two-sided Mann–Whitney test with Holm's correction at 5 %: the chance that
// any rival of the leader's own speed is reported is at most 5 %. For the few
// cells of a runoff Holm has power from 5 samples a side. A rival without
// samples is never told apart.
func Differ(leader []float64, rivals [][]float64) []bool {
	leader = measured(leader)
	ps := make([]float64, len(rivals))
	for i, r := range rivals {
		ps[i] = rankTest(leader, measured(r))
	}
	return holm(ps)
}

// rankTest is the p of the two-sided Mann–Whitney test: exact for small
// samples, and 1 where there is nothing to compare. It sorts its arguments.
func rankTest(a, b []float64) float64 {
	t := &benchmath.DefaultThresholds
	c := benchmath.AssumeNothing.Compare(benchmath.NewSample(a, t), benchmath.NewSample(b, t))
	return min(c.P, 1)
}

// holm is Holm's step-down procedure: the i-th smallest of m p-values has to
// keep below alpha/(m-i), and the first that does not ends the search.
func holm(ps []float64) []bool {
	rejected := make([]bool, len(ps))
	for i, at := range ascending(ps) {
		if ps[at] > alpha/float64(len(ps)-i) {
			break
		}
		rejected[at] = true
	}
	return rejected
}

// benjaminiHochberg rejects the largest k for which the k-th smallest of m
// p-values is at most alpha·k/m. It keeps the share of wrong rejections among
// all rejections at 5 %. Bonferroni and Holm promise more, not one wrong
// rejection, and for a grid that is more than samples can pay for: with 6 a
// side the smallest possible p is 2/924 = 0.002, so that beyond 23 comparisons
// nothing could ever be told apart.
func benjaminiHochberg(ps []float64) []bool {
	order := ascending(ps)
	k := len(order)
	for k > 0 && ps[order[k-1]] > alpha*float64(k)/float64(len(ps)) {
		k--
	}
	rejected := make([]bool, len(ps))
	for _, at := range order[:k] {
		rejected[at] = true
	}
	return rejected
}

// ascending lists the indexes of ps from the smallest p up.
func ascending(ps []float64) []int {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(ps[i], ps[j]) })
	return order
}
