package verdict

import (
	"math"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Point is one measurement of the reference cell: several samples at one time.
type Point struct {
	At    time.Duration // since the sweep's start
	Rates []float64     // tokens per second
}

// Drift is how the machine's speed changed while the sweep ran.
type Drift struct {
	// Change is the relative change over the measured span, from the first
	// point to the last: -0.04 is 4 % slower at the end. It comes from a
	// straight line through the logarithms of the points' medians; a line
	// through the medians themselves could start below 0.
	Change float64
	// Noise is the largest relative change that noise alone explains:
	//
	//	t · sqrt((w² + r²) / Σ(x-mean x)²)
	//
	// x is a point's time as a share of the span; r is the residual standard
	// deviation around the line (0 for two points); w is the standard
	// deviation of a point's median by the pooled scatter within points (0
	// for single samples); t is the 97.5 % quantile of Student's t with
	// Satterthwaite's degrees of freedom, about 2 for many samples. r includes
	// w already. Adding w keeps three points that happen to lie on a line from
	// looking certain; w alone would miss noise that differs from point to
	// point but not within one.
	Noise       float64
	Points      int // points with samples
	Significant bool
}

// DriftOf fits the drift of the points. It returns false with fewer than two
// points, when all points have the same time, or when the noise can't be
// estimated (two points of one sample each).
func DriftOf(points []Point) (Drift, bool) {
	points = withSamples(points)
	shares, ok := timeShares(points)
	if !ok {
		return Drift{}, false
	}
	logs := make([]float64, len(points))
	for i, p := range points {
		logs[i] = math.Log(Median(p.Rates))
	}
	start, slope := stat.LinearRegression(shares, logs, nil, false)

	around := residualScatter(shares, logs, start, slope)
	within := medianScatter(points)
	if around.df+within.df == 0 {
		return Drift{}, false
	}
	spread := stat.Variance(shares, nil) * float64(len(shares)-1)
	d := Drift{
		Change: math.Expm1(slope),
		Noise:  studentSum(around, within) / math.Sqrt(spread),
		Points: len(points),
	}
	const rounding = 1e-9 // equal rates have a slope of about 1e-17, and no noise
	d.Significant = math.Abs(d.Change) > d.Noise+rounding
	return d, true
}

func withSamples(points []Point) []Point {
	var kept []Point
	for _, p := range points {
		if rates := measured(p.Rates); len(rates) > 0 {
			kept = append(kept, Point{At: p.At, Rates: rates})
		}
	}
	return kept
}

// timeShares returns the points' times as shares of their span, from 0 to 1. It
// returns false where the span is empty.
func timeShares(points []Point) ([]float64, bool) {
	if len(points) < 2 {
		return nil, false
	}
	first, last := points[0].At, points[0].At
	for _, p := range points {
		first, last = min(first, p.At), max(last, p.At)
	}
	shares := make([]float64, len(points))
	for i, p := range points {
		shares[i] = (p.At - first).Seconds() / (last - first).Seconds()
	}
	return shares, last > first
}

func residualScatter(x, y []float64, start, slope float64) scatter {
	var squares float64
	for i := range x {
		r := y[i] - start - slope*x[i]
		squares += r * r
	}
	return scatterOf(squares, len(x)-2)
}

// medianScatter estimates the scatter of a point's median from the scatter of
// the samples within points and the harmonic mean of their numbers.
func medianScatter(points []Point) scatter {
	var groups [][]float64
	var inverse float64
	for _, p := range points {
		groups = append(groups, p.Rates)
		inverse += medianVariance(len(p.Rates))
	}
	s := pooledScatter(groups)
	s.sd *= math.Sqrt(inverse / float64(len(points)))
	return s
}

// medianVariance is the variance of the median of n normally distributed samples
// of variance 1. For one and two samples the median is the mean.
func medianVariance(n int) float64 {
	if n < 3 {
		return 1 / float64(n)
	}
	return math.Pi / 2 / float64(n)
}

// studentSum is the 97.5 % quantile of Student's t for the sum of two
// variances, times the root of that sum.
func studentSum(a, b scatter) float64 {
	va, vb := a.sd*a.sd, b.sd*b.sd
	if va+vb == 0 {
		return 0
	}
	shareA, shareB := va/(va+vb), vb/(va+vb)
	df := 1 / (shareA*shareA/float64(max(a.df, 1)) + shareB*shareB/float64(max(b.df, 1)))
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(1 - alpha/2)
	return t * math.Sqrt(va+vb)
}
