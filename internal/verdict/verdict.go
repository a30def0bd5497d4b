package verdict

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Verdict is what the samples of a sweep tell.
type Verdict struct {
	// Best is the cell with the highest figure, which is the median of its samples; of equal
	// ones the one to prefer (see [Judge]).
	Best Cell
	// Tied are the others that can't be told apart from the fastest, ordered by Ctx,
	// then Batch.
	Tied []Cell
	// Within is the largest relative distance of a tied cell's figure from the
	// best's: 0.016 is 1.6 %; 0 without ties.
	Within float64
	// Recommended is Best or one of Tied.
	Recommended Cell
	// Outliers are those of Best and Tied that stand so far above what their row and column
	// let expect that luck is the likeliest reason, ordered by Ctx, then Batch; only where
	// cells have single samples.
	Outliers []Cell
	// Far are the cells that lie so far below what their row and column let expect, or with a single
	// sample above it, that noise is not the likeliest reason, ordered by Ctx, then Batch.
	Far []Cell
	// Noise is the relative standard deviation of one sample, and Basis what it was
	// estimated from. Of single samples it is that around the fit, in which cells may differ too.
	Noise float64
	Basis Basis
	// Changed is how much faster the cells that were measured again were then than their
	// first samples and all others let expect; nil where the two agree.
	Changed *Gain

	model *model
}

// Judge finds the fastest cell, those that can't be told apart from it, and the
// one to recommend. Each pair of settings is to come up once. The reference,
// rates in tokens per second of one cell measured again and again over the sweep,
// counts for the noise; it may be nil. Judge returns false when no cell has a
// sample.
//
// Recommended is, of the best and the tied, a cell whose expected rate is the
// highest or less than 0.2 % below it. Of several it is the one with the
// largest Ctx, then that with the server's own Batch, then that with the smallest.
// A cell whose lead is most likely luck has to promise more.
func Judge(cells []Cell, reference []float64) (Verdict, bool) {
	var kept []Cell
	for _, c := range cells {
		c.Rates, c.Again = measured(c.Rates), measured(c.Again)
		if c.samples() > 0 {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		return Verdict{}, false
	}
	slices.SortStableFunc(kept, byGrid)
	changed := changeOf(kept, measured(reference))
	m := newModel(undo(changed, kept), measured(reference))
	v := m.verdict()
	v.Changed = changed
	return v, true
}

// tieLevel is the probability of being slower than the fastest cell up to which a cell
// is tied with it. It is more than 95 %, since any cell of a grid can be the truly fastest,
// which may be called slower in 5 % of sweeps: of the families that the tests play, in 3 % at most.
const tieLevel = 0.985

const (
	// indifferent is the difference of log rates that is less worth than a larger num_ctx.
	indifferent = 0.002
	// doubtful is what a cell must promise beyond others whose lead is most likely luck.
	doubtful = 0.005
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
			v.Within = max(v.Within, -math.Expm1(m.y[i]-m.y[best]))
			candidates = append(candidates, i)
		}
		if m.farBelow(i) || c.samples() == 1 && m.farAbove(i) {
			v.Far = append(v.Far, c)
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

// recommend picks from the candidates.
func (m *model) recommend(candidates []int) int {
	promise := func(i int) float64 {
		if m.lucky(i) {
			return m.level[i] - doubtful
		}
		return m.level[i]
	}
	most := math.Inf(-1)
	for _, i := range candidates {
		most = math.Max(most, promise(i))
	}
	pick := -1
	for _, i := range candidates {
		if most-promise(i) <= indifferent && (pick < 0 || byPreference(m.cells[i], m.cells[pick]) < 0) {
			pick = i
		}
	}
	return pick
}

// Estimate is a rate in tokens per second with its 95 % interval.
type Estimate struct{ Rate, Low, High float64 }

// Estimate returns the rate that is expected of the cell with the settings of c by its own
// samples and all others, and false for a cell that was not measured.
func (v Verdict) Estimate(c Cell) (Estimate, bool) {
	i := v.index(c)
	if i < 0 {
		return Estimate{}, false
	}
	g := v.model.interval(v.model.level[i], v.model.variance(i))
	return Estimate{math.Exp(v.model.level[i]), math.Exp(g[0]), math.Exp(g[1])}, true
}

// Figure returns the median of the cell's samples, those taken again among them, in
// tokens per second, and false for a cell that was not measured.
func (v Verdict) Figure(c Cell) (float64, bool) {
	i := v.index(c)
	if i < 0 {
		return 0, false
	}
	return math.Exp(v.model.y[i]), true
}

// GainOver returns how much faster cell a is than cell b, with its 95 % interval, by the same
// estimates, and false where one was not measured.
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
