package report

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

// scale maps the values of cells to colours and texts. low must be below high.
type scale struct {
	low, high float64
	colors    *[heatLevels]color.RGBA
	name      string               // of the value, with its unit
	text      func(float64) string // formats a value in a cell
}

// rateScale covers the rates of a sweep. Where all are equal, it extends to both
// sides, so that they are in its middle.
func rateScale(s Stats) scale {
	sc := scale{s.Min, s.Max, &heatColors, "Prompt Eval Rate (tokens/s)", rateText}
	if s.Min == s.Max {
		sc.low, sc.high = s.Min*0.99, s.Max*1.01
	}
	return sc
}

func (s scale) color(value float64) color.RGBA {
	return shade(s.colors, (value-s.low)/(s.high-s.low))
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

// marks returns ticks at round values, ascending.
func (s scale) marks() []barMark {
	var marks []barMark
	for _, t := range (plot.DefaultTicks{}).Ticks(s.low, s.high) {
		if t.Value < s.low || t.Value > s.high {
			continue
		}
		// The ticker's own labels are blank for minor ticks and use exponents
		// early. Digits beyond the fourth decimal are rounding errors.
		marks = append(marks, barMark{t.Value, strconv.FormatFloat(scalar.Round(t.Value, 4), 'f', -1, 64), !t.IsMinor()})
	}
	// The ticker lists major ticks first.
	slices.SortFunc(marks, func(a, b barMark) int { return cmp.Compare(a.value, b.value) })
	return marks
}

// barSpace returns the width of the colour bar with its labels.
func (s scale) barSpace() vg.Length {
	return barGap + barWidth + barTick + 3 + s.labelWidth() + 8 + barNameType*lineHeight
}

func (s scale) labelWidth() vg.Length {
	var widest vg.Length
	for _, m := range s.marks() {
		widest = max(widest, width(sans(barType), m.label))
	}
	return widest
}

// drawBar draws the colour bar to the right of the cells. The colour bar of
// gonum/plot has its axis on the left.
func (s scale) drawBar(c draw.Canvas, cells vg.Rectangle, dpi float64) {
	bar := vg.Rectangle{
		Min: vg.Point{X: cells.Max.X + barGap, Y: cells.Min.Y},
		Max: vg.Point{X: cells.Max.X + barGap + barWidth, Y: cells.Max.Y},
	}
	step := bar.Size().Y / heatLevels
	for i, level := range s.colors {
		// Edges on whole pixels avoid visible seams between levels.
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
		y := bar.Min.Y + bar.Size().Y*vg.Length((m.value-s.low)/(s.high-s.low))
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
	write(c, sans(barNameType), ink, draw.XCenter, vg.Point{}, s.name)
	c.Pop()
}
