package verdict

import "math"

// lineFit fits a grid of one row or one column: the expected value of each cell is the
// mean of its two neighbours, whose variance is half of a cell's own. At the ends it is
// the value of the only neighbour.
func lineFit(y []float64, noise float64) fit {
	n := len(y)
	f := fit{mean: make([]float64, n), covariance: func(i, j int) float64 {
		if i == j {
			return noise / 2
		}
		return 0
	}, variance: func(weights []float64) float64 {
		var sum float64
		for _, weight := range weights {
			sum += weight * weight * noise / 2
		}
		return sum
	}}
	for i := range y {
		before, after := max(i-1, 0), min(i+1, n-1)
		switch {
		case n == 1:
			f.mean[i] = y[i]
		case i == 0:
			f.mean[i] = y[after]
		case i == n-1:
			f.mean[i] = y[before]
		default:
			f.mean[i] = (y[before] + y[after]) / 2
		}
	}
	return f
}

// lineNoise estimates the variance of the noise of single samples from second
// differences (Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986), which have one
// and a half times the variance of the noise, and to which a smooth curve adds little.
// The degrees of freedom are 0 for too few cells.
func lineNoise(y []float64) scatter {
	const fewest = 5
	if len(y) < fewest {
		return scatter{}
	}
	var seconds []float64
	for i := 1; i < len(y)-1; i++ {
		seconds = append(seconds, y[i]-(y[i-1]+y[i+1])/2)
	}
	return scatter{sd: robustSD(seconds) / math.Sqrt(1.5), df: len(seconds) / 2} // each sample is in three differences
}
