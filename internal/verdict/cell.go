package verdict

import (
	"cmp"
	"slices"
)

// Cell is a cell's pair of settings and its samples. Functions of this package
// read the rates and never sort or change them in place.
type Cell struct {
	Ctx, Batch int
	Rates      []float64 // tokens per second, one or more, in any order
}

// Median is the median rate in tokens per second, 0 for a cell without samples.
func (c Cell) Median() float64 { return Median(c.Rates) }

// Median is 0 for no values.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	default:
		return sorted[n/2-1]/2 + sorted[n/2]/2 // halves first: a sum could overflow
	}
}

// No machine evaluates a prompt slower or faster than this, in tokens per
// second. The bounds keep squares and ratios of rates finite.
const slowest, fastest = 1e-9, 1e12

// measured copies the rates that can be measurements; NaN fails both
// comparisons.
func measured(rates []float64) []float64 {
	kept := make([]float64, 0, len(rates))
	for _, r := range rates {
		if r >= slowest && r <= fastest {
			kept = append(kept, r)
		}
	}
	return kept
}

// byGrid orders cells by Ctx, then Batch.
func byGrid(a, b Cell) int {
	return cmp.Or(cmp.Compare(a.Ctx, b.Ctx), cmp.Compare(a.Batch, b.Batch))
}

// byPreference puts the cell to prefer first: the largest Ctx, because more
// context is what one would rather have at equal speed, then the smallest
// Batch, because it takes the least memory.
func byPreference(a, b Cell) int {
	return cmp.Or(cmp.Compare(b.Ctx, a.Ctx), cmp.Compare(a.Batch, b.Batch))
}
