package verdict

import (
	"cmp"
	"math"
	"slices"
)

// noise is the variance of log rates that each sample and each load of the model add.
type noise struct {
	sample float64
	load   float64 // in addition to sample; 0 where unknown
}

// ofLoad is the variance of the mean of n samples of one load.
func (v noise) ofLoad(n int) float64 { return v.load + v.sample/float64(n) }

// ofFigure is the variance of the cell's figure around its rate.
func (v noise) ofFigure(c Cell) float64 {
	var precision float64
	if len(c.Rates) > 0 {
		precision += 1 / v.ofLoad(len(c.Rates))
	}
	precision += float64(len(c.Later)) / v.ofLoad(1)
	return float64(c.samples()) * medianVariance(c.samples()) / precision
}

// figure is the weighted median of the logs of all samples of the cell. The samples of one
// load together have the weight of their mean (1 / variance); where loads add no noise,
// all samples have the same weight.
func (v noise) figure(c Cell) float64 {
	if len(c.Later) == 0 {
		return math.Log(Median(c.Rates))
	}
	type weighted struct{ log, weight float64 }
	var samples []weighted
	for _, rate := range c.Rates {
		samples = append(samples, weighted{math.Log(rate), 1 / v.ofLoad(len(c.Rates)) / float64(len(c.Rates))})
	}
	for _, rate := range c.Later {
		samples = append(samples, weighted{math.Log(rate), 1 / v.ofLoad(1)})
	}
	slices.SortFunc(samples, func(a, b weighted) int { return cmp.Compare(a.log, b.log) })
	var total, below float64
	for _, s := range samples {
		total += s.weight
	}
	for i, s := range samples {
		below += s.weight
		const rounding = 1e-9
		switch {
		case below > total*(0.5+rounding):
			return s.log
		case below > total*(0.5-rounding): // the middle lies between two
			return (s.log + samples[i+1].log) / 2
		}
	}
	return samples[len(samples)-1].log
}

// repeatNoise estimates the noise from the repeated samples of cells and of the
// reference. It also returns the degrees of freedom.
func repeatNoise(cells []Cell, reference []float64) (noise, int) {
	var within, loads [][]float64
	for _, c := range cells {
		within = append(within, c.Rates)
		loads = append(loads, c.Later)
	}
	within = append(within, reference)
	ofSample, ofLoad := robustScatter(within), robustScatter(loads)
	switch {
	case ofSample.df < minRepeatDF: // the noise of loads is then part of sample
		both := robustScatter(append(within, loads...))
		return noise{sample: withPrior(both)}, both.df
	case ofLoad.df < minRepeatDF:
		return noise{sample: withPrior(ofSample)}, ofSample.df
	}
	v := noise{sample: withPrior(ofSample)}
	v.load = math.Max(0, withPrior(ofLoad)-v.sample)
	return v, ofSample.df
}

// robustScatter estimates the standard deviation of log rates within groups from the
// pairwise differences of each group, without outliers.
func robustScatter(groups [][]float64) scatter {
	var differences []float64
	var df int
	for _, rates := range groups {
		for i, x := range rates {
			for _, y := range rates[:i] {
				differences = append(differences, math.Log(x)-math.Log(y))
			}
		}
		df += max(0, len(rates)-1)
	}
	if df == 0 {
		return scatter{}
	}
	sd := robustSD(differences)
	// A normal distribution truncated at ±2.5 standard deviations has 0.9546 of the
	// standard deviation of the whole one.
	const cut, left = 2.5, 0.9546
	for range 5 {
		var squares, n float64
		for _, d := range differences {
			if math.Abs(d) <= cut*sd {
				squares += d * d
				n++
			}
		}
		if n == 0 {
			break
		}
		sd = math.Sqrt(squares/n) / left
	}
	return scatter{sd: sd / math.Sqrt2, df: df}
}
