package sweep

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Cell is one pair of settings to measure.
type Cell struct {
	Ctx   int `json:"num_ctx"`   // tokens of context allocated
	Batch int `json:"num_batch"` // tokens per forward pass
}

// String names the cell as its subtest and its benchmark line do.
func (c Cell) String() string { return fmt.Sprintf("ctx=%d/batch=%d", c.Ctx, c.Batch) }

// mayEqual reports whether a server can take the settings of both for the same: they are, or
// one of them leaves num_batch to the server.
func (c Cell) mayEqual(other Cell) bool {
	return c.Ctx == other.Ctx && (c.Batch == other.Batch || c.Batch == 0 || other.Batch == 0)
}

// Compare orders cells by num_ctx, then num_batch.
func (c Cell) Compare(other Cell) int {
	return cmp.Or(cmp.Compare(c.Ctx, other.Ctx), cmp.Compare(c.Batch, other.Batch))
}

// Axes returns every num_ctx and every num_batch of the cells, ascending.
func Axes(cells []Cell) (ctx, batch []int) {
	for _, c := range cells {
		ctx, batch = append(ctx, c.Ctx), append(batch, c.Batch)
	}
	return distinct(ctx), distinct(batch)
}

// distinct sorts the values and drops what stands twice.
func distinct(values []int) []int {
	slices.Sort(values)
	return slices.Compact(values)
}

// Valid reports whether the cell can be measured as it stands. Servers cap
// num_batch at num_ctx, so that a larger one would be a copy of another cell.
func (c Cell) Valid() bool { return c.Batch <= c.Ctx }

// Grid holds the values of the two settings, each ascending and unique.
type Grid struct {
	Ctx   []int
	Batch []int
	// BatchFirst walks all num_ctx of one num_batch before the next num_batch.
	// The zero value walks all num_batch of one num_ctx: column order.
	BatchFirst bool
}

// Cells returns the cells to measure, in order, and those left out because
// they are not valid.
func (g Grid) Cells() (plan, leftOut []Cell) {
	add := func(c Cell) {
		if c.Valid() {
			plan = append(plan, c)
		} else {
			leftOut = append(leftOut, c)
		}
	}
	if g.BatchFirst {
		for _, batch := range g.Batch {
			for _, ctx := range g.Ctx {
				add(Cell{ctx, batch})
			}
		}
		return plan, leftOut
	}
	for _, ctx := range g.Ctx {
		for _, batch := range g.Batch {
			add(Cell{ctx, batch})
		}
	}
	return plan, leftOut
}

// So many bytes name cells at most, which are those of so many at most.
const (
	mostOfNames = 2000
	mostNamed   = 1000
)

// Cells names cells in as few words as it can, and of very many the first.
func Cells(cells []Cell) string {
	n := min(len(cells), mostNamed)
	if text := names(cells[:n]); n == len(cells) && len(text) <= mostOfNames {
		return text
	}
	n = sort.Search(n-1, func(i int) bool { return len(names(cells[:i+2])) > mostOfNames }) + 1
	return fmt.Sprintf("%s and %d more", names(cells[:n]), len(cells)-n)
}

// names puts those together of which every num_ctx has the same num_batch.
func names(cells []Cell) string {
	batches := make(map[int][]int)
	var ctxs []int
	for _, c := range cells {
		if batches[c.Ctx] == nil {
			ctxs = append(ctxs, c.Ctx)
		}
		batches[c.Ctx] = append(batches[c.Ctx], c.Batch)
	}
	alike := make(map[string][]int)
	var order []string
	for _, ctx := range ctxs {
		key := list(batches[ctx])
		if alike[key] == nil {
			order = append(order, key)
		}
		alike[key] = append(alike[key], ctx)
	}
	var parts []string
	for _, key := range order {
		parts = append(parts, fmt.Sprintf("num_ctx=%s with num_batch=%s", list(alike[key]), key))
	}
	return strings.Join(parts, "; ")
}

// mostValues is how many values of an axis are named.
const mostValues = 12

// someOf names ascending values, of many the first and the last.
func someOf(values []int) string {
	if len(values) <= mostValues {
		return list(values)
	}
	return fmt.Sprintf("%s, … %d (%d values)", list(values[:mostValues-1]), values[len(values)-1], len(values))
}

func list(values []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ", ")
}
