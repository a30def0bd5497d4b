package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// alpha is the share of wrong rejections that every test here allows.
const alpha = 0.05

// scatter is what is known of the noise of one sample. Without degrees of
// freedom nothing is known.
type scatter struct {
	sd float64 // relative standard deviation: 0.01 is 1 %
	df int     // degrees of freedom that sd was estimated from
}

// pooledScatter pools the relative variances within the groups, each weighted
// by its degrees of freedom: Σ((x-mean)/mean)² / Σ(n-1).
func pooledScatter(groups [][]float64) scatter {
	var squares float64
	var df int
	for _, g := range groups {
		if len(g) < 2 {
			continue
		}
		mean := stat.Mean(g, nil)
		for _, x := range g {
			squares += (x/mean - 1) * (x/mean - 1)
		}
		df += len(g) - 1
	}
	return scatterOf(squares, df)
}

func scatterOf(squares float64, df int) scatter {
	if df < 1 {
		return scatter{}
	}
	return scatter{sd: math.Sqrt(squares / float64(df)), df: df}
}

// upper is the upper end of sd's one-sided 80 % interval (chi-square). A
// scatter that rests on three samples may well be a third of the true one, and
// would then tell equal cells apart. Student's t would be the exact remedy for
// one comparison, but far out in its tails, where many comparisons look, it
// calls all cells equal.
func (s scatter) upper() float64 {
	if s.df < 1 {
		return 0
	}
	df := float64(s.df)
	return s.sd * math.Sqrt(df/distuv.ChiSquared{K: df}.Quantile(0.2))
}

// margin is the relative distance that single samples of one and the same speed
// keep within, but for a factor: with n1 and n2 samples it is margin·√(1/n1+1/n2). It
// has Bonferroni's correction for the number of comparisons.
func (s scatter) margin(comparisons int) float64 {
	return normalQuantile(comparisons) * s.upper()
}

// normalQuantile is how many standard deviations a difference must exceed to
// be one of the 5 % that chance leaves to all comparisons together.
func normalQuantile(comparisons int) float64 {
	return distuv.UnitNormal.Quantile(1 - alpha/2/float64(max(comparisons, 1)))
}
