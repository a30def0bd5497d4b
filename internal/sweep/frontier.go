package sweep

import "github.com/ollama-sweep/ollama-sweep/internal/verdict"

// ColumnBest is the cell to use of one num_ctx.
type ColumnBest struct {
	Cell
	Rate  float64   // tokens per second: the median of the samples, or what a search believes
	Rates []float64 // tokens per second, of each sample; none where a search did not measure the cell
	// Measured is how many cells of this num_ctx have a rate, of as many as Planned:
	// the fastest of few may not be the fastest of all.
	Measured, Planned int
}

// Frontier returns the cell to use of every num_ctx that has one, in the order of
// num_ctx: what a search for them recommends, else the one that is recommended over
// all, else what the samples of that num_ctx tell by themselves.
func (cp *Checkpoint) Frontier() []ColumnBest {
	picked := make(map[int]ColumnAnswer)
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
	for _, c := range cp.rated(true) {
		columns[c.Ctx] = append(columns[c.Ctx], c)
	}
	overall, _ := cp.Verdict()
	var all []ColumnBest
	ctxs, _ := cp.Axes()
	for _, ctx := range ctxs {
		best := ColumnBest{Measured: len(columns[ctx]), Planned: planned[ctx]}
		pick, ok := picked[ctx]
		switch {
		case ok:
			best.Cell, best.Rate = pick.Cell(), pick.Rate
		case overall.Recommended.Ctx == ctx:
			best.Cell = Cell{ctx, overall.Recommended.Batch}
		default:
			v, ok := verdict.Judge(columns[ctx], nil)
			if !ok {
				continue
			}
			best.Cell = Cell{v.Recommended.Ctx, v.Recommended.Batch}
		}
		for _, c := range columns[ctx] {
			if best.Cell == (Cell{c.Ctx, c.Batch}) {
				best.Rate, best.Rates = c.Median(), c.Rates
			}
		}
		all = append(all, best)
	}
	return all
}
