package verdict

import (
	"math"
)

// There are three explanations for a cell that deviates from the value expected from its
// row and column: the usual scatter, a sample that went wrong, or a cell that is really
// different. Their probabilities decide how much weight the cell's samples have.
//
// The constants come from real servers: 5 % of samples are slow, by any amount, because
// something else used the machine; in a recorded sweep of single samples 15 % were too
// fast, by 1 to 4 %. Single cells that are really different (a tile size that fits, a
// spill) deviate by more.
const (
	outlierShare = 0.05 // of the samples, above as well as below
	spikeShare   = 0.02 // of the cells
	slowOutlier  = 0.15 // standard deviation of log rates of samples that went wrong
	fastOutlier  = 0.02
	spikeSD      = 0.15 // standard deviation of the log rate of cells that are really different
)

// shares are the shares of the cells with single samples whose sample is too fast or too
// slow, or that are really different.
type shares struct{ fast, slow, spike float64 }

// pseudoCells is the weight, in cells, of the shares above as a prior for those of a grid.
const pseudoCells = 20

// learn returns the shares estimated from the numbers that were found among cells.
func (s shares) learn(cells float64) shares {
	share := func(prior, found, most float64) float64 {
		return min((pseudoCells*prior+found)/(pseudoCells+cells), most)
	}
	return shares{
		fast:  share(outlierShare, 2*s.fast, 0.4), // half of the cells lie above
		slow:  share(outlierShare, 2*s.slow, 0.4),
		spike: share(spikeShare, s.spike, 0.2),
	}
}

// ofMedian returns the share of medians of n samples that are wrong, given the share of
// single samples that are: of three samples two must be.
func ofMedian(share float64, n int) float64 {
	switch {
	case n < 3:
		return share
	case n < 5:
		return 3 * outlierShare * outlierShare
	}
	return 10 * outlierShare * outlierShare * outlierShare
}

// explanation is one of the three explanations, for one cell.
type explanation struct {
	probability float64
	// own is the share of the deviation that is a real difference of the cell, and
	// variance the remaining variance of that difference.
	own, variance float64
	// precision is 1 / variance of the cell's figure around its expected value.
	precision float64
}

const (
	scatters = iota // the index of each explanation
	wentWrong
	isDifferent
)

// explain returns the explanations, with their probabilities, for a cell whose figure
// deviates from its expected value. shape is the variance of cells around their expected
// values, noise the variance of the figure around the cell's rate, and n the number of the
// cell's samples.
func (s shares) explain(deviation, shape, noise float64, n int) [3]explanation {
	e, density := s.weigh(deviation, shape, noise, n)
	for i := range e {
		if density > 0 {
			e[i].probability /= density
		} else { // so far out that the densities underflow
			e[i].probability = [3]float64{wentWrong: 0.5, isDifferent: 0.5}[i]
		}
	}
	return e
}

// weigh is explain with unnormalized probabilities: the probability density of the
// deviation under each explanation. It also returns their sum.
func (s shares) weigh(deviation, shape, noise float64, n int) ([3]explanation, float64) {
	share, off := s.fast, math.Max(fastOutlier, math.Sqrt(noise))
	if deviation < 0 {
		share, off = s.slow, math.Max(slowOutlier, 4*math.Sqrt(noise))
	}
	share = ofMedian(share, n)
	explain := func(probability, shape, noise float64) explanation {
		total := shape + noise
		return explanation{probability * normalDensity(deviation, total), shape / total, shape * noise / total, 1 / total}
	}
	e := [3]explanation{
		scatters:    explain(1-share-s.spike, shape, noise),
		wentWrong:   explain(share, shape, noise+off*off),
		isDifferent: explain(s.spike, shape+spikeSD*spikeSD, noise),
	}
	return e, e[0].probability + e[1].probability + e[2].probability
}

// normalDensity is the density of a normal distribution around 0.
func normalDensity(x, variance float64) float64 {
	return math.Exp(-x*x/(2*variance)) / math.Sqrt(2*math.Pi*variance)
}
