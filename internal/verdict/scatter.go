package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// alpha is the significance level of all tests and intervals.
const alpha = 0.05

// scatter is an estimate of the noise of one sample. With df = 0 the noise is
// unknown.
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

// normalQuantile is the 97.5 % quantile of the standard normal distribution, which
// a difference exceeds in either direction in 5 % of cases.
func normalQuantile() float64 { return distuv.UnitNormal.Quantile(1 - alpha/2) }
