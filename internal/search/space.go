package search

import (
	"math"
	"math/bits"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// space is cells in the coordinates of the model.
type space struct {
	cells   []cell.Key // those of the plan first
	planned int        // how many of the cells are in the plan
	index   map[cell.Key]int
	ctxs    []int // ascending
	batchs  []int // ascending

	ctx, batch []int     // of each cell: index into ctxs and batchs
	c          []float64 // of each of ctxs: as a share of the largest
	cx         []float64 // of each of ctxs: log2
	b          []float64 // of each of batchs: as a share of the largest
	x          []float64 // of each of batchs: log2
	other      []int     // of each cell: index of its combination of other settings
	others     others
	alikes     map[int][]int // see alikeIn
	power      []int         // of each of batchs: the largest power of two that divides it

	// The parts of covariances that all shapes share, by the indices of two num_batch or num_ctx.
	jumps          [][]float64 // similarity of the jumps up to both
	roughB, roughC [][]float64
	fall           [][]float64 // similarity of the effect of a lack of memory
}

// point is what a reading is of: passes of a number of tokens under the load of a cell. A sample
// is passes of the cell's own num_batch; a probe may be of smaller ones.
type point struct {
	cell  int // that is loaded
	pass  int // tokens of a pass: index into batchs
	probe bool
}

// sampled returns the point of samples of a cell.
func (s *space) sampled(cell int) point { return point{cell: cell, pass: s.batch[cell]} }

// sampledAll returns the points of samples of cells.
func (s *space) sampledAll(cells []int) []point {
	points := make([]point, len(cells))
	for i, c := range cells {
		points[i] = s.sampled(c)
	}
	return points
}

func newSpace(cells []cell.Key, planned int) *space {
	s := &space{cells: cells, planned: planned, index: make(map[cell.Key]int, len(cells)), alikes: make(map[int][]int)}
	for _, c := range cells {
		s.ctxs = append(s.ctxs, c.Ctx)
		s.batchs = append(s.batchs, c.Batch)
	}
	s.ctxs, s.batchs = unique(s.ctxs), unique(s.batchs)
	for i, c := range cells {
		s.index[c] = i
		ctx, _ := slices.BinarySearch(s.ctxs, c.Ctx)
		batch, _ := slices.BinarySearch(s.batchs, c.Batch)
		s.ctx, s.batch = append(s.ctx, ctx), append(s.batch, batch)
	}
	s.others, s.other = newOthers(cells)
	for _, v := range s.ctxs {
		s.c = append(s.c, float64(v)/float64(s.ctxs[len(s.ctxs)-1]))
		s.cx = append(s.cx, math.Log2(float64(v)))
	}
	for _, v := range s.batchs {
		s.b = append(s.b, float64(v)/float64(s.batchs[len(s.batchs)-1]))
		s.x = append(s.x, math.Log2(float64(v)))
		s.power = append(s.power, bits.TrailingZeros(uint(v)))
	}
	s.jumps = decay(s.x, jumpOctaves)
	s.roughB, s.roughC = decay(s.x, roughOctaves), decay(s.c, roughCtx)
	s.fall = table(len(s.x), func(i, j int) float64 {
		d := (s.x[i] - s.x[j]) / fallOctaves
		return math.Exp(-d * d / 2)
	})
	return s
}

// decay returns, for each two values, e to the negative distance divided by the length.
func decay(values []float64, length float64) [][]float64 {
	return table(len(values), func(i, j int) float64 { return math.Exp(-math.Abs(values[i]-values[j]) / length) })
}

func unique(values []int) []int {
	slices.Sort(values)
	return slices.Compact(values)
}
