package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// holdsProbes reports whether there are no more rates of probes than num_batch up to that of each cell.
func (g *surfaceFile) holdsProbes() bool {
	if len(g.ProbeRate) != len(g.NumCtx) {
		return false
	}
	for _, row := range g.ProbeRate {
		if len(row) != len(g.NumBatch) {
			return false
		}
		for j, rates := range row {
			if len(rates) > len(g.NumBatch) || slices.ContainsFunc(rates[min(j+1, len(rates)):], func(r *float64) bool { return r != nil }) {
				return false
			}
		}
	}
	return true
}

// addProbes adds the rates of probes under the load of the cell with these indices.
func (g *surfaceFile) addProbes(s *Surface, i, j int) error {
	c := cell.Key{Ctx: g.NumCtx[i], Batch: g.NumBatch[j]}
	if g.ProbeRate == nil || s.Rates[c] == 0 {
		return nil
	}
	if s.Probes == nil {
		s.Probes = make(map[cell.Key]map[int]float64)
	}
	s.Probes[c] = make(map[int]float64)
	for k, rate := range g.ProbeRate[i][j] {
		if rate == nil {
			continue
		}
		if !(*rate > 0) {
			return fmt.Errorf("probe_rate of %v must be positive", c)
		}
		s.Probes[c][g.NumBatch[k]] = *rate
	}
	return nil
}

// Of the generated surfaces, this share can't be probed, and on this share probes mislead.
const (
	unprobed   = 0.1
	misleading = 0.125
)

// drawProbes draws the rates of probes: those of the passes' num_batch, under the memory of the load
// instead of their own, with an error for each number of tokens, which is the same for all loads.
func (l *landscape) drawProbes(rng *rand.Rand, s *surfaceFile, rates [][]float64) {
	if rng.Float64() < unprobed {
		return
	}
	level, slope, each := 0.01*rng.NormFloat64(), between(rng, 0, 0.015), between(rng, 0.002, 0.012)
	if rng.Float64() < misleading {
		level, each = 0.04*rng.NormFloat64(), between(rng, 0.03, 0.07)
	}
	var errors []float64
	for _, b := range l.batches { // small passes are slower than a whole prompt of them
		errors = append(errors, level-slope*math.Log2(l.maxBatch/b)/4+each*rng.NormFloat64())
	}
	for i, ctx := range s.NumCtx {
		var column [][]*float64
		for j, batch := range s.NumBatch {
			var probes []*float64
			for k, pass := range s.NumBatch[:j+1] {
				rate := rates[i][k] * math.Exp(l.spilled(ctx, pass)-l.spilled(ctx, batch)+errors[k])
				probes = append(probes, &rate)
			}
			if s.TrueRate[i][j] == nil {
				probes = nil
			}
			column = append(column, probes)
		}
		s.ProbeRate = append(s.ProbeRate, column)
	}
}
