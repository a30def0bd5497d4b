// Package picture draws a grid of cells as a PNG picture: columns to the right, rows upwards,
// each cell coloured by its value, which is written in it, with a title above, a colour bar on
// the right and a legend below. What stands in the grid and what a colour means is the caller's.
//
// Size, resolution and colours are described in docs/results.md.
package picture

import (
	"errors"
	"fmt"
	"image"
	stddraw "image/draw"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	resolution = 300 // dots per inch
	margin     = 12  // points around the picture

	// maxPixels bounds the memory of the picture, which takes a byte per pixel.
	// 100 × 100 cells have 288 million pixels; larger grids get a lower resolution.
	maxPixels = 320e6
	// stripPixels bounds the memory of the strip that is drawn at once, which
	// takes eight bytes per pixel while the library copies it. With both bounds a
	// picture of 100 × 100 cells takes 0.8 GB; drawn as a whole it would take 2.6 GB.
	stripPixels = 32e6
	// guard is the number of rows that are drawn above and below a strip and then
	// discarded: lines that cross the edge of an image are drawn too light there.
	guard = 4
)

// MaxCells is the most cells that a picture can show, which bounds the time for drawing.
const MaxCells = 250_000

// Picture is what is drawn.
type Picture struct {
	Title []Line // from the top downwards
	// Columns and Rows label the ticks of the axes, from the left and from below; neighbours
	// have the same distance, whatever their labels. XLabel and YLabel name the axes.
	Columns, Rows  []string
	XLabel, YLabel string
	// Scale gives values their colours, nil where no cell has a value.
	Scale  *Scale
	Cell   func(column, row int) Cell
	Legend []Entry // of the looks that do not explain themselves
}

// Cell is what is shown of one cell.
type Cell struct {
	State State
	Value float64 // where State is Measured
	Error string  // the kind of failure, where State is Failed
	// Bold writes the value in bold type, as Best and Recommended do.
	Bold bool
	// Best and Recommended frame the cell; a cell that is both shows as the best.
	Best, Recommended bool
	Spilled           bool // marks a corner
	Picked            bool // marks the lower edge
}

// State is what is known of a cell.
type State int

// The states of a cell.
const (
	Blank    State = iota // no cell of the sweep
	Missing               // not measured yet, or not by a search
	Pruned                // skipped, because it needs the memory of one that ran out of it
	Failed                // has an Error
	Measured              // has a Value
)

// ErrTooLarge means that a grid has too many cells for a picture.
var ErrTooLarge = fmt.Errorf("cells are more than the %d that a picture can show", MaxCells)

// TooLarge reports whether so many columns and rows have more than MaxCells cells.
func TooLarge(columns, rows int) bool { return rows > 0 && columns > MaxCells/rows }

// Check returns an error where there is no cell to draw, and ErrTooLarge where there are too
// many.
func (p *Picture) Check() error {
	switch {
	case len(p.Columns) == 0 || len(p.Rows) == 0:
		return errors.New("the sweep has no cells")
	case TooLarge(len(p.Columns), len(p.Rows)):
		return fmt.Errorf("%d × %d %w", len(p.Columns), len(p.Rows), ErrTooLarge)
	}
	return nil
}

// Write draws the picture of a grid that Check accepts and writes it.
func (p *Picture) Write(w io.Writer) error {
	dpi := p.dpi()
	return encodePNG(w, p.draw(dpi, stripPixels), dpi)
}

// dpi returns the resolution in dots per inch.
func (p *Picture) dpi() int {
	return int(min(resolution, math.Sqrt(maxPixels/(p.width().Dots(1)*p.height().Dots(1)))))
}

// width and height are sizes that users tuned.
func (p *Picture) width() vg.Length {
	return vg.Length(max(20, 0.8*float64(len(p.Columns)))) * vg.Inch
}

func (p *Picture) height() vg.Length {
	return vg.Length(max(6, 0.4*float64(len(p.Rows)))) * vg.Inch
}

// draw renders the picture, in strips of about so many pixels, into a paletted
// image. That keeps the library's true-colour images small, and the encoder
// has a quarter of the work.
func (p *Picture) draw(dpi, stripPixels int) *image.Paletted {
	pixels := func(l vg.Length) int { return int(math.Round(l.Dots(float64(dpi)))) }
	width, height := pixels(p.width()), pixels(p.height())
	levels := &Heat
	if p.Scale != nil {
		levels = p.Scale.Colors
	}
	q := newQuantizer(newPalette(levels))
	picture := image.NewPaletted(image.Rect(0, 0, width, height), q.palette)

	rows := min(height, max(1, stripPixels/width))
	points := func(pixels int) vg.Length { return vg.Length(float64(pixels)/float64(dpi)) * vg.Inch }
	canvas := newRaster(points(width), points(rows+2*guard), dpi)
	all := canvas.img
	strip := all.SubImage(image.Rect(0, guard, width, guard+rows)).(*image.RGBA)
	cells := p.cells(dpi)
	for top := 0; top < height; top += rows {
		from := points(height - top - rows - guard) // the lower edge of what is drawn; negative at the end
		cells.from, cells.to = from, from+points(rows+2*guard)
		stddraw.Draw(all, all.Rect, image.NewUniform(paper), image.Point{}, stddraw.Src)
		canvas.Push()
		canvas.Translate(vg.Point{Y: -from})
		p.drawOn(draw.NewCanvas(canvas, points(width), points(height)), cells)
		canvas.Pop()
		q.copy(picture, top, strip)
	}
	return picture
}

// drawOn draws the picture on white paper.
func (p *Picture) drawOn(c draw.Canvas, cells *cells) {
	c = draw.Crop(c, margin, -margin, margin, -margin)
	drawTitle(c, c.Rectangle, p.Title)
	below := draw.Crop(c, 0, 0, 0, -titleHeight(p.Title)-8)

	if len(p.Legend) > 0 {
		line := below.Rectangle
		line.Max.Y = line.Min.Y + legendHeight
		drawLegend(c, line, p.Legend)
		below = draw.Crop(below, 0, 0, legendHeight, 0)
	}
	if p.Scale != nil {
		below = draw.Crop(below, 0, -p.Scale.barSpace(), 0, 0)
	}
	axes := p.axes()
	axes.Add(cells)
	axes.Draw(below)
	if p.Scale != nil {
		p.Scale.drawBar(c, axes.DataCanvas(below).Rectangle, cells.dpi)
	}
}

// axes returns a plot with both axes and nothing on it.
func (p *Picture) axes() *plot.Plot {
	axes := plot.New()
	axes.BackgroundColor = nil
	axes.X.Label.Text, axes.Y.Label.Text = p.XLabel, p.YLabel
	axes.X.Tick.Marker, axes.Y.Tick.Marker = ticks(p.Columns), ticks(p.Rows)
	for _, axis := range []*plot.Axis{&axes.X, &axes.Y} {
		axis.Padding = 0
		axis.Width = 0 // the cells' own frame is drawn
		axis.Label.TextStyle.Font = sansBold(12)
		axis.Label.Padding = 4
		axis.Tick.Label.Font = sans(9.5)
		axis.Tick.Length = 4
	}
	axes.X.Tick.Label.Rotation = math.Pi / 4
	axes.X.Tick.Label.XAlign = draw.XRight
	axes.X.Tick.Label.YAlign = draw.YTop
	return axes
}

func ticks(labels []string) plot.ConstantTicks {
	var t plot.ConstantTicks
	for i, label := range labels {
		t = append(t, plot.Tick{Value: float64(i), Label: label})
	}
	return t
}
