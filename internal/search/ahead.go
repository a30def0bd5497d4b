package search

import (
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// aheadRow is the range of loads that a search still takes when the expected gain of the next
// cell is at least gain times the threshold that ends the search.
type aheadRow struct{ gain, least, most float64 }

// The tables come from simulated searches on generated surfaces of seven grids, from 4 × 7 to
// 39 × 16 cells, with 0.5 to 10 % of noise: at nine of ten loads, the loads still to come were
// within the range. The first row is for the initial design, while no gain is known: it is added
// to the loads left of the design. most is for a grid of 100 cells (best) or 10 num_ctx
// (frontier): it is scaled with the square root of up to mostUseful cells, or with the number of
// num_ctx. Only the gain is used, because it is known anyway: it falls in jumps, and so the ranges
// are wide.
var (
	bestAhead     = []aheadRow{{math.Inf(1), 1, 18}, {16, 3, 18}, {8, 2, 15}, {4, 1, 13}, {2, 1, 8}, {0, 1, 6}}
	frontierAhead = []aheadRow{{math.Inf(1), -1, 36}, {8, 1, 36}, {4, 1, 28}, {2, 1, 18}, {0, 1, 11}}
)

// Those of searches with probes, on surfaces of four grids, from 4 × 7 to 20 × 16 cells. The loads left of
// the design are in their rows.
var (
	bestAheadProbed     = []aheadRow{{math.Inf(1), 1, 13}, {16, 1, 11}, {8, 1, 11}, {4, 1, 8}, {2, 1, 6}, {0, 1, 5}}
	frontierAheadProbed = []aheadRow{{math.Inf(1), 1, 20}, {8, 1, 18}, {4, 1, 13}, {2, 1, 12}, {0, 1, 10}}
)

// mostUseful is the number of cells up to which a larger grid makes the best search longer: on
// 39 × 16 it took no more loads than on 20 × 15.
const mostUseful = 300

// ahead returns the loads still to come: the table's row for the gain, with most scaled, and the
// loads left of the design.
func (v *view) ahead(table []aheadRow, gain, scale float64, design int) sweep.Range {
	row := table[len(table)-1]
	for _, r := range table {
		if gain >= r.gain {
			row = r
			break
		}
	}
	most := min(v.unmeasuredLeft(), design+int(math.Ceil(row.most*scale)))
	return sweep.Range{Least: min(most, max(1, design+int(row.least))), Most: most}
}

// unmeasuredLeft returns how many loads there can be, because a search loads no cell twice.
func (v *view) unmeasuredLeft() (n int) {
	for _, i := range v.usable {
		if v.unmeasured(i) {
			n++
		}
	}
	return n
}

func (v *view) bestAhead(gain float64) sweep.Range {
	scale := math.Sqrt(float64(min(v.planned, mostUseful)) / 100)
	table, design := bestAhead, v.designLeft(bestDesign)
	if v.st.Probes {
		table, design = bestAheadProbed, 0
	}
	return v.withInteractions(v.ahead(table, gain, scale, design))
}

// withInteractions adds the loads that may show two values together.
func (v *view) withInteractions(ahead sweep.Range) sweep.Range {
	ahead.Most = min(ahead.Most+v.pairsLeft(), v.unmeasuredLeft())
	return ahead
}

func (v *view) frontierAhead(gain float64) sweep.Range {
	scale := float64(len(v.ctxs)) / 10
	table, design := frontierAhead, v.designLeft(frontierDesign)
	if v.st.Probes {
		table, design = frontierAheadProbed, 0
	}
	return v.withInteractions(v.ahead(table, gain, scale, design))
}

// designLeft returns how many cells of a design are not measured yet.
func (v *view) designLeft(design []position) int {
	cells := make(map[int]bool)
	for _, p := range design {
		if i, ok := v.at(p); ok && v.unmeasured(i) {
			cells[i] = true
		}
	}
	return len(cells)
}
