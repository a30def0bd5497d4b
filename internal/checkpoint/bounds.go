package checkpoint

import (
	"fmt"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// outOfRange names the first figure out of range, of those that decide how much memory is
// allocated; empty when there is none.
func (cp *Checkpoint) outOfRange() string {
	if text := cp.Sweep.outOfRange(); text != "" {
		return text
	}
	for i := range cp.Results {
		if c := cp.Results[i].Cell(); c.Ctx > cell.Largest || c.Batch > cell.Largest {
			return fmt.Sprintf("result %d (%v): the maximum is %d", i+1, c, cell.Largest)
		}
	}
	if text := axesProblem(cp.Sweep.Axes); text != "" {
		return text
	}
	g := cp.Grid()
	switch {
	case g.Count() <= cell.MaxCells:
	case len(g.Settings) > 0:
		return fmt.Sprintf("%d num_ctx, %d num_batch and the values of %d other axes are more than %d cells", len(g.Ctx), len(g.Batch), len(g.Settings), cell.MaxCells)
	default:
		return fmt.Sprintf("%d num_ctx by %d num_batch are %d cells, the maximum is %d", len(g.Ctx), len(g.Batch), len(g.Ctx)*len(g.Batch), cell.MaxCells)
	}
	return ""
}

// axesProblem describes the first axis besides num_ctx and num_batch that a sweep never writes; empty when
// there is none. Values that occur twice would be cells that occur twice.
func axesProblem(axes []cell.SettingAxis) string {
	for i, a := range axes {
		if _, known := cell.SettingOf(a.Name); !known {
			return fmt.Sprintf("axis %d: unknown setting %q", i+1, a.Name)
		}
		if i > 0 && !cell.InOrder(axes[i-1], a) {
			return fmt.Sprintf("axis %d: %q after %q, out of order", i+1, a.Name, axes[i-1].Name)
		}
		if len(a.Values) == 0 {
			return fmt.Sprintf("axis %s has no values", a.Name)
		}
		seen := make(map[string]bool, len(a.Values))
		for _, v := range a.Values {
			if seen[v] {
				return fmt.Sprintf("axis %s has the value %q twice", a.Name, v)
			}
			seen[v] = true
		}
	}
	return ""
}

// outOfRange names the first figure of the header out of range; empty when there is none.
func (h Header) outOfRange() string {
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
		return fmt.Sprintf("shard %v: the maximum is %d shards", h.Shard, cell.MaxCells)
	}
	return h.Sizing.outOfRange()
}

// outOfRange names the first figure of s out of range: it would make a generated prompt of any
// length. Empty when there is none.
func (s Sizing) outOfRange() string {
	const leastPerWord = 1.0 / 16 // a sizing counts at least one token for 16 words
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
