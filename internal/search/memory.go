package search

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// memory predicts the size of a loaded model in every cell from the sizes that the
// server reported: a size grows linearly with num_ctx (the KV cache), with num_batch
// and with their product (the compute buffers).
type memory struct {
	// batchWeight and product replace those of each shape.
	batchWeight, product float64
	spill                []float64 // of each cell: the share that does not fit the GPUs' memory
}

// newMemory fits the sizes by least squares. It returns nil where there are fewer than four equations, or sizes
// don't grow with num_ctx. A size is one equation, and two where the server's log has its parts.
func newMemory(s *space, known map[cell.Key]checkpoint.Measured) *memory {
	if s.hasSettings() {
		return nil // the size depends on them too
	}
	var cells []int
	var room float64 // bytes of GPU memory that spilled models filled; 0 where none spilled
	for i, c := range s.cells {
		k := known[c]
		if k.Size <= 0 || len(k.Rates) == 0 {
			continue
		}
		cells = append(cells, i)
		if k.SizeVRAM > 0 && k.SizeVRAM < k.Size {
			room = max(room, float64(k.SizeVRAM))
		}
	}
	largest := 0.0
	for _, i := range cells {
		largest = max(largest, float64(known[s.cells[i]].Size))
	}
	var rows [][]float64 // the terms, and what they come to
	for _, i := range cells {
		rows = append(rows, s.sizeEquations(i, known[s.cells[i]], largest)...)
	}
	const terms, ridge = 4, 1e-3
	if len(rows) < terms {
		return nil
	}
	// A ridge penalty keeps the coefficients of settings that have not varied yet at
	// zero.
	a, b := mat.NewDense(len(rows)+terms, terms, nil), mat.NewVecDense(len(rows)+terms, nil)
	for n, row := range rows {
		a.SetRow(n, row[:terms])
		b.SetVec(n, row[terms])
	}
	for t := 1; t < terms; t++ {
		a.Set(len(rows)+t, t, ridge)
	}
	var x mat.VecDense
	if x.SolveVec(a, b) != nil || x.AtVec(1) < 1e-3 {
		return nil
	}
	limit := func(v float64) float64 { return min(max(v/x.AtVec(1), 0), 10) }
	m := &memory{batchWeight: limit(x.AtVec(2)), product: limit(x.AtVec(3)), spill: make([]float64, len(s.cells))}
	if room == 0 {
		return m
	}
	for i := range s.cells {
		size := largest * mat.Dot(mat.NewVecDense(terms, s.sizeTerms(i)), &x)
		m.spill[i] = math.Max(0, 1-room/size)
	}
	for _, i := range cells {
		k := known[s.cells[i]]
		m.spill[i] = 1 - float64(k.SizeVRAM)/float64(k.Size)
	}
	return m
}

// sizeTerms returns the terms that the size of a cell's model is a linear function of.
func (s *space) sizeTerms(i int) []float64 {
	c, b := s.c[s.ctx[i]], s.b[s.batch[i]]
	return []float64{1, c, b, c * b}
}

// sizeEquations returns the equations of a load, with sizes relative to the largest: one of its size, or one of
// its weights and cache and one of its compute buffers.
func (s *space) sizeEquations(i int, k checkpoint.Measured, largest float64) [][]float64 {
	t := s.sizeTerms(i)
	if k.Parts == nil {
		return [][]float64{append(t, float64(k.Size)/largest)}
	}
	const mib = 1 << 20
	return [][]float64{
		{t[0], t[1], 0, 0, mib * (k.Parts.ModelMiB + k.Parts.ContextMiB) / largest},
		{0, 0, t[2], t[3], mib * k.Parts.ComputeMiB / largest},
	}
}

// equal reports whether two are the same but for rounding.
func (m *memory) equal(other *memory) bool {
	if m == nil || other == nil {
		return m == other
	}
	const near = 1e-6
	for i := range m.spill {
		if math.Abs(m.spill[i]-other.spill[i]) > near {
			return false
		}
	}
	return math.Abs(m.batchWeight-other.batchWeight) < near && math.Abs(m.product-other.product) < near
}
