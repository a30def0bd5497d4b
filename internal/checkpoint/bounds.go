package checkpoint

import (
	"fmt"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// wrongSize says which figure, of those that decide how much memory is asked for, is not in its
// range; empty when all are.
func (cp *Checkpoint) wrongSize() string {
	if wrong := cp.Sweep.wrong(); wrong != "" {
		return wrong
	}
	for i := range cp.Results {
		if c := cp.Results[i].Cell(); c.Ctx > cell.Largest || c.Batch > cell.Largest {
			return fmt.Sprintf("result %d (%v): a server takes no more than %d", i+1, c, cell.Largest)
		}
	}
	ctx, batch := cp.Axes()
	return tooMany(len(ctx), len(batch))
}

// wrong says what no sweep of ours writes in a header, empty when all is well.
func (h Header) wrong() string {
	for _, axis := range []struct {
		name   string
		values []int
	}{{"num_ctx", h.NumCtx}, {"num_batch", h.NumBatch}} {
		for _, v := range axis.values {
			if v <= 0 || v > cell.Largest {
				return fmt.Sprintf("%s has %d, which is not between 1 and %d", axis.name, v, cell.Largest)
			}
		}
	}
	if h.Shard.Count > cell.MaxCells {
		return fmt.Sprintf("shard %v: %d is the most", h.Shard, cell.MaxCells)
	}
	return h.Sizing.wrong()
}

// tooMany says that a grid of so many values has too many cells, empty where it has not.
func tooMany(ctx, batch int) string {
	if batch == 0 || ctx <= cell.MaxCells/batch {
		return ""
	}
	return fmt.Sprintf("%d num_ctx by %d num_batch are %d cells, and %d is the most", ctx, batch, ctx*batch, cell.MaxCells)
}

// wrong says what no sizing comes to: a prompt of made-up words would be of any length.
func (s Sizing) wrong() string {
	const leastPerWord = 1.0 / 16 // sizings count at least a token for so many words
	switch {
	case s.PerWord != 0 && !(s.PerWord >= leastPerWord && s.PerWord <= cell.Largest):
		return fmt.Sprintf("prompt_sizing: per_word is %v, which is not between %v and %d tokens", s.PerWord, leastPerWord, cell.Largest)
	case !(math.Abs(s.Fixed) <= cell.Largest):
		return fmt.Sprintf("prompt_sizing: fixed is %v tokens", s.Fixed)
	case s.FileTokens < 0 || s.FileTokens > cell.Largest:
		return fmt.Sprintf("prompt_sizing: file_tokens is %d", s.FileTokens)
	}
	return ""
}
