package verdict

import (
	"math"
	"slices"
	"sort"

	"github.com/aclements/go-moremath/stats"
)

// Gain is how much faster one cell is than another, in relative terms: 0.05 is
// 5 % faster, -0.05 is 5 % slower.
type Gain struct {
	Ratio float64
	// Low and High bound the 95 % interval. With too few samples for one,
	// fewer than 4 a side, Bounded is false and they are the smallest and
	// the largest gain between any two samples.
	Low, High float64
	Bounded   bool
}

// Widened returns the gain with an interval that allows for a relative drift of the
// machine's speed.
func (g Gain) Widened(drift float64) Gain {
	by := math.Log1p(drift)
	g.Low, g.High = math.Expm1(math.Log1p(g.Low)-by), math.Expm1(math.Log1p(g.High)+by)
	return g
}

// GainOver returns how much faster a is than b, both in tokens per second, by the
// Hodges–Lehmann estimate on logarithms: the median of all pairwise ratios. Its
// interval is the one of the Mann–Whitney test: it excludes 0 when the test
// finds a difference at 5 %. It returns false when either side is empty.
func GainOver(a, b []float64) (Gain, bool) {
	a, b = measured(a), measured(b)
	if len(a) == 0 || len(b) == 0 {
		return Gain{}, false
	}
	diffs := logDifferences(a, b)
	cut := lowestRank(len(a), len(b))
	at := max(cut, 1) - 1
	return Gain{
		Ratio:   math.Expm1(Median(diffs)),
		Low:     math.Expm1(diffs[at]),
		High:    math.Expm1(diffs[len(diffs)-1-at]),
		Bounded: cut > 0,
	}, true
}

// logDifferences returns log x - log y of all pairs of x in a and y in b, ascending.
func logDifferences(a, b []float64) []float64 {
	diffs := make([]float64, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			diffs = append(diffs, math.Log(x)-math.Log(y))
		}
	}
	slices.Sort(diffs)
	return diffs
}

// lowestRank is the largest c with P(U < c) ≤ 2.5 % for samples of one speed,
// U being the Mann–Whitney statistic: the interval runs from the c-th smallest
// difference to the c-th largest (Hollander and Wolfe, Nonparametric
// Statistical Methods, 4.3). It is 0 when there are too few samples for an interval.
func lowestRank(n1, n2 int) int {
	pairs := n1 * n2
	if max(n1, n2) > stats.MannWhitneyExactLimit {
		// The exact distribution takes n1²·n2² steps.
		sd := math.Sqrt(float64(pairs) * float64(n1+n2+1) / 12)
		return max(int(float64(pairs)/2-normalQuantile()*sd), 0)
	}
	u := stats.UDist{N1: n1, N2: n2}
	return sort.Search(pairs/2, func(c int) bool { return u.CDF(float64(c)) > alpha/2 })
}
