package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// nearLimit is how close to the GPUs' memory, relative, an estimate is inconclusive: estimates
// were off by up to that much.
const nearLimit = 0.1

// mark returns the map's character for a cell, explained in meanings.
func (p *Plan) mark(c cell.Key) byte {
	if r := p.results[c]; r != nil {
		switch {
		case r.Failed():
			return 'x'
		case r.SizeVRAM > 0 && r.SizeVRAM < r.Size && p.forecast.settingsOf(c.Settings).gpuLayers < 0:
			return '!'
		}
		return '+'
	}
	return p.estimatedMark(c)
}

// estimatedMark returns the mark of a cell that is not measured.
func (p *Plan) estimatedMark(c cell.Key) byte {
	if p.GPUBytes == 0 {
		return '.'
	}
	switch share := float64(p.forecast.size(c)) / float64(p.GPUBytes); {
	case share > 1+nearLimit:
		return '!'
	case share > 1-nearLimit:
		return '?'
	}
	return '.'
}

// meanings explain the marks.
var meanings = []struct {
	mark    byte
	meaning string
}{
	{'.', "fits"},
	{'?', "near the limit: may spill to the CPU or fail"},
	{'!', "larger than the GPUs' memory: likely to spill or fail, or did spill"},
	{'+', "measured"},
	{'x', "failed"},
}

// The largest map; a larger grid is thinned.
const (
	mostMapColumns = 120
	mostMapRows    = 60
)

// printMap prints the cells with the settings of a combination as a grid with a mark for each pair, num_ctx
// to the right. Where several cells have the same pair, it is the worst of theirs.
func (p *Plan) printMap(b *strings.Builder, s cell.Settings) {
	allCtx, allBatch := cell.Axes(p.Cells)
	ctx, batch := thinned(allCtx, mostMapColumns), thinned(allBatch, mostMapRows)
	planned := p.cellsByPair(s)
	seen := make(map[byte]bool)
	fmt.Fprintf(b, "\n  %9s  num_ctx %s", "num_batch", span(ctx))
	if len(ctx) < len(allCtx) || len(batch) < len(allBatch) {
		fmt.Fprintf(b, ", %d of %d and %d of %d num_batch", len(ctx), len(allCtx), len(batch), len(allBatch))
	}
	b.WriteString("\n")
	for i := len(batch) - 1; i >= 0; i-- {
		line := make([]byte, len(ctx))
		for j := range ctx {
			c := cell.Key{Ctx: ctx[j], Batch: batch[i]}
			line[j] = ' '
			if cells := planned[c]; len(cells) > 0 {
				line[j] = p.worst(cells)
				seen[line[j]] = true
			}
		}
		fmt.Fprintf(b, "  %9d  %s\n", batch[i], strings.TrimRight(string(line), " "))
	}
	for _, m := range meanings {
		if seen[m.mark] && (m.mark != '.' || p.GPUBytes > 0) {
			fmt.Fprintf(b, "  %c %s\n", m.mark, m.meaning)
		}
	}
}

func span(values []int) string {
	if len(values) == 1 {
		return strconv.Itoa(values[0])
	}
	return fmt.Sprintf("%d to %d", values[0], values[len(values)-1])
}
