package report

import (
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The dimensions of the legend in points.
const (
	legendType   = 10
	legendHeight = 28 // at the lower edge of the picture
	swatchWidth  = 26
	swatchHeight = 14
	swatchGap    = 6
	entryGap     = 28
)

// legendEntry explains a look of cells: a swatch and what it means.
type legendEntry struct {
	meaning string
	draw    func(c draw.Canvas, swatch vg.Rectangle)
}

// legend returns an entry for each look that occurs and needs an explanation.
func (g *grid) legend() []legendEntry {
	var entries []legendEntry
	if g.has(failed) {
		entries = append(entries, failedEntry("failed, with the type of error"))
	}
	if g.hasSpilled() {
		entries = append(entries, legendEntry{spilledText, func(c draw.Canvas, swatch vg.Rectangle) {
			stroke(c, draw.LineStyle{Color: gridGrey, Width: 0.5}, swatch)
			drawSpill(c, swatch)
		}})
	}
	if g.has(missing) {
		entries = append(entries, missingEntry(g.missingText()))
	}
	if g.has(pruned) {
		entries = append(entries, legendEntry{prunedText, func(c draw.Canvas, swatch vg.Rectangle) {
			drawPruned(c, swatch)
			stroke(c, draw.LineStyle{Color: gridGrey, Width: 0.5}, swatch)
		}})
	}
	if len(g.picks()) > 0 {
		entries = append(entries, legendEntry{pickText, func(c draw.Canvas, swatch vg.Rectangle) {
			stroke(c, draw.LineStyle{Color: gridGrey, Width: 0.5}, swatch)
			drawPick(c, swatch)
		}})
	}
	if reason := g.blankReason(); reason != "" {
		entries = append(entries, legendEntry{reason, func(c draw.Canvas, swatch vg.Rectangle) {
			fill(c, blankGrey, swatch)
			stroke(c, draw.LineStyle{Color: gridGrey, Width: 0.5}, swatch)
		}})
	}
	return entries
}

func failedEntry(meaning string) legendEntry {
	return legendEntry{meaning, func(c draw.Canvas, swatch vg.Rectangle) {
		fill(c, failedTint, swatch)
		drawFailedBorder(c, swatch)
		drawMark(c, middle(swatch), swatchHeight/2)
	}}
}

func missingEntry(meaning string) legendEntry {
	return legendEntry{meaning, func(c draw.Canvas, swatch vg.Rectangle) {
		drawMissing(c, swatch)
		stroke(c, draw.LineStyle{Color: gridGrey, Width: 0.5}, swatch)
	}}
}

// drawLegend draws the entries in one line, centred in the area.
func drawLegend(c draw.Canvas, area vg.Rectangle, entries []legendEntry) {
	f := sans(legendType)
	total := vg.Length(len(entries)-1) * entryGap
	for _, e := range entries {
		total += swatchWidth + swatchGap + width(f, e.meaning)
	}
	at := vg.Point{X: middle(area).X - total/2, Y: area.Min.Y + swatchHeight/2}
	for _, e := range entries {
		e.draw(c, vg.Rectangle{
			Min: vg.Point{X: at.X, Y: at.Y - swatchHeight/2},
			Max: vg.Point{X: at.X + swatchWidth, Y: at.Y + swatchHeight/2},
		})
		at.X += swatchWidth + swatchGap
		write(c, f, ink, draw.XLeft, at, e.meaning)
		at.X += width(f, e.meaning) + entryGap
	}
}
