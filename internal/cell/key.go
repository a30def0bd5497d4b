// Package cell defines the combinations of settings that a sweep measures: keys over the axes num_ctx
// and num_batch, ordered grids of them, and the shards into which a plan is split for several machines.
// It knows nothing about servers and results.
package cell

import (
	"cmp"
	"fmt"
	"slices"
)

// Key is the combination of settings of one cell. It is comparable, so that it can be a map key.
type Key struct {
	Ctx   int `json:"num_ctx"`   // tokens of context allocated
	Batch int `json:"num_batch"` // tokens per forward pass
}

// String returns the cell's name in subtests and benchmark lines.
func (c Key) String() string { return fmt.Sprintf("ctx=%d/batch=%d", c.Ctx, c.Batch) }

// MayEqual reports whether both cells can have the same effective settings on a server: they
// are equal, or one of them leaves num_batch to the server.
func (c Key) MayEqual(other Key) bool {
	return c.Ctx == other.Ctx && (c.Batch == other.Batch || c.Batch == 0 || other.Batch == 0)
}

// Compare orders cells by num_ctx, then num_batch.
func (c Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(c.Ctx, other.Ctx), cmp.Compare(c.Batch, other.Batch))
}

// Axes returns every num_ctx and every num_batch of the cells, ascending.
func Axes(cells []Key) (ctx, batch []int) {
	for _, c := range cells {
		ctx, batch = append(ctx, c.Ctx), append(batch, c.Batch)
	}
	return Distinct(ctx), Distinct(batch)
}

// Distinct sorts the values in place and returns them without duplicates.
func Distinct(values []int) []int {
	slices.Sort(values)
	return slices.Compact(values)
}

// Valid reports whether the cell can be measured. Servers cap num_batch at num_ctx,
// so a cell with a larger num_batch would be a duplicate of another.
func (c Key) Valid() bool { return c.Batch <= c.Ctx }
