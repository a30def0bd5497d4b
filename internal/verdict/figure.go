package verdict

import (
	"cmp"
	"math"
	"slices"
)

// noise is what one sample and one load add to a cell's rate, as variances of
// log rates.
type noise struct {
	sample float64
	load   float64 // beside that; 0 where it is not known
}

// ofLoad is the variance of the mean of n samples of one load.
func (v noise) ofLoad(n int) float64 { return v.load + v.sample/float64(n) }

// ofFigure is the variance of the cell's figure around its rate.
func (v noise) ofFigure(c Cell) float64 {
	var precision float64
	if len(c.Rates) > 0 {
		precision += 1 / v.ofLoad(len(c.Rates))
	}
	precision += float64(len(c.Again)) / v.ofLoad(1)
	return float64(c.samples()) * medianVariance(c.samples()) / precision
}

// figure is the cell's log rate by all of its samples: their weighted median. A load's
// samples together weigh as much as their mean is worth (1 / variance), and as
// much each where loads add no noise of their own.
func (v noise) figure(c Cell) float64 {
	if len(c.Again) == 0 {
		return math.Log(Median(c.Rates))
	}
	type weighted struct{ log, weight float64 }
	var samples []weighted
	for _, rate := range c.Rates {
		samples = append(samples, weighted{math.Log(rate), 1 / v.ofLoad(len(c.Rates)) / float64(len(c.Rates))})
	}
	for _, rate := range c.Again {
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

// repeatNoise estimates the noise from cells that have repeated samples, and from the
// reference's, with the degrees of freedom.
func repeatNoise(cells []Cell, reference []float64) (noise, int) {
	var within, loads [][]float64
	for _, c := range cells {
		within = append(within, c.Rates)
		loads = append(loads, c.Again)
	}
	within = append(within, reference)
	ofSample, ofLoad := robustScatter(within), robustScatter(loads)
	switch {
	case ofSample.df < leastRepeats: // then a sample's noise has the load's in it
		both := robustScatter(append(within, loads...))
		return noise{sample: withPrior(both)}, both.df
	case ofLoad.df < leastRepeats:
		return noise{sample: withPrior(ofSample)}, ofSample.df
	}
	v := noise{sample: withPrior(ofSample)}
	v.load = math.Max(0, withPrior(ofLoad)-v.sample)
	return v, ofSample.df
}

// robustScatter is the standard deviation of log rates within groups, from the
// differences of all pairs in a group without those that are too far out to be noise.
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
	// The standard deviation of a normal distribution that is cut at 2.5 standard
	// deviations is 0.9546 of the whole one's.
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
