package verdict

import (
	"math"

	"github.com/aclements/go-moremath/stats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Pair is the rates of one cell in two sweeps, in tokens per second.
type Pair struct {
	Old, New []float64
	// Disturbed is by how much something else than the settings may have changed either side's,
	// relative.
	Disturbed float64
}

// Change is how a cell's rate changed from one sweep to another.
type Change struct {
	// Ratio is that of the medians, relative: 0.05 is 5 % faster, -0.05 is 5 % slower.
	Ratio float64
	// Low and High bound the 95 % interval as [Gain]'s do, where Bounded says so.
	Low, High float64
	Bounded   bool
	// Significant says that the rates differ, by a two-sided Mann–Whitney test, and
	// Slower that the new ones are lower by more than the limit, by a one-sided one.
	// Both are corrected for the number of cells (Benjamini–Hochberg at 5 %).
	Significant, Slower bool
}

// Changes compares cells, of which each has a rate on either side. limit is the
// relative loss that is let pass: 0.05 is 5 %. Drift is by how much the machine itself changed
// while the sweeps ran: so much of any difference, and what disturbed a cell, may be that, which
// intervals and tests allow for.
func Changes(pairs []Pair, limit, drift float64) []Change {
	changes := make([]Change, len(pairs))
	differ, slower := make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		before, after := measured(p.Old), measured(p.New)
		gain, _ := GainOf(after, before)
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

// lessTest is the p of the one-sided Mann–Whitney test that a is less than so
// many times b, and 1 where there is nothing to compare.
func lessTest(a, b []float64, times float64) float64 {
	u, err := stats.MannWhitneyUTest(a, scaled(b, times), stats.LocationLess)
	if err != nil {
		return 1 // all are equal, or there is none
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

// batches is how many parts a mean's interval is taken from.
const batches = 6

// MeanChange is the geometric mean of the cells' ratios, which are in the order of
// measurement, with a 95 % interval of Student's t over the logarithms. A machine
// drifts, so that neighbours in time change alike and tell less than as many cells
// would by themselves: from twelve cells on the interval is that of the means of six
// parts of the sweep (the method of batch means), below it that of the cells. It is
// Bounded from two cells on. There must be one.
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

// SamplesToTell returns how many samples a side a single one of so many cells
// needs, so that it can be found slower while no other is: the smallest p of the
// one-sided test, 1/C(2n, n), has to reach the smallest level of
// Benjamini and Hochberg.
func SamplesToTell(cells int) int {
	for n := 1; ; n++ {
		if smallestP(n, n) <= alpha/float64(cells) {
			return n
		}
	}
}

// CanTell reports whether samples of these numbers are enough for that.
func CanTell(nOld, nNew, cells int) bool { return smallestP(nOld, nNew) <= alpha/float64(cells) }

// smallestP is the p of the one-sided Mann–Whitney test where every sample of one
// side is below all of the other: 1/C(n1+n2, n1).
func smallestP(n1, n2 int) float64 {
	p := 1.0
	for i := 1; i <= n1; i++ {
		p *= float64(i) / float64(n2+i)
	}
	return p
}
