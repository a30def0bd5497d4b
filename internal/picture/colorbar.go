package picture

import (
	"cmp"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Scale maps values to colours and texts.
type Scale struct {
	Low, High float64 // Low is below High
	Colors    *Colors
	Name      string                     // of the values, with their unit
	Text      func(value float64) string // in a cell
}

func (s *Scale) color(value float64) color.RGBA {
	return s.Colors.Shade((value - s.Low) / (s.High - s.Low))
}

// The dimensions of the colour bar in points.
const (
	barGap      = 16 // between the cells and the bar
	barWidth    = 18
	barTick     = 4
	barType     = 10 // size of the figures
	barNameType = 12
)

// barMark is a tick of the colour bar: a value and its label.
type barMark struct {
	value float64
	label string
	major bool
}

// thinned returns every n-th of the marks, starting such that the first major one is
// among them.
func thinned(marks []barMark, every int) []barMark {
	first := max(0, slices.IndexFunc(marks, func(m barMark) bool { return m.major }))
	var some []barMark
	for i := first % every; i < len(marks); i += every {
		some = append(some, marks[i])
	}
	return some
}

// marks returns ticks at round values, upwards.
func (s *Scale) marks() []barMark {
	var marks []barMark
	for _, t := range (plot.DefaultTicks{}).Ticks(s.Low, s.High) {
		if t.Value < s.Low || t.Value > s.High {
			continue
		}
		// The ticker's own labels leave minor ticks blank and turn to
		// exponents early. What is not a round figure is rounding error.
		marks = append(marks, barMark{t.Value, strconv.FormatFloat(scalar.Round(t.Value, 4), 'f', -1, 64), !t.IsMinor()})
	}
	// The ticker has the major ones first.
	slices.SortFunc(marks, func(a, b barMark) int { return cmp.Compare(a.value, b.value) })
	return marks
}

// barSpace returns the width that the colour bar takes on the right of the
// cells.
func (s *Scale) barSpace() vg.Length {
	return barGap + barWidth + barTick + 3 + s.labelWidth() + 8 + barNameType*lineHeight
}

func (s *Scale) labelWidth() vg.Length {
	var widest vg.Length
	for _, m := range s.marks() {
		widest = max(widest, width(sans(barType), m.label))
	}
	return widest
}

// drawBar draws the colour bar on the right of the cells' area. The library's
// own has its axis on the left.
func (s *Scale) drawBar(c draw.Canvas, cells vg.Rectangle, dpi float64) {
	bar := vg.Rectangle{
		Min: vg.Point{X: cells.Max.X + barGap, Y: cells.Min.Y},
		Max: vg.Point{X: cells.Max.X + barGap + barWidth, Y: cells.Max.Y},
	}
	step := bar.Size().Y / heatLevels
	for i, level := range s.Colors {
		// Edges on whole pixels, so that no seam shows between two levels.
		part := bar
		part.Min.Y = snap(dpi, bar.Min.Y+step*vg.Length(i))
		part.Max.Y = snap(dpi, bar.Min.Y+step*vg.Length(i+1))
		fill(c, level, part)
	}
	c.SetLineStyle(draw.LineStyle{Color: ink, Width: 0.5})
	c.Stroke(bar.Path())

	marks := s.marks()
	room := int(bar.Size().Y / (barType * 1.6))
	every := max(1, int(math.Ceil(float64(len(marks))/float64(max(1, room)))))
	for _, m := range thinned(marks, every) {
		y := bar.Min.Y + bar.Size().Y*vg.Length((m.value-s.Low)/(s.High-s.Low))
		c.SetLineStyle(draw.LineStyle{Color: ink, Width: 0.5})
		strokeLine(c, bar.Max.X, y, bar.Max.X+barTick, y)
		write(c, sans(barType), ink, draw.XLeft, vg.Point{X: bar.Max.X + barTick + 3, Y: y}, m.label)
	}

	c.Push()
	c.Translate(vg.Point{
		X: bar.Max.X + barTick + 3 + s.labelWidth() + 8 + barNameType*lineHeight/2,
		Y: (bar.Min.Y + bar.Max.Y) / 2,
	})
	c.Rotate(math.Pi / 2)
	write(c, sans(barNameType), ink, draw.XCenter, vg.Point{}, s.Name)
	c.Pop()
}
