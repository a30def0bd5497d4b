package sweep

import (
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// ColumnBest is the fastest cell of one num_ctx.
type ColumnBest struct {
	cell.Key
	Rate  float64   // tokens per second: the median of the samples
	Rates []float64 // tokens per second, of each sample
	// Believed reports that the cell was not measured: the Rate is a search's estimate, and
	// there are no Rates.
	Estimated bool
	// Measured is how many cells of this num_ctx have a rate, of as many as Planned:
	// the fastest of few may not be the fastest of all.
	Measured, Planned int
}

// Frontier returns the fastest cell of every num_ctx that has one, in the order of
// num_ctx: the one with the highest rate, or one for which a search expects a higher rate. v must be
// the verdict of cp.
func Frontier(cp *checkpoint.Checkpoint, v Verdict) []ColumnBest {
	picked := make(map[int]checkpoint.ColumnAnswer)
	if s := cp.Sweep.Search; s != nil {
		for _, c := range s.Columns {
			picked[c.NumCtx] = c
		}
	}
	planned := make(map[int]int)
	for _, c := range cp.Plan() {
		planned[c.Ctx]++
	}
	columns := make(map[int][]verdict.Cell)
	for _, c := range rated(cp) {
		columns[c.Ctx] = append(columns[c.Ctx], c)
	}
	var all []ColumnBest
	ctxs, _ := cp.Axes()
	for _, ctx := range ctxs {
		best := ColumnBest{Measured: len(columns[ctx]), Planned: planned[ctx]}
		for _, c := range columns[ctx] {
			if rate, _ := v.Figure(c); rate > best.Rate || rate == best.Rate && v.Best.Key == c.Key {
				best.Key, best.Rate, best.Rates = c.Key, rate, append(slices.Clone(c.Rates), c.Later...)
			}
		}
		measured := slices.ContainsFunc(columns[ctx], func(c verdict.Cell) bool { return c.Key == picked[ctx].Cell() })
		if pick := picked[ctx]; !measured && pick.Rate > best.Rate {
			best.Key, best.Rate, best.Rates, best.Estimated = pick.Cell(), pick.Rate, nil, true
		}
		if best.Rate > 0 {
			all = append(all, best)
		}
	}
	return all
}
