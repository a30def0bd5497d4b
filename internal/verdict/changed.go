package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// changeOf detects a change of the machine: it compares the later samples of the cells
// that were measured again with the rates that the model expects from the first samples of
// all cells. The first figures themselves would not do, since the highest of many are
// partly luck. changeOf returns nil where the difference is within noise, or not common to
// these cells, which means that single samples went wrong.
func changeOf(cells []Cell, reference []float64) *Gain {
	first := make([]Cell, 0, len(cells))
	var again []Cell
	for _, c := range cells {
		if len(c.Rates) == 0 {
			continue
		}
		if len(c.Later) > 0 {
			again = append(again, c)
		}
		c.Later = nil
		first = append(first, c)
	}
	const fewest = 2
	if len(again) < fewest {
		return nil
	}
	m := newModel(first, reference)
	if repeats, df := repeatNoise(cells, reference); df >= minRepeatDF {
		m.noise.load = repeats.load
	}
	var differences, sds []float64
	var precision, shared float64
	for _, c := range again {
		i := Verdict{model: m}.index(c)
		variance := m.variance(i) + m.noise.ofFigure(Cell{Later: c.Later})
		differences = append(differences, math.Log(Median(c.Later))-m.level[i])
		sds = append(sds, math.Sqrt(variance))
		precision += 1 / variance
		shared = math.Max(shared, m.fit.covariance(i, i))
	}
	middle := Median(differences)
	n := float64(len(differences))
	variance := medianVariance(len(differences))*n/precision + shared
	half := distuv.StudentsT{Sigma: 1, Nu: m.df}.Quantile(1-alpha/2) * math.Sqrt(variance)
	if math.Abs(middle) <= half || !isCommon(differences, sds, middle) {
		return nil
	}
	return &Gain{Ratio: math.Expm1(middle), Low: math.Expm1(middle - half), High: math.Expm1(middle + half), Bounded: true}
}

// isCommon reports whether at least two thirds of the differences have the sign of the
// middle one and are larger than their standard deviation.
func isCommon(differences, sds []float64, middle float64) bool {
	same := 0
	for i, d := range differences {
		if d*math.Copysign(1, middle) > sds[i] {
			same++
		}
	}
	return 3*same >= 2*len(differences)
}

// correct divides the later samples by the change of the machine, so that they are
// comparable with the first ones.
func correct(changed *Gain, cells []Cell) []Cell {
	if changed == nil {
		return cells
	}
	corrected := make([]Cell, len(cells))
	for i, c := range cells {
		again := make([]float64, len(c.Later))
		for k, rate := range c.Later {
			again[k] = rate / (1 + changed.Ratio)
		}
		c.Later = again
		corrected[i] = c
	}
	return corrected
}
