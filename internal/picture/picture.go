// Package picture draws grids of cells as a PNG picture: columns to the right, rows upwards,
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
	// A picture is drawn in strips, which take eight bytes per pixel while the library copies them:
	// with ten, a picture of 100 × 100 cells takes 0.8 GB; drawn as a whole it would take 2.6 GB. A
	// strip has at least leastStrip pixels, since title and axes are drawn again for each.
	strips     = 10
	leastStrip = 3e6
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
	Scale *Scale
	// Panels are drawn beside and below each other, with the same axes and the same scale.
	Panels []Panel
	Legend []Entry // of the looks that do not explain themselves
}

// Panel is one grid of a picture.
type Panel struct {
	Title string // not drawn where the panel is the only one
	Cell  func(column, row int) Cell
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
	case TooLarge(len(p.Columns)*len(p.Panels), len(p.Rows)):
		return fmt.Errorf("%d × %d %w", len(p.Columns)*len(p.Panels), len(p.Rows), ErrTooLarge)
	}
	return nil
}

// Write draws the picture of a grid that Check accepts and writes it.
func (p *Picture) Write(w io.Writer) error {
	dpi := p.dpi()
	pixels := p.width().Dots(float64(dpi)) * p.height().Dots(float64(dpi))
	return encodePNG(w, p.draw(dpi, int(max(leastStrip, pixels/strips))), dpi)
}

// dpi returns the resolution in dots per inch.
func (p *Picture) dpi() int {
	return int(min(resolution, math.Sqrt(maxPixels/(p.width().Dots(1)*p.height().Dots(1)))))
}

// Sizes in inches. Users tuned those of the first line.
const (
	leastWidth, leastHeight, cellWidth, cellHeight = 20, 6, 0.8, 0.4

	leastPanelWidth, leastPanelHeight = 3, 1.5 // of the cells of one of several panels
	panelLabels                       = 1.2    // the title and the axes of one
	aroundPanels                      = 1.5    // title, legend and colour bar of the picture
)

func (p *Picture) width() vg.Length {
	if len(p.Panels) == 1 {
		return vg.Length(max(leastWidth, cellWidth*float64(len(p.Columns)))) * vg.Inch
	}
	across, _ := p.arrangement()
	return vg.Length(max(leastWidth, float64(across)*p.panelWidth()+aroundPanels)) * vg.Inch
}

func (p *Picture) height() vg.Length {
	if len(p.Panels) == 1 {
		return vg.Length(max(leastHeight, cellHeight*float64(len(p.Rows)))) * vg.Inch
	}
	_, down := p.arrangement()
	one := max(leastPanelHeight, cellHeight*float64(len(p.Rows))) + panelLabels
	return vg.Length(max(leastHeight, float64(down)*one+aroundPanels)) * vg.Inch
}

// panelWidth is the width of one of several panels in inches.
func (p *Picture) panelWidth() float64 {
	return max(leastPanelWidth, cellWidth*float64(len(p.Columns))) + panelLabels
}

// arrangement returns the numbers of panels beside and below each other.
func (p *Picture) arrangement() (across, down int) {
	fit := max(1, int((leastWidth-aroundPanels)/p.panelWidth()))
	down = (len(p.Panels) + fit - 1) / fit
	return (len(p.Panels) + down - 1) / down, down
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
	panels := p.cells(dpi)
	for top := 0; top < height; top += rows {
		from := points(height - top - rows - guard) // the lower edge of what is drawn; negative at the end
		for _, cells := range panels {
			cells.from, cells.to = from, from+points(rows+2*guard)
		}
		stddraw.Draw(all, all.Rect, image.NewUniform(paper), image.Point{}, stddraw.Src)
		canvas.Push()
		canvas.Translate(vg.Point{Y: -from})
		p.drawOn(draw.NewCanvas(canvas, points(width), points(height)), panels)
		canvas.Pop()
		q.copy(picture, top, strip)
	}
	return picture
}

// drawOn draws the picture on white paper.
func (p *Picture) drawOn(c draw.Canvas, panels []*cells) {
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
	var area vg.Rectangle // of the cells of all panels
	for i, cells := range panels {
		axes := p.axes()
		axes.Add(cells)
		panel := p.panel(below, i)
		axes.Draw(panel)
		drawn := axes.DataCanvas(panel).Rectangle
		if len(panels) > 1 {
			f := sansBold(panelTitle)
			at := vg.Point{X: middle(drawn).X, Y: panel.Max.Y + panelTitle}
			write(c, f, ink, draw.XCenter, at, shorten(f, p.Panels[i].Title, panel.Size().X))
		}
		if i == 0 {
			area = drawn
		}
		area.Min.X, area.Min.Y = min(area.Min.X, drawn.Min.X), min(area.Min.Y, drawn.Min.Y)
		area.Max.X, area.Max.Y = max(area.Max.X, drawn.Max.X), max(area.Max.Y, drawn.Max.Y)
	}
	if p.Scale != nil {
		p.Scale.drawBar(c, area, panels[0].dpi)
	}
}

// The size of a panel's title, and the distance between panels, in points.
const (
	panelTitle = 12
	panelGap   = 24
)

// panel returns the place of a panel, without its title.
func (p *Picture) panel(c draw.Canvas, i int) draw.Canvas {
	if len(p.Panels) == 1 {
		return c
	}
	across, down := p.arrangement()
	size := c.Size()
	w, h := (size.X+panelGap)/vg.Length(across), (size.Y+panelGap)/vg.Length(down)
	left, top := w*vg.Length(i%across), h*vg.Length(i/across)
	return draw.Crop(c, left, left+w-panelGap-size.X, size.Y-top-h+panelGap, -top-panelTitle*1.5)
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
