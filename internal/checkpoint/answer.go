package checkpoint

import (
	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// Answer is what a search has found, as far as it has come.
type Answer struct {
	// Best is the cell held for the fastest of those measured; the zero value
	// where none has a rate.
	Best cell.Key `json:"best"`
	// Rate is what the search believes of Best's true rate in tokens per second,
	// Low and High its 95 % interval.
	Rate float64 `json:"rate"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Chance is the probability that some cell that was not measured is faster
	// than Best by more than the tolerance.
	Chance float64 `json:"chance"`
	// Columns holds the cell held for the fastest of each num_ctx, ascending, where
	// the search looks for them; without those num_ctx of which no cell is held to
	// work.
	Columns []ColumnAnswer `json:"columns,omitempty"`
	// Done says that the search came to its end, and Why what ended it or what it
	// does next.
	Done bool   `json:"done"`
	Why  string `json:"why,omitempty"`
}

// ColumnAnswer is the cell held for the fastest of its num_ctx.
type ColumnAnswer struct {
	NumCtx   int     `json:"num_ctx"`
	NumBatch int     `json:"num_batch"`
	Rate     float64 `json:"rate"` // tokens per second, as the search believes
	// Loss is by how much another num_batch is expected to be faster: 0.01 is 1 %.
	Loss float64 `json:"loss"`
}

// Cell returns the cell that c names.
func (c ColumnAnswer) Cell() cell.Key { return cell.Key{Ctx: c.NumCtx, Batch: c.NumBatch} }
