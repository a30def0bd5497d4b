package verdict

import (
	"math"
)

// Three things can be behind a cell that is not what its row and column let expect: the
// usual scatter, a sample that went wrong, or a cell that is really different. How far
// a cell is believed follows from how likely each is.
//
// The figures are what was seen on real servers: 5 % of samples are slow because
// something else used the machine, by any amount; in a recorded sweep of single
// samples 15 % were too fast, by 1 to 4 %. Rates of single cells that stand out by
// themselves (a tile size that fits, a spill) differ by more.
const (
	outlierShare = 0.05 // of the samples, above as well as below
	spikeShare   = 0.02 // of the cells
	slowOutlier  = 0.15 // standard deviation of log rates of samples that went wrong
	fastOutlier  = 0.02
	spikeSD      = 0.15 // standard deviation of the log rate of cells that are really different
)

// shares are how many of the cells with single samples have which explanation.
type shares struct{ fast, slow, spike float64 }

// pseudoCells is how many cells the shares above count for when those of a grid are
// learned.
const pseudoCells = 20

// learn returns the shares that were found among so many cells.
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

// ofMedian returns the share of medians of n samples that are off when so many
// samples are: for three samples two must be.
func ofMedian(share float64, n int) float64 {
	switch {
	case n < 3:
		return share
	case n < 5:
		return 3 * outlierShare * outlierShare
	}
	return 10 * outlierShare * outlierShare * outlierShare
}

// explanation is one of the three, of one cell.
type explanation struct {
	probability float64
	// own is the share of the cell's deviation that is the cell's own, and variance
	// what is then left unknown of it.
	own, variance float64
	// precision is 1 / variance of the cell's figure around its expected value.
	precision float64
}

const (
	scatters = iota // the index of each explanation
	wentWrong
	isDifferent
)

// explain weighs the explanations of a deviation of a cell's figure from what is expected,
// where cells differ from that by the variance shape and the figure from the cell
// by the variance noise. n is how many samples are behind the figure.
func (s shares) explain(deviation, shape, noise float64, n int) [3]explanation {
	e, density := s.weigh(deviation, shape, noise, n)
	for i := range e {
		if density > 0 {
			e[i].probability /= density
		} else { // further out than a float64 can say
			e[i].probability = [3]float64{wentWrong: 0.5, isDifferent: 0.5}[i]
		}
	}
	return e
}

// weigh returns the explanations with the probability density of the deviation under each,
// and their sum.
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

// normalDensity is that of a normal distribution around 0.
func normalDensity(x, variance float64) float64 {
	return math.Exp(-x*x/(2*variance)) / math.Sqrt(2*math.Pi*variance)
}
