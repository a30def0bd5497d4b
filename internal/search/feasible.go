package search

import (
	"math"
	"math/rand/v2"
)

// failure is a cell that has no rate.
type failure struct {
	cell   int
	memory bool // for want of GPU memory, for certain
}

// feasibility is what failures tell of cells that were not measured. A cell that
// needs at least the memory of one that had too little fails, and one that needs
// at most that of one that worked does not: dominance. Servers don't always keep
// to that, so it is given up once a cell worked that by it should have failed.
type feasibility struct {
	s        *space
	failed   []failure
	worked   []int // cells
	memory   *memory
	monotone bool
	edges    []edge
}

// edge is an idea of where memory ends: at a pressure that lies between those of
// the cells that worked and of those that failed, by the idea's own measure of
// pressure.
type edge struct {
	batchWeight, product float64
	worked, failed       float64
}

const (
	drawnEdges = 200
	// doubt is how much is given to there being no such edge, against the sum of
	// the room that each idea leaves for one.
	doubt = 0.5
)

// Probabilities that a cell has a rate which dominance says will fail or work.
const (
	dominated  = 0.02
	dominating = 0.99
)

// settle decides whether dominance holds.
func (f *feasibility) settle() {
	f.monotone = true
	for _, w := range f.worked {
		for _, x := range f.failed {
			if x.memory && f.needs(w, x.cell) {
				f.monotone = false
			}
		}
	}
	if len(f.failed) > 0 {
		f.draw()
	}
}

// draw draws ideas of the edge of memory and leaves those that what worked and
// what failed bear out. Where sizes tell the pressure there is but one.
func (f *feasibility) draw() {
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

// needs reports whether cell i needs at least the memory of cell j.
func (f *feasibility) needs(i, j int) bool {
	return f.s.ctx[i] >= f.s.ctx[j] && f.s.batch[i] >= f.s.batch[j]
}

// works is the probability that the cell has a rate. Between a cell that failed
// and one that worked it goes by the distance to both, so that the search for the
// edge of memory halves what lies between.
func (f *feasibility) works(cell int) float64 {
	if len(f.failed) == 0 {
		return 1
	}
	const far = 10.0 // more than any distance
	toFailed, toWorked := far, far
	for _, x := range f.failed {
		dominance := f.monotone && x.memory
		if dominance && f.needs(cell, x.cell) {
			return dominated
		}
		toFailed = min(toFailed, f.distance(x.cell, cell, dominance))
	}
	for _, w := range f.worked {
		if f.monotone && f.needs(w, cell) {
			return dominating
		}
		toWorked = min(toWorked, f.distance(cell, w, f.monotone))
	}
	return f.byEdges(cell, (toFailed+0.01)/(toFailed+toWorked+0.02))
}

// byEdges is the probability by all ideas of the edge of memory, which each counts
// for as much as it leaves room for one, and by what else is believed.
func (f *feasibility) byEdges(cell int, otherwise float64) float64 {
	sum, weight := doubt*otherwise, doubt
	for _, e := range f.edges {
		room := e.failed - e.worked
		sum += room * min(max((e.failed-f.pressure(e, cell))/room, 0), 1)
		weight += room
	}
	return min(max(sum/weight, dominated), dominating)
}

// distance is by how much more memory i asks for than j, as a sum of shares of
// both axes; where that tells nothing, how far apart the two are.
func (f *feasibility) distance(i, j int, dominance bool) float64 {
	dc := f.s.c[f.s.ctx[i]] - f.s.c[f.s.ctx[j]]
	db := f.s.b[f.s.batch[i]] - f.s.b[f.s.batch[j]]
	if dominance {
		return max(dc, 0) + max(db, 0)
	}
	return math.Abs(dc) + math.Abs(db)
}
