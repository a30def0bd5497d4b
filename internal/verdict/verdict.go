package verdict

import (
	"cmp"
	"math"
	"slices"
)

// Verdict is what the samples of a sweep tell. Its cells hold copies of the
// rates, without those that can't be measurements.
type Verdict struct {
	Best Cell // the highest median; of equal ones the largest Ctx, then the smallest Batch
	// Tied are the others that can't be told apart from Best, ordered by Ctx,
	// then Batch.
	Tied []Cell
	// Within is the largest relative distance of a tied cell's median from the
	// best's: 0.016 is 1.6 %; 0 without ties.
	Within float64
	// Recommended is the largest Ctx, then the smallest Batch, of Best and
	// Tied. Lone samples are not trusted that far: with them it is chosen from
	// those on the best plateau and is never an outlier, even if that leaves
	// only cells that are not tied. When the basis is Unknown it is Best:
	// among cells that merely could not be compared, the largest context may
	// be many times slower.
	Recommended Cell
	// Outliers are those of Best and Tied that stand above what their
	// neighbours, or their row and column, lead to expect, ordered by Ctx, then
	// Batch; only where cells have single samples.
	Outliers []Cell
	Basis    Basis
	// Noise is the relative standard deviation of one sample, 0 where it was
	// not estimated.
	Noise float64
}

// Judge finds the fastest cell and those that can't be told apart from it.
// Each pair of settings is to come up once. The reference, rates in tokens per
// second of one cell measured again and again over the sweep, counts only where
// cells have single samples; it may be nil. Judge returns false when no cell
// has a sample.
func Judge(cells []Cell, reference []float64) (Verdict, bool) {
	t := newTrial(cells)
	if len(t.cells) == 0 {
		return Verdict{}, false
	}
	t.choose(measured(reference))
	tied := t.ties()
	return t.verdict(tied), true
}

// trial is a judgement under way.
type trial struct {
	cells   []Cell
	medians []float64
	best    int // index of the best cell
	basis   Basis
	noise   scatter
	surface *surface // nil unless cells have single samples, and enough of them
}

func newTrial(cells []Cell) *trial {
	t := &trial{}
	for _, c := range cells {
		if c.Rates = measured(c.Rates); len(c.Rates) > 0 {
			t.cells = append(t.cells, c)
		}
	}
	slices.SortStableFunc(t.cells, byGrid)
	for i, c := range t.cells {
		t.medians = append(t.medians, c.Median())
		if i > 0 && t.faster(i, t.best) {
			t.best = i
		}
	}
	return t
}

func (t *trial) faster(i, j int) bool {
	return cmp.Or(cmp.Compare(t.medians[j], t.medians[i]), byPreference(t.cells[i], t.cells[j])) < 0
}

// choose settles the basis and the noise. A rank test needs its four samples
// from the best and from nine cells of ten; a cell or two that lost some to
// failures don't matter. Repeats need half of the cells to have any.
func (t *trial) choose(reference []float64) {
	n := len(t.cells)
	t.noise = t.pooled()
	switch {
	case len(t.cells[t.best].Rates) >= rankSamples && 10*t.withSamples(rankSamples) >= 9*n:
		t.basis = MannWhitney
		return
	case 2*t.withSamples(2) >= n:
		t.basis = Repeats
		return
	}
	if n >= surfaceCells {
		t.surface = newSurface(t.cells)
	}
	switch {
	case len(reference) >= 3:
		t.basis, t.noise = Reference, pooledScatter([][]float64{reference})
	case t.surface != nil:
		t.basis, t.noise = Residuals, t.surface.scatter()
	default:
		t.basis, t.noise = Unknown, scatter{}
	}
}

func (t *trial) pooled() scatter {
	groups := make([][]float64, len(t.cells))
	for i, c := range t.cells {
		groups[i] = c.Rates
	}
	return pooledScatter(groups)
}

// withSamples counts the cells of n samples and more.
func (t *trial) withSamples(n int) int {
	var count int
	for _, c := range t.cells {
		if len(c.Rates) >= n {
			count++
		}
	}
	return count
}

// ties lists the indexes of the cells, other than the best, that can't be told
// apart from it.
func (t *trial) ties() []int {
	apart := make([]bool, len(t.cells))
	switch t.basis {
	case Unknown:
	case MannWhitney:
		t.byScatter(apart)
		t.byRank(apart)
	default:
		t.byScatter(apart)
	}
	var tied []int
	for i := range t.cells {
		if i != t.best && !apart[i] {
			tied = append(tied, i)
		}
	}
	return tied
}

// byScatter tells apart by the distance of the medians.
func (t *trial) byScatter(apart []bool) {
	margin := t.noise.margin(len(t.cells) - 1)
	best := 1 / float64(len(t.cells[t.best].Rates))
	for i, c := range t.cells {
		apart[i] = t.distance(i) > margin*math.Sqrt(best+1/float64(len(c.Rates)))
	}
}

// byRank overrules byScatter for the cells with samples enough for the test.
func (t *trial) byRank(apart []bool) {
	var ps []float64
	var tested []int
	best := slices.Clone(t.cells[t.best].Rates)
	for i, c := range t.cells {
		if i != t.best && len(c.Rates) >= rankSamples {
			ps = append(ps, rankTest(best, slices.Clone(c.Rates)))
			tested = append(tested, i)
		}
	}
	for k, rejected := range benjaminiHochberg(ps) {
		apart[tested[k]] = rejected
	}
}

// distance is how far the cell's median is below the best's, relative to it.
func (t *trial) distance(i int) float64 {
	return 1 - t.medians[i]/t.medians[t.best]
}

func (t *trial) verdict(tied []int) Verdict {
	v := Verdict{Best: t.cells[t.best], Basis: t.basis, Noise: t.noise.sd}
	for _, i := range tied {
		v.Tied = append(v.Tied, t.cells[i])
		v.Within = max(v.Within, t.distance(i))
	}
	candidates := append([]int{t.best}, tied...)
	v.Outliers = t.outliers(candidates)
	v.Recommended = t.recommended(v, candidates)
	return v
}

func (t *trial) outliers(candidates []int) []Cell {
	if t.surface == nil {
		return nil
	}
	var out []Cell
	for _, i := range candidates {
		if t.surface.above(i) {
			out = append(out, t.cells[i])
		}
	}
	slices.SortFunc(out, byGrid)
	return out
}

func (t *trial) recommended(v Verdict, candidates []int) Cell {
	switch {
	case t.basis == Unknown:
		return v.Best
	case t.surface != nil:
		return t.surface.recommend(candidates)
	default:
		return slices.MinFunc(append([]Cell{v.Best}, v.Tied...), byPreference)
	}
}
