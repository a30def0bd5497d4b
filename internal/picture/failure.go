package picture

import (
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	smallestType = 3 // points; still legible at 300 dots per inch
	sideMargin   = 4 // points between the text and a cell's left and right edge
	endMargin    = 3 // points between the text and a cell's lower and upper edge
)

// failureLayout is the layout of a failed cell: a mark, and the name of the error in
// the largest type that fits, wrapped, to the right of the mark or below it.
type failureLayout struct {
	font       font.Font
	lines      []string
	mark       vg.Length // width and height of the mark
	gap        vg.Length // between mark and text
	horizontal bool      // the text is to the right of the mark
}

// layOutFailure fits the name of an error into a cell of w × h points; size is the
// largest type size.
func layOutFailure(name string, w, h, size vg.Length) failureLayout {
	w, h = w-2*sideMargin, h-2*endMargin
	for ; size >= smallestType; size -= 0.25 {
		l := newFailureLayout(size)
		var fits bool
		if l.lines, fits = wrap(l.font, name, w-l.mark-l.gap, h); fits {
			return l
		}
		l.horizontal = false
		if l.lines, fits = wrap(l.font, name, w, h-l.mark-l.gap); fits {
			return l
		}
	}
	l := newFailureLayout(smallestType)
	l.lines = []string{shorten(l.font, name, w-l.mark-l.gap)}
	return l
}

func newFailureLayout(size vg.Length) failureLayout {
	return failureLayout{font: sans(size), mark: size * 0.85, gap: size * 0.4, horizontal: true}
}

// draw draws mark and text, centred as a group in the cell.
func (l failureLayout) draw(c draw.Canvas, cell vg.Rectangle) {
	middle := vg.Point{X: (cell.Min.X + cell.Max.X) / 2, Y: (cell.Min.Y + cell.Max.Y) / 2}
	var w vg.Length
	for _, line := range l.lines {
		w = max(w, width(l.font, line))
	}
	at, text := middle, middle
	if l.horizontal {
		at.X -= (w + l.gap) / 2
		text.X += (l.mark + l.gap) / 2
	} else {
		h := l.font.Size * lineHeight * vg.Length(len(l.lines))
		at.Y += (h + l.gap) / 2
		text.Y -= (l.mark + l.gap) / 2
	}
	drawMark(c, at, l.mark)
	write(c, l.font, failedRed, draw.XCenter, text, l.lines...)
}

// drawMark draws ✗ as two strokes, because the fonts lack the glyph.
func drawMark(c draw.Canvas, at vg.Point, size vg.Length) {
	r := size / 2
	c.SetLineStyle(draw.LineStyle{Color: failedRed, Width: size / 5})
	var p vg.Path
	p.Move(vg.Point{X: at.X - r, Y: at.Y - r})
	p.Line(vg.Point{X: at.X + r, Y: at.Y + r})
	p.Move(vg.Point{X: at.X - r, Y: at.Y + r})
	p.Line(vg.Point{X: at.X + r, Y: at.Y - r})
	c.Stroke(p)
}
