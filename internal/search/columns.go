package search

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// columns are the cells of each num_ctx of the plan, or all together, and the model's predictions for
// them. Picks are decided by differences between a rival and the pick, in which the
// effect of num_ctx cancels.
type columns struct {
	*view
	believed     []*beliefs // of all cells, by posterior
	mean, square []float64  // by cell: expected log rate, and expected square of it
	works        []float64  // probability that the cell has a rate
	logWorks     []float64  // its logarithm
	picks        []column
}

// column is the usable cells of one num_ctx, or of the plan.
type column struct {
	cells  []int
	pick   int     // the cell to recommend; -1 where no cell is usable
	rivals []int   // cells that may be faster than the pick, the likeliest first
	loss   float64 // expected loss of the pick against the likeliest rival, in log rate
}

// mostRivals is the largest number of rivals that are considered for a pick.
const mostRivals = 3

// eachCtx and wholeGrid say of a cell what newColumns puts it into a column with.
func (v *view) eachCtx(cell int) int { return v.ctx[cell] }
func (v *view) wholeGrid(int) int    { return 0 }

// newColumns returns the columns of cells of which the function returns the same.
func newColumns(v *view, with func(cell int) int) *columns {
	n := len(v.cells)
	c := &columns{view: v, mean: make([]float64, n), square: make([]float64, n), works: make([]float64, n), logWorks: make([]float64, n)}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	for _, p := range v.m.posts {
		b := v.m.beliefs(p, v.sampledAll(all))
		c.doubtSteps(p, b)
		c.believed = append(c.believed, b)
		for i := range all {
			c.mean[i] += p.weight * b.mean[i]
			c.square[i] += p.weight * (b.mean[i]*b.mean[i] + b.variance[i])
		}
	}
	of := make(map[int]int) // index in picks, by what its cells have in common
	for i := range v.planned {
		if _, ok := of[with(i)]; !ok {
			of[with(i)] = len(c.picks)
			c.picks = append(c.picks, column{})
		}
	}
	for _, i := range v.usable {
		c.works[i] = 1
		if v.byCell[i] == nil {
			c.works[i] = v.feas.works(i)
		}
		c.logWorks[i] = math.Log(c.works[i])
		if k, ok := of[with(i)]; ok {
			c.picks[k].cells = append(c.picks[k].cells, i)
		}
	}
	for k := range c.picks {
		c.pick(&c.picks[k])
	}
	return c
}

// doubtSteps allows, in what is believed of cells that are not measured, for steps of stairs that are one num_batch
// lower or higher. So the cell next to a step is not recommended where the one before it is about as fast.
func (c *columns) doubtSteps(p *posterior, b *beliefs) {
	t := p.k.stairs
	if t == nil || len(c.batchs) < 2 {
		return
	}
	var scale float64 // of the effects, as fitted
	for i, o := range c.m.obs {
		scale += stairsScale * stairsScale * t.slower[t.outside[o.cell]][o.pass] * p.alpha[i]
	}
	for i := range c.cells {
		if c.byCell[i] == nil {
			b.mean[i] += scale * t.displaced(c.space, i, c.m.relative[c.batch[i]])
		}
	}
}

// pick chooses the cell with the highest expected rate, and its rivals.
func (c *columns) pick(col *column) {
	col.pick = -1
	var most float64
	for _, i := range col.cells {
		if rate := c.works[i] * math.Exp(c.mean[i]-c.m.level); rate > most {
			col.pick, most = i, rate
		}
	}
	if col.pick < 0 {
		return
	}
	prospects := make(map[int]float64)
	for _, i := range col.cells {
		if i == col.pick {
			continue
		}
		for k, p := range c.m.posts {
			b := c.believed[k]
			prospects[i] += p.weight * c.works[i] * expectedGain(b.mean[i]-b.mean[col.pick], b.spread(i, col.pick))
		}
		col.rivals = append(col.rivals, i)
	}
	slices.SortStableFunc(col.rivals, func(a, b int) int { return cmp.Compare(prospects[b], prospects[a]) })
	col.rivals = col.rivals[:min(mostRivals, len(col.rivals))]
	if len(col.rivals) > 0 {
		col.loss = prospects[col.rivals[0]]
	}
}

// gains returns, by cell, the expected improvement of all picks together from
// measuring the cell, in log rate; zero for cells that can't be measured.
func (c *columns) gains() []float64 {
	gains := make([]float64, len(c.cells))
	var candidates []int
	for _, i := range c.usable {
		if c.unmeasured(i) || c.canRepeat(i) {
			candidates = append(candidates, i)
		}
	}
	for k, p := range c.m.posts {
		for _, col := range c.picks {
			for n, g := range c.pickGains(p, c.believed[k], col, c.believed[k], candidates) {
				i := candidates[n]
				gains[i] += p.weight * c.works[i] * g
			}
		}
	}
	c.addDisputed(gains, candidates)
	c.addFeasible(gains, candidates)
	return gains
}

// probeGains returns, for each point, the expected improvement of all picks together from a reading of it,
// in log rate.
func (c *columns) probeGains(points []point) []float64 {
	gains, all := make([]float64, len(points)), make([]int, len(points))
	for i := range points {
		all[i] = i
	}
	for k, p := range c.m.posts {
		of := c.m.beliefs(p, points)
		for _, col := range c.picks {
			if col.pick < 0 {
				continue
			}
			for i, g := range c.pickGains(p, c.believed[k], col, of, all) {
				gains[i] += p.weight * g
			}
		}
	}
	return gains
}

// leastGain is the gain below which a rival is skipped, in log rate.
const leastGain = 1e-5

