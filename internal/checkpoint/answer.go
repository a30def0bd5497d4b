package checkpoint

import (
	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// Answer is the result of a search so far.
type Answer struct {
	// Best is the measured cell that the search expects to be the fastest; the zero
	// value where no cell has a rate.
	Best cell.Key `json:"best"`
	// Rate is the search's estimate of Best's true rate in tokens per second, with its
	// 95 % interval from Low to High.
	Rate float64 `json:"rate"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Chance is the probability that some cell that was not measured is faster
	// than Best by more than the tolerance.
	Chance float64 `json:"chance"`
	// Columns holds the cell expected to be the fastest of each num_ctx, ascending, in a
	// search for these; without those num_ctx at which no cell is expected to
	// work.
	Columns []ColumnAnswer `json:"columns,omitempty"`
	// Others holds how much faster Best is than the cells that differ from it in one setting besides
	// num_ctx and num_batch, by the search's estimate.
	Others []OtherValue `json:"others,omitempty"`
	// Done reports whether the search has finished. Why is the reason that it finished,
	// or what it does next.
	Done bool   `json:"done"`
	Why  string `json:"why,omitempty"`
}

// OtherValue compares the value of a setting in a recommended cell with another one.
type OtherValue struct {
	Setting string `json:"setting"`
	Value   string `json:"value"` // the other one
	// Gain is by how much the recommended cell is faster, with its 95 % interval from Low to High: 0.01 is 1 %.
	Gain float64 `json:"gain"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// ColumnAnswer is the cell that a search expects to be the fastest of its num_ctx.
type ColumnAnswer struct {
	NumCtx   int     `json:"num_ctx"`
	NumBatch int     `json:"num_batch"`
	Rate     float64 `json:"rate"` // estimate, in tokens per second
	// Loss is the expected gain of the best other num_batch: 0.01 is 1 %.
	Loss float64 `json:"loss"`
	// Key holds the values on all axes, nil where the sweep has none but num_ctx and num_batch.
	Key *cell.Key `json:"key,omitempty"`
}

// Cell returns the cell of c.
func (c ColumnAnswer) Cell() cell.Key {
	if c.Key != nil {
		return *c.Key
	}
	return cell.Key{Ctx: c.NumCtx, Batch: c.NumBatch}
}
