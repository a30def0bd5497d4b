package search

import (
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// aheadRow is how many loads a search still takes when what the next cell is expected to
// gain is at least Gain times what ends the search.
type aheadRow struct{ gain, least, most float64 }

// Between the two were nine of ten loads of plays on drawn surfaces of seven grids, from 4 × 7
// to 39 × 16 cells, with 0.5 to 10 % of noise. The first row is that of the design, while
// nothing is known of a gain: its figures come on top of the design's own loads. Most is for
// a grid of 100 cells (best) or 10 num_ctx (frontier): that of best grows with the root of up to
// mostGrown cells, that of frontier with the num_ctx. The gain is all that is looked at, since it costs
// nothing: it falls in jumps, and so the ranges are wide.
var (
	bestAhead     = []aheadRow{{math.Inf(1), 1, 18}, {16, 3, 18}, {8, 2, 15}, {4, 1, 13}, {2, 1, 8}, {0, 1, 6}}
	frontierAhead = []aheadRow{{math.Inf(1), -1, 36}, {8, 1, 36}, {4, 1, 28}, {2, 1, 18}, {0, 1, 11}}
)

// mostGrown is how many cells a search for the best has use for: on 39 × 16 it took no more
// loads than on 20 × 15.
const mostGrown = 300

// ahead returns the loads still to come by a table's row for the gain, with most scaled, and
// with those of the design that are not taken yet.
func (v *view) ahead(table []aheadRow, gain, scale float64, design int) sweep.Range {
	row := table[len(table)-1]
	for _, r := range table {
		if gain >= r.gain {
			row = r
			break
		}
	}
	unknown := 0 // a search loads no cell twice
	for _, i := range v.alive {
		if v.asked(i) {
			unknown++
		}
	}
	most := min(unknown, design+int(math.Ceil(row.most*scale)))
	return sweep.Range{Least: min(most, max(1, design+int(row.least))), Most: most}
}

func (v *view) bestAhead(gain float64) sweep.Range {
	return v.ahead(bestAhead, gain, math.Sqrt(float64(min(v.planned, mostGrown))/100), v.untaken(bestDesign))
}

func (v *view) frontierAhead(gain float64) sweep.Range {
	return v.ahead(frontierAhead, gain, float64(len(v.ctxs))/10, v.untaken(frontierDesign))
}

// untaken returns how many cells of a design are not known yet.
func (v *view) untaken(design []place) int {
	cells := make(map[int]bool)
	for _, p := range design {
		if i, ok := v.at(p); ok && v.asked(i) {
			cells[i] = true
		}
	}
	return len(cells)
}
