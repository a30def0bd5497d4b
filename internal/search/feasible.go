package search

import (
	"math"
	"math/rand/v2"
)

// failure is a cell that has no rate.
type failure struct {
	cell   int
	memory bool // it certainly ran out of GPU memory
}

// feasibility predicts from failures which unmeasured cells work. By dominance, a cell
// that needs at least the memory of one that ran out of memory fails, and one that
// needs at most that of one that worked does not. Servers don't always follow that, so
// it is dropped once a cell worked that should have failed.
type feasibility struct {
	s        *space
	failed   []failure
	worked   []int // cells
	memory   *memory
	monotone bool
	edges    []edge
	// valueWorked and valueFailed count the cells of each value of a setting.
	valueWorked, valueFailed []float64
	pairWorked, pairFailed   map[[2]int]float64 // the same for pairs of values of two settings
	hypotheses               []memoryHypothesis
}

// edge is a hypothesis of where memory ends: at a pressure between those of the cells
// that worked and those that failed, with the hypothesis's own weights for the
// pressure.
type edge struct {
	batchWeight, product float64
	worked, failed       float64
}

const (
	drawnEdges = 200
	// noEdgeWeight is the weight of there being no such edge, against the sum of the
	// intervals that the hypotheses leave for one.
	noEdgeWeight = 0.5
)

// Probabilities that a cell works which fails, or works, by dominance.
const (
	dominated  = 0.02
	dominating = 0.99
)

// finish checks whether dominance holds, and draws the edges.
func (f *feasibility) finish() {
	f.monotone = true
	f.countValues()
	every := f.s.memoryHypothesis(allMatter)
	for _, w := range f.worked {
		for _, x := range f.failed {
			if x.memory && f.needsAtLeast(every, w, x.cell) {
				f.monotone = false
			}
		}
	}
	if len(f.failed) > 0 && !f.s.hasSettings() { // with other settings the edge is elsewhere
		f.drawEdges()
	}
	f.hypotheses = f.weighHypotheses()
}

// drawEdges draws hypotheses of the edge of memory and keeps those that agree with the
// cells that worked and failed. Where sizes determine the pressure they are all the
// same.
func (f *feasibility) drawEdges() {
	rng := rand.New(rand.NewPCG(5, 6))
	for range drawnEdges {
		e := edge{batchWeight: 0.15 * math.Exp(0.8*rng.NormFloat64()), product: 0.15 * math.Exp(0.8*rng.NormFloat64()), failed: math.Inf(1)}
		if f.memory != nil {
			e.batchWeight, e.product = f.memory.batchWeight, f.memory.product
		}
		for _, w := range f.worked {
			e.worked = max(e.worked, f.pressure(e, w))
		}
		for _, x := range f.failed {
			if x.memory {
				e.failed = min(e.failed, f.pressure(e, x.cell))
			}
		}
		if e.worked < e.failed && !math.IsInf(e.failed, 1) {
			f.edges = append(f.edges, e)
		}
	}
}

func (f *feasibility) pressure(e edge, cell int) float64 {
	c, b := f.s.c[f.s.ctx[cell]], f.s.b[f.s.batch[cell]]
	return c + e.batchWeight*b + e.product*c*b
}

// needsAtLeast reports whether cell i is known to need at least the memory of cell j, by a hypothesis.
func (f *feasibility) needsAtLeast(h memoryHypothesis, i, j int) bool {
	return f.s.ctx[i] >= f.s.ctx[j] && f.s.batch[i] >= f.s.batch[j] && f.s.others.needs[h.like[f.s.other[i]]][h.like[f.s.other[j]]]
}

// works is the probability that the cell works. Between a cell that failed and one
// that worked it depends on the distance to both, so that a search for the edge of
// memory halves the interval.
func (f *feasibility) works(cell int) float64 {
	if len(f.failed) == 0 {
		return 1
	}
	var p float64
	for _, h := range f.hypotheses {
		key := h.key(f.s, cell)
		works, ok := h.works[key]
		if !ok {
			works = f.worksIn(h, cell, false)
			h.works[key] = works
		}
		p += h.weight * works
	}
	return p * f.worksByValues(cell)
}

// worksIn is that probability where only some settings matter to memory, by all cells or, to check it, by all others.
func (f *feasibility) worksIn(h memoryHypothesis, cell int, byOthers bool) float64 {
	const far = 10.0 // more than any distance
	toFailed, toWorked := far, far
	for _, x := range f.failed {
		if byOthers && x.cell == cell {
			continue
		}
		dominance := f.monotone && x.memory
		if dominance && f.needsAtLeast(h, cell, x.cell) {
			return dominated
		}
		toFailed = min(toFailed, f.distance(h, x.cell, cell, dominance))
	}
	for _, w := range f.worked {
		if byOthers && w == cell {
			continue
		}
		if f.monotone && f.needsAtLeast(h, w, cell) {
			return dominating
		}
		toWorked = min(toWorked, f.distance(h, cell, w, f.monotone))
	}
	return f.byEdges(cell, (toFailed+0.01)/(toFailed+toWorked+0.02))
}

// byEdges is the mean probability over all hypotheses of the edge of memory, each
// weighted by the interval that it leaves for an edge, and the probability otherwise.
func (f *feasibility) byEdges(cell int, otherwise float64) float64 {
	sum, weight := noEdgeWeight*otherwise, noEdgeWeight
	for _, e := range f.edges {
		room := e.failed - e.worked
		sum += room * min(max((e.failed-f.pressure(e, cell))/room, 0), 1)
		weight += room
	}
	return min(max(sum/weight, dominated), dominating)
}

// distance is how much more memory cell i needs than cell j, as a sum of shares of
// both axes and of how different other settings are; without dominance it is the distance between the two.
func (f *feasibility) distance(h memoryHypothesis, i, j int, dominance bool) float64 {
	dc := f.s.c[f.s.ctx[i]] - f.s.c[f.s.ctx[j]]
	db := f.s.b[f.s.batch[i]] - f.s.b[f.s.batch[j]]
	settings := f.s.others.apart(h.like[f.s.other[i]], h.like[f.s.other[j]])
	if dominance {
		return max(dc, 0) + max(db, 0) + settings
	}
	return math.Abs(dc) + math.Abs(db) + settings
}
