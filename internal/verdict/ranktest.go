package verdict

import (
	"cmp"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Differ reports for each rival whether its rates differ from the leader's, by a
// two-sided Mann–Whitney test with Holm's correction at 5 %: the probability that
// any rival as fast as the leader is reported is at most 5 %. For the few cells of
// a confirmation Holm has power from 5 samples a side. A rival without samples is
// never reported.
func Differ(leader []float64, rivals [][]float64) []bool {
	leader = measured(leader)
	ps := make([]float64, len(rivals))
	for i, r := range rivals {
		ps[i] = rankTest(leader, measured(r))
	}
	return holm(ps)
}

// rankTest returns the p-value of the two-sided Mann–Whitney test: exact for small
// samples, and 1 where there is nothing to compare. It sorts its arguments.
func rankTest(a, b []float64) float64 {
	t := &benchmath.DefaultThresholds
	c := benchmath.AssumeNothing.Compare(benchmath.NewSample(a, t), benchmath.NewSample(b, t))
	return min(c.P, 1)
}

// holm is Holm's step-down procedure: it rejects the i-th smallest of m p-values,
// counted from 0, while it is at most alpha/(m-i), and stops at the first that is not.
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
// p-values is at most alpha·k/m. It limits the share of wrong rejections among
// all rejections to 5 %. Bonferroni and Holm limit the probability of any wrong
// rejection, for which a grid has too few samples: with 6 a side the smallest
// possible p-value is 2/924 = 0.002, so that beyond 23 comparisons no difference
// could ever be found.
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

// ascending returns the indexes of ps, ordered by p-value.
func ascending(ps []float64) []int {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(ps[i], ps[j]) })
	return order
}
