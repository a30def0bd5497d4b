package picture

import (
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Line is a line of the title.
type Line struct {
	text  string
	font  font.Font
	color color.Color
}

// Heading is a line in large type.
func Heading(text string) Line { return Line{text, sansBold(16), ink} }

// Detail is a line in small type.
func Detail(text string) Line { return Line{text, sans(12), ink} }

// Highlight is a line in the colour of the best cell.
func Highlight(text string) Line { return Line{text, sansBold(14), bestBlue} }

// String returns the line's text.
func (l Line) String() string { return l.text }

// drawTitle draws the lines from the top of the area downwards. A line that is wider
// than the area is set in smaller type, and cut if that is not enough.
func drawTitle(c draw.Canvas, area vg.Rectangle, lines []Line) {
	at := vg.Point{X: middle(area).X, Y: area.Max.Y}
	for _, l := range lines {
		step := l.font.Size * 1.3
		for l.font.Size > 8 && width(l.font, l.text) > area.Size().X {
			l.font.Size -= 0.5
		}
		text := shorten(l.font, l.text, area.Size().X)
		write(c, l.font, l.color, draw.XCenter, vg.Point{X: at.X, Y: at.Y - step/2}, text)
		at.Y -= step
	}
}

func titleHeight(lines []Line) vg.Length {
	var h vg.Length
	for _, l := range lines {
		h += l.font.Size * 1.3
	}
	return h
}
