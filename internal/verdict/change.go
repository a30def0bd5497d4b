package verdict

import (
	"math"

	"github.com/aclements/go-moremath/stats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Comparison is the rates of one cell in two sweeps, in tokens per second.
type Comparison struct {
	Old, New []float64
	// Disturbed is the largest relative change of the rates of either side that a
	// disturbance, and not the sweeps' difference, may have caused.
	Disturbed float64
}

// Change is how a cell's rate changed from one sweep to another.
type Change struct {
	// Ratio is the relative change of the median: 0.05 is 5 % faster, -0.05 is 5 % slower.
	Ratio float64
	// Low, High and Bounded describe the 95 % interval, as in [Gain].
	Low, High float64
	Bounded   bool
	// Significant says that the rates differ, by a two-sided Mann–Whitney test, and
	// Slower that the new ones are lower by more than the limit, by a one-sided one.
	// Both are corrected for the number of cells (Benjamini–Hochberg at 5 %).
	Significant, Slower bool
}

// Changes compares the cells of two sweeps; each pair must have a rate on both sides. limit
// is the relative loss that is accepted: 0.05 is 5 %. drift is the relative change of the
// machine's own speed during the sweeps. Intervals and tests allow for the drift and for the
// disturbance of each pair.
func Changes(pairs []Comparison, limit, drift float64) []Change {
	changes := make([]Change, len(pairs))
	differ, slower := make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		before, after := measured(p.Old), measured(p.New)
		gain, _ := GainOver(after, before)
		allowed := (1+drift)*(1+p.Disturbed) - 1
		gain = gain.Widened(allowed)
		ratio := Median(after) / Median(before)
		changes[i] = Change{Ratio: ratio - 1, Low: gain.Low, High: gain.High, Bounded: gain.Bounded}
		shifted := max(1/(1+allowed), min(ratio, 1+allowed))
		differ[i] = rankTest(scaled(before, shifted), after)
		slower[i] = lessTest(after, before, (1-limit)*shifted)
	}
	for i, yes := range benjaminiHochberg(differ) {
		changes[i].Significant = yes
	}
	for i, yes := range benjaminiHochberg(slower) {
		changes[i].Slower = yes
	}
	return changes
}

// lessTest returns the p-value of the one-sided Mann–Whitney test for a being less
// than times·b, and 1 where there is nothing to compare.
func lessTest(a, b []float64, times float64) float64 {
	u, err := stats.MannWhitneyUTest(a, scaled(b, times), stats.LocationLess)
	if err != nil {
		return 1 // all rates are equal, or a side has none
	}
	return u.P
}

func scaled(rates []float64, times float64) []float64 {
	all := make([]float64, len(rates))
	for i, x := range rates {
		all[i] = times * x
	}
	return all
}

// batches is the number of batches of [MeanChange].
const batches = 6

// MeanChange returns the geometric mean of the ratios of changes, which must be in the
// order of measurement, with a 95 % interval of Student's t over their logarithms. A
// machine drifts, so cells that were measured one after the other are not independent.
// From twelve cells on the interval is therefore that of the means of six parts of the
// sweep (the method of batch means). It is Bounded from two cells on. There must be at
// least one.
func MeanChange(changes []Change) Gain {
	logs := make([]float64, len(changes))
	for i, c := range changes {
		logs[i] = math.Log1p(c.Ratio)
	}
	mean := stat.Mean(logs, nil)
	parts := logs
	if len(logs) >= 2*batches {
		parts = make([]float64, batches)
		for i := range parts {
			parts[i] = stat.Mean(logs[i*len(logs)/batches:(i+1)*len(logs)/batches], nil)
		}
	}
	g := Gain{Ratio: math.Expm1(mean), Low: math.Expm1(mean), High: math.Expm1(mean)}
	if n := float64(len(parts)); n > 1 {
		half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(1-alpha/2) * stat.StdDev(parts, nil) / math.Sqrt(n)
		g.Low, g.High, g.Bounded = math.Expm1(mean-half), math.Expm1(mean+half), true
	}
	return g
}

// SamplesNeeded returns the number n of samples per side that are needed to find one
// of the cells slower where no other is: the smallest possible p-value of the
// one-sided test, 1/C(2n, n), must be at most the smallest level of Benjamini and
// Hochberg.
func SamplesNeeded(cells int) int {
	for n := 1; ; n++ {
		if smallestP(n, n) <= alpha/float64(cells) {
			return n
		}
	}
}

// EnoughSamples reports whether nOld and nNew samples are enough to find one of the cells slower.
func EnoughSamples(nOld, nNew, cells int) bool { return smallestP(nOld, nNew) <= alpha/float64(cells) }

// smallestP is the p-value of the one-sided Mann–Whitney test where every sample of one
// side is below all of the other: 1/C(n1+n2, n1).
func smallestP(n1, n2 int) float64 {
	p := 1.0
	for i := 1; i <= n1; i++ {
		p *= float64(i) / float64(n2+i)
	}
	return p
}
