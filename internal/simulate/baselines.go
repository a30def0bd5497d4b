package simulate

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// randomSearch measures random cells: so many or, where that is 0, about as many as a search should need, 4 % of
// the plan, and at least 25.
type randomSearch struct {
	Seed  uint64
	Cells int
}

// Next implements [sweep.Strategy].
func (r randomSearch) Next(s sweep.State) sweep.Choice {
	n := r.Cells
	if n == 0 {
		n = max(25, int(math.Ceil(0.04*float64(len(s.Plan)))))
	}
	order := rand.New(rand.NewPCG(r.Seed, 2)).Perm(len(s.Plan))
	choice := sweep.Choice{Samples: 1}
	for _, i := range order[:min(n, len(order))] {
		if _, known := s.Measured[s.Plan[i]]; !known {
			choice.Cells = append(choice.Cells, s.Plan[i])
		}
	}
	if len(choice.Cells) == 0 {
		return end("all random cells are measured", s)
	}
	return choice
}

// end returns the choice that ends a search. It recommends the measured cell with the
// highest rate.
func end(why string, s sweep.State) sweep.Choice {
	best, _ := highest(s)
	return sweep.Choice{Why: why, Answer: &checkpoint.Answer{Best: best}}
}

// goldenSection searches for the best num_batch at the smallest num_ctx, and then for the
// best num_ctx with that num_batch, each by golden-section search of the list, which
// assumes that the rate is unimodal.
type goldenSection struct{}

// Next implements [sweep.Strategy].
func (g goldenSection) Next(s sweep.State) sweep.Choice {
	if next := g.nextCell(s); next != (cell.Key{}) {
		return sweep.Choice{Cells: []cell.Key{next}, Samples: 1, Why: "golden section"}
	}
	return end("num_batch and num_ctx are searched", s)
}

// nextCell repeats the search from the start and returns the first cell that is not
// measured yet; the zero Key where there is none.
func (g goldenSection) nextCell(s sweep.State) (unknown cell.Key) {
	var ctxs, batches []int
	for _, c := range s.Plan {
		ctxs, batches = append(ctxs, c.Ctx), append(batches, c.Batch)
	}
	slices.Sort(ctxs)
	slices.Sort(batches)
	ctxs, batches = slices.Compact(ctxs), slices.Compact(batches)
	rate := func(c cell.Key) float64 {
		known, ok := s.Measured[c]
		switch {
		case !slices.Contains(s.Plan, c), ok && known.Failed:
			return 0
		case !ok && unknown == cell.Key{}:
			unknown = c
		case ok:
			return known.Rates[0]
		}
		return 0
	}
	batch := section(len(batches), func(i int) float64 {
		if unknown != (cell.Key{}) {
			return 0
		}
		return rate(cell.Key{Ctx: ctxs[0], Batch: batches[i]})
	})
	section(len(ctxs), func(i int) float64 {
		if unknown != (cell.Key{}) {
			return 0
		}
		return rate(cell.Key{Ctx: ctxs[i], Batch: batches[batch]})
	})
	return unknown
}

// section returns the index of the highest of n values by golden-section search.
func section(n int, value func(int) float64) int {
	low, high := 0, n-1
	for high-low > 2 {
		width := int(math.Round(float64(high-low) / math.Phi))
		left, right := high-width, low+width
		if left == right {
			right++
		}
		if value(left) >= value(right) {
			high = right
		} else {
			low = left
		}
	}
	best := low
	for i := low; i <= high; i++ {
		if value(i) > value(best) {
			best = i
		}
	}
	return best
}
