package verdict

import "math"

// MeanGain returns how much faster the first cells of pairs are than the second ones in the geometric mean,
// with its 95 % interval, estimated from the samples of all cells. It returns false where no pair has two
// measured cells; pairs without them don't count.
func (v Verdict) MeanGain(pairs [][2]Cell) (Gain, bool) {
	var counted int
	balance := make(map[int]float64) // how often each cell counts as faster, less how often as slower
	for _, p := range pairs {
		i, j := v.index(p[0]), v.index(p[1])
		if i < 0 || j < 0 {
			continue
		}
		counted++
		balance[i]++
		balance[j]--
	}
	if counted == 0 {
		return Gain{}, false
	}
	return v.model.meanGain(balance, counted), true
}

func (m *model) meanGain(balance map[int]float64, counted int) Gain {
	var mean, own float64
	ofFit := make([]float64, len(m.cells)) // the weight of each cell's expected value in the mean
	for i := range m.cells {               // not in the order of the map, which would change the last digits
		if balance[i] == 0 {
			continue
		}
		weight := balance[i] / float64(counted)
		mean += weight * m.level[i]
		var share float64 // of the cell's deviation that is a difference of its own
		for _, e := range m.explained[i] {
			share += e.probability * e.own
		}
		ofFit[i] = weight * (1 - share)
		// The rest of the variance of the level is not common to cells.
		own += weight * weight * math.Max(0, m.variance(i)-(1-share)*(1-share)*m.fit.covariance(i, i))
	}
	ends := m.interval(mean, m.fit.variance(ofFit)+own)
	return Gain{Ratio: math.Expm1(mean), Low: math.Expm1(ends[0]), High: math.Expm1(ends[1]), Bounded: true}
}
