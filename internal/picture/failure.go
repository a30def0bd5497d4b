package picture

import (
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	smallestType = 3 // points; still told apart at 300 dots per inch
	sideMargin   = 4 // points kept free inside of a cell's left and right edge
	endMargin    = 3 // points kept free inside of its lower and upper edge
)

// failureLayout says how a failed cell shows its error: a mark, and the error's
// name in the largest type that fits, wrapped beside the mark or below it.
type failureLayout struct {
	font   font.Font
	lines  []string
	mark   vg.Length // width and height of the mark
	gap    vg.Length // between mark and text
	beside bool
}

// layOutFailure fits an error's name into a cell of the size w × h, in type of
// the size at most.
func layOutFailure(name string, w, h, size vg.Length) failureLayout {
	w, h = w-2*sideMargin, h-2*endMargin
	for ; size >= smallestType; size -= 0.25 {
		l := newFailureLayout(size)
		var fits bool
		if l.lines, fits = wrap(l.font, name, w-l.mark-l.gap, h); fits {
			return l
		}
		l.beside = false
		if l.lines, fits = wrap(l.font, name, w, h-l.mark-l.gap); fits {
			return l
		}
	}
	l := newFailureLayout(smallestType)
	l.lines = []string{shorten(l.font, name, w-l.mark-l.gap)}
	return l
}

func newFailureLayout(size vg.Length) failureLayout {
	return failureLayout{font: sans(size), mark: size * 0.85, gap: size * 0.4, beside: true}
}

// draw puts mark and text, as one group, into the middle of the cell.
func (l failureLayout) draw(c draw.Canvas, cell vg.Rectangle) {
	middle := vg.Point{X: (cell.Min.X + cell.Max.X) / 2, Y: (cell.Min.Y + cell.Max.Y) / 2}
	var w vg.Length
	for _, line := range l.lines {
		w = max(w, width(l.font, line))
	}
	at, text := middle, middle
	if l.beside {
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

// drawMark draws ✗ as two strokes, because the fonts lack the sign.
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
