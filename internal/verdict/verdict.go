package verdict

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Verdict is the statistical result of a sweep.
type Verdict struct {
	// Best is the cell with the highest figure, which is the median of its samples; of equal
	// ones the preferred one (see [Judge]).
	Best Cell
	// Tied are the other cells that can't be distinguished from the fastest, ordered by
	// Ctx, then Batch.
	Tied []Cell
	// Within is the largest relative distance of a tied cell's figure from the
	// best's: 0.016 is 1.6 %; 0 without ties.
	TiedWithin float64
	// Recommended is Best or one of Tied.
	Recommended Cell
	// Outliers are those of Best and Tied whose figure is so far above the value expected
	// from their row and column that luck is the likeliest reason, ordered by Ctx, then
	// Batch. Only cells with single samples can be outliers.
	Outliers []Cell
	// Far are the cells whose figure is so far below the value expected from their row and
	// column (with a single sample also above it) that noise is not the likeliest reason,
	// ordered by Ctx, then Batch.
	Disturbed []Cell
	// Noise is the relative standard deviation of one sample, and Basis what it was
	// estimated from. With single samples it is the scatter around the fit, which includes
	// real differences between cells.
	Noise float64
	Basis Basis
	// Changed is how much faster the cells that were measured again were in their later
	// samples than expected from all first samples; nil where the difference is within noise
	// or not common to them.
	MachineChange *Gain

	model *model
}

// Judge finds the fastest cell, the cells tied with it, and the one to recommend.
// No two cells may have the same settings. The reference, rates in tokens per
// second of one cell that was measured repeatedly during the sweep, is used to
// estimate the noise; it may be nil. Judge returns false when no cell has a
// sample.
//
// Recommended is, of the best and the tied cells, one whose expected rate is the
// highest or at most 0.2 % below it. Of several it is the one with the largest
// Ctx, then the one with the server's own Batch, then the one with the smallest
// Batch. The expected rate of a cell whose lead is most likely luck is reduced by
// 0.5 % first.
func Judge(cells []Cell, reference []float64) (Verdict, bool) {
	var kept []Cell
	for _, c := range cells {
		c.Rates, c.Later = measured(c.Rates), measured(c.Later)
		if c.samples() > 0 {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		return Verdict{}, false
	}
	slices.SortStableFunc(kept, byGrid)
	changed := changeOf(kept, measured(reference))
	m := newModel(correct(changed, kept), measured(reference))
	v := m.verdict()
	v.MachineChange = changed
	return v, true
}

// tieLevel: a cell is tied with the fastest one where it is slower with a probability
// below this. It is more than 95 % because each of many cells can be the truly fastest,
// which may be called slower in 5 % of sweeps. In the simulations of the tests it is in
// 3 % at most.
const tieLevel = 0.985

const (
	// negligible is the difference of log rates below which a larger num_ctx is preferred.
	negligible = 0.002
	// luckPenalty is subtracted from the expected log rate of a cell whose lead is most
	// likely luck.
	luckPenalty = 0.005
)

func (m *model) verdict() Verdict {
	best, top := 0, 0
	for i := range m.cells {
		if cmp.Or(cmp.Compare(m.y[best], m.y[i]), byPreference(m.cells[i], m.cells[best])) < 0 {
			best = i
		}
		if m.level[i] > m.level[top] {
			top = i
		}
	}
	v := Verdict{Best: m.cells[best], Noise: math.Sqrt(m.scatter()), Basis: m.basis, model: m}
	candidates := []int{best}
	for i, c := range m.cells {
		if i != best && m.slower(i, top) < tieLevel {
			v.Tied = append(v.Tied, c)
			v.TiedWithin = max(v.TiedWithin, -math.Expm1(m.y[i]-m.y[best]))
			candidates = append(candidates, i)
		}
		if m.farBelow(i) || c.samples() == 1 && m.farAbove(i) {
			v.Disturbed = append(v.Disturbed, c)
		}
	}
	slices.Sort(candidates)
	for _, i := range candidates {
		if m.lucky(i) {
			v.Outliers = append(v.Outliers, m.cells[i])
		}
	}
	v.Recommended = m.cells[m.recommend(candidates)]
	return v
}

// recommend returns the candidate to recommend (see [Judge]).
func (m *model) recommend(candidates []int) int {
	expected := func(i int) float64 {
		if m.lucky(i) {
			return m.level[i] - luckPenalty
		}
		return m.level[i]
	}
	highest := math.Inf(-1)
	for _, i := range candidates {
		highest = math.Max(highest, expected(i))
	}
	pick := -1
	for _, i := range candidates {
		if highest-expected(i) <= negligible && (pick < 0 || byPreference(m.cells[i], m.cells[pick]) < 0) {
			pick = i
		}
	}
	return pick
}

// Estimate is a rate in tokens per second with its 95 % interval.
type Estimate struct{ Rate, Low, High float64 }

// Estimate returns the expected rate of the cell with the settings of c, estimated from the
// samples of all cells, and false for a cell that was not measured.
func (v Verdict) Estimate(c Cell) (Estimate, bool) {
	i := v.index(c)
	if i < 0 {
		return Estimate{}, false
	}
	g := v.model.interval(v.model.level[i], v.model.variance(i))
	return Estimate{math.Exp(v.model.level[i]), math.Exp(g[0]), math.Exp(g[1])}, true
}

// Figure returns the weighted median of all samples of the cell, Rates and Again, in
// tokens per second, and false for a cell that was not measured.
func (v Verdict) Figure(c Cell) (float64, bool) {
	i := v.index(c)
	if i < 0 {
		return 0, false
	}
	return math.Exp(v.model.y[i]), true
}

// GainOver returns how much faster cell a is than cell b, with its 95 % interval, estimated
// from the samples of all cells. It returns false where one of the two was not measured.
func (v Verdict) GainOver(a, b Cell) (Gain, bool) {
	i, j := v.index(a), v.index(b)
	if i < 0 || j < 0 {
		return Gain{}, false
	}
	return v.model.gain(i, j), true
}

func (v Verdict) index(c Cell) int {
	if v.model == nil {
		return -1
	}
	i, ok := slices.BinarySearchFunc(v.model.cells, c, byGrid)
	if !ok {
		return -1
	}
	return i
}

// interval is the 95 % interval of a log rate.
func (m *model) interval(mean, variance float64) [2]float64 {
	half := distuv.StudentsT{Sigma: 1, Nu: m.df}.Quantile(1-alpha/2) * math.Sqrt(variance)
	return [2]float64{mean - half, mean + half}
}

func (m *model) gain(i, j int) Gain {
	if i == j {
		return Gain{Bounded: true}
	}
	mean, variance := m.contrast(i, j)
	ends := m.interval(mean, variance)
	return Gain{Ratio: math.Expm1(mean), Low: math.Expm1(ends[0]), High: math.Expm1(ends[1]), Bounded: true}
}
