package picture

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

// Entry explains a look of cells.
type Entry struct {
	Look    Look
	Meaning string
}

// Look is something that cells can look like.
type Look int

// The looks of cells, each with a swatch of its own.
const (
	LookBlank Look = iota
	LookMissing
	LookPruned
	LookFailed
	LookSpilled
	LookPicked
	LookRecommended
	LookBold
)

// drawSwatch draws a small cell of the look.
func (l Look) drawSwatch(c draw.Canvas, swatch vg.Rectangle) {
	switch l {
	case LookBlank:
		fill(c, blankGrey, swatch)
		drawSwatchFrame(c, swatch)
	case LookMissing:
		drawMissing(c, swatch)
		drawSwatchFrame(c, swatch)
	case LookPruned:
		drawPruned(c, swatch)
		drawSwatchFrame(c, swatch)
	case LookFailed:
		fill(c, failedTint, swatch)
		drawFailedBorder(c, swatch)
		drawMark(c, middle(swatch), swatchHeight/2)
	case LookSpilled:
		drawSwatchFrame(c, swatch)
		drawSpill(c, swatch)
	case LookPicked:
		drawSwatchFrame(c, swatch)
		drawPick(c, swatch)
	case LookRecommended:
		drawRecommended(c, swatch)
	case LookBold:
		write(c, sansBold(legendType), ink, draw.XCenter, middle(swatch), "+1.0")
	}
}

func drawSwatchFrame(c draw.Canvas, swatch vg.Rectangle) {
	stroke(c, draw.LineStyle{Color: gridGrey, Width: 0.5}, swatch)
}

// drawLegend draws the entries in one line, centred in the area.
func drawLegend(c draw.Canvas, area vg.Rectangle, entries []Entry) {
	f := sans(legendType)
	total := vg.Length(len(entries)-1) * entryGap
	for _, e := range entries {
		total += swatchWidth + swatchGap + width(f, e.Meaning)
	}
	at := vg.Point{X: middle(area).X - total/2, Y: area.Min.Y + swatchHeight/2}
	for _, e := range entries {
		e.Look.drawSwatch(c, vg.Rectangle{
			Min: vg.Point{X: at.X, Y: at.Y - swatchHeight/2},
			Max: vg.Point{X: at.X + swatchWidth, Y: at.Y + swatchHeight/2},
		})
		at.X += swatchWidth + swatchGap
		write(c, f, ink, draw.XLeft, at, e.Meaning)
		at.X += width(f, e.Meaning) + entryGap
	}
}
