package verdict

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Interval summarizes one cell's samples. Median, Low and High are in tokens
// per second.
type Interval struct {
	Median float64
	// Low and High bound the 95 % interval of the median, from order
	// statistics. With fewer than 6 samples there is none: Bounded is false,
	// and they are the smallest and the largest sample.
	Low, High float64
	Spread    float64 // (largest - smallest) / median: 0.02 is 2 %
	N         int     // samples
	Bounded   bool
}

// IntervalOf summarizes rates, in tokens per second. It returns false when there
// is no sample.
func IntervalOf(rates []float64) (Interval, bool) {
	rates = measured(rates)
	if len(rates) == 0 {
		return Interval{}, false
	}
	sample := benchmath.NewSample(rates, &benchmath.DefaultThresholds)
	sum := benchmath.AssumeNothing.Summary(sample, 1-alpha)
	least, most := slices.Min(rates), slices.Max(rates)
	in := Interval{Median: Median(rates), Low: least, High: most, N: len(rates)}
	in.Spread = (most - least) / in.Median
	if !math.IsInf(sum.Lo, 0) && !math.IsInf(sum.Hi, 0) {
		in.Low, in.High, in.Bounded = sum.Lo, sum.Hi, true
	}
	return in, true
}
