package report

import (
	"fmt"
	"io"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Changes is what a picture shows of how rates changed from one sweep to another.
type Changes struct {
	Title string // names both
	Text  string // says what came of it, in a line
	// NumCtx and NumBatch are the axes, ascending.
	NumCtx, NumBatch []int
	// Ratio is relative, 0.05 for 5 % faster, of the cells that have a rate on both
	// sides.
	Ratio map[cell.Key]float64
	// Strong are those of them whose change is significant.
	Strong map[cell.Key]bool
	// Failed are the results of the cells that fail now.
	Failed []checkpoint.Result
}

// leastChange is the smallest change that the scale covers, in percent: below it
// noise would be painted in full colours.
const leastChange = 1

// WriteChanges draws the changes as a PNG picture like that of a sweep: red is
// slower, blue is faster, significant changes are bold.
func WriteChanges(w io.Writer, c Changes) error {
	cp := &checkpoint.Checkpoint{Sweep: checkpoint.Header{NumCtx: c.NumCtx, NumBatch: c.NumBatch}, Results: c.Failed}
	most := float64(leastChange)
	for cell, ratio := range c.Ratio {
		percent := 100 * ratio
		most = max(most, math.Abs(percent))
		cp.Results = append(cp.Results, checkpoint.Result{NumCtx: cell.Ctx, NumBatch: cell.Batch, PromptEvalRate: &percent})
	}
	m := cellMap{grid: newGrid(cp), strong: c.Strong}
	if err := m.drawable(); err != nil {
		return fmt.Errorf("drawing changes: %w", err)
	}
	if len(c.Ratio) > 0 {
		m.scale = &scale{-most, most, &changeColors, "Change of Prompt Eval Rate (%)", SignedPercent}
	}
	title := []titleLine{
		{OneLine(c.Title), sansBold(16), ink},
		{OneLine(c.Text), sans(12), ink},
	}
	return layOut(m, title, m.changeLegend(len(c.Strong) > 0)).write(w)
}

// SignedPercent gives a change of so many percent its sign; what rounds to nothing
// is +0.0.
func SignedPercent(percent float64) string { return fmt.Sprintf("%+.1f", math.Round(10*percent)/10+0) }

// changeLegend explains what does not speak for itself.
func (g *grid) changeLegend(strong bool) []legendEntry {
	var entries []legendEntry
	if strong {
		entries = append(entries, legendEntry{"bold: significant", func(c draw.Canvas, swatch vg.Rectangle) {
			write(c, sansBold(legendType), ink, draw.XCenter, middle(swatch), "+1.0")
		}})
	}
	if g.has(failed) {
		entries = append(entries, failedEntry("fails now, with the type of error"))
	}
	if g.has(missing) {
		entries = append(entries, missingEntry("without a rate on one side or both"))
	}
	return entries
}