// pickGains returns, for each candidate, an index into the points of beliefs, the expected
// improvement of one column's pick from a reading of it: the knowledge gradient. A rival replaces the pick when the
// measurement moves their difference across zero.
func (c *columns) pickGains(p *posterior, b *beliefs, col column, of *beliefs, candidates []int) []float64 {
	gains := make([]float64, len(candidates))
	for _, r := range col.rivals {
		behind := -math.Abs(b.mean[r] - b.mean[col.pick])
		if c.works[r]*expectedGain(behind, b.spread(r, col.pick)) < leastGain {
			continue
		}
		row := make([]float64, len(b.rows[r]))
		floats.SubTo(row, b.rows[r], b.rows[col.pick])
		for n, i := range candidates {
			at := of.points[i]
			moves := math.Abs(p.k.at(b.points[r], at)-p.k.at(b.points[col.pick], at)-floats.Dot(row, of.rows[i])) / math.Sqrt(of.variance[i]+p.k.noiseOf(at))
			if -behind < 5*moves { // otherwise the gain is negligible
				gains[n] = max(gains[n], c.works[r]*expectedGain(behind, moves))
			}
		}
	}
	return gains
}

// addFeasible adds the expected improvement of the picks from learning whether each
// candidate works.
func (c *columns) addFeasible(gains []float64, candidates []int) {
	if len(c.failed) == 0 {
		return
	}
	likeliest := c.feas.hypotheses[0]
	known := make(map[[3]int][]outlook) // cells of the same memory have the same
	for _, i := range candidates {
		works := c.works[i]
		if c.byCell[i] != nil || works > 0.98 || works < 0.03 {
			continue // nearly certain
		}
		alike := likeliest.key(c.space, i)
		if known[alike] == nil {
			for _, col := range c.picks {
				known[alike] = append(known[alike], c.outlook(likeliest, col, i))
			}
		}
		for _, o := range known[alike] {
			gains[i] += works*o.good + (1-works)*o.bad - o.now
		}
	}
}

// outlook is the expected rate of a column's pick, relative to the column's highest: now, if a cell works, and if
// it fails.
type outlook struct{ now, good, bad float64 }

func (c *columns) outlook(h memoryHypothesis, col column, cell int) (o outlook) {
	top := math.Inf(-1)
	for _, j := range col.cells {
		top = max(top, c.mean[j])
	}
	for _, j := range col.cells {
		rate, ifGood, ifBad := math.Exp(c.mean[j]-top), c.works[j], c.works[j]
		if c.feas.needsAtLeast(h, cell, j) {
			ifGood = max(ifGood, dominating)
		}
		if c.feas.needsAtLeast(h, j, cell) && c.byCell[j] == nil {
			ifBad = min(ifBad, dominated)
		}
		o.now, o.good, o.bad = max(o.now, rate*c.works[j]), max(o.good, rate*ifGood), max(o.bad, rate*ifBad)
	}
	return o
}

// leastWorks is the probability to work below which a pick is not reported.
const leastWorks = 0.05

// answer recommends the columns' picks, and the measured cell with the highest expected
// rate.
func (c *columns) answer(tolerance float64) *checkpoint.Answer {
	best := -1
	for _, o := range c.obs {
		if best < 0 || c.mean[o.cell] > c.mean[best] {
			best = o.cell
		}
	}
	a := &checkpoint.Answer{Best: c.cells[best]}
	a.Rate, a.Low, a.High = interval(c.mean[best], c.square[best])
	for _, i := range c.usable {
		if c.byCell[i] == nil {
			a.Chance = max(a.Chance, c.works[i]*c.chance(i, best, math.Log1p(tolerance)))
		}
	}
	for _, col := range c.picks {
		if col.pick < 0 || c.works[col.pick] < leastWorks {
			continue
		}
		cell := c.cells[col.pick]
		answer := checkpoint.ColumnAnswer{NumCtx: cell.Ctx, NumBatch: cell.Batch, Rate: math.Exp(c.mean[col.pick]), Loss: col.loss}
		if cell.Settings != "" {
			answer.Key = &cell
		}
		a.Columns = append(a.Columns, answer)
	}
	slices.SortFunc(a.Columns, func(a, b checkpoint.ColumnAnswer) int { return cmp.Compare(a.NumCtx, b.NumCtx) })
	return a
}

// doubtedPick returns a pick that is recommended although its own samples are slower, which the model holds
// for outliers. What was found since they were taken can have made them look so.
func (c *columns) doubtedPick() (int, bool) {
	for _, col := range c.picks {
		if col.pick >= 0 && c.doubted(col.pick) {
			return col.pick, true
		}
	}
	return 0, false
}

// unmeasuredBest returns the pick with the highest expected rate, if it is not measured yet: where a
// probe has shown it. What is recommended as the fastest cell is always measured.
func (c *columns) unmeasuredBest() (int, bool) {
	best, most := -1, math.Inf(-1)
	for _, col := range c.picks {
		if col.pick < 0 {
			continue
		}
		if rate := c.mean[col.pick] + math.Log(c.works[col.pick]); rate > most {
			best, most = col.pick, rate
		}
	}
	return best, best >= 0 && c.st.Probes && c.unmeasured(best)
}

// chance is the probability that cell i's log rate is above cell j's by more than
// the margin.
func (c *columns) chance(i, j int, margin float64) float64 {
	var sum float64
	for k, p := range c.m.posts {
		b := c.believed[k]
		sum += p.weight * normalCDF((b.mean[i]-b.mean[j]-margin)/b.spread(i, j))
	}
	return sum
}
