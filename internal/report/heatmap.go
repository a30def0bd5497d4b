package report

import (
	"errors"
	"fmt"
	"image"
	stddraw "image/draw"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
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
	// maxCells bounds the time for drawing.
	maxCells = 250_000
)

// WriteHeatmap draws the sweep as a PNG picture: num_ctx to the right,
// num_batch upwards, each cell coloured by its rate and labelled with it. It
// returns an error for a checkpoint without cells, or with more cells than a
// picture can show.
func WriteHeatmap(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeHeatmap(w) }

func (g *grid) writeHeatmap(w io.Writer) error {
	h, err := g.newHeatmap()
	if err != nil {
		return fmt.Errorf("drawing heatmap: %w", err)
	}
	return h.write(w)
}

func (h *heatmap) write(w io.Writer) error {
	if err := encodePNG(w, h.draw(stripPixels), h.dpi); err != nil {
		return fmt.Errorf("writing heatmap: %w", err)
	}
	return nil
}

// heatmap is the picture of a grid, ready to be drawn.
type heatmap struct {
	cellMap
	title  []titleLine
	legend []legendEntry
	dpi    int // dots per inch
}

func (g *grid) newHeatmap() (*heatmap, error) {
	if err := g.drawable(); err != nil {
		return nil, err
	}
	s := g.stats()
	m := cellMap{grid: g, best: s.Best}
	legend := g.legend()
	if s.Best != nil && !s.recommends(s.Best.Cell()) {
		m.recommended = cellOf(s.Verdict.Recommended)
		legend = append([]legendEntry{{"recommended", drawRecommended}}, legend...)
	}
	if s.Best != nil {
		sc := rateScale(s)
		m.scale = &sc
	}
	return layOut(m, g.title(g.cp.Sweep, s), legend), nil
}

// drawable returns an error where a picture can't show the grid.
func (g *grid) drawable() error {
	switch {
	case len(g.ctx) == 0 || len(g.batch) == 0:
		return errors.New("the sweep has no cells")
	case tooLarge(g.ctx, g.batch):
		return fmt.Errorf("%d × %d %w", len(g.ctx), len(g.batch), errTooLarge)
	}
	return nil
}

// errTooLarge means that a grid has too many cells for a picture and a page.
var errTooLarge = fmt.Errorf("cells are more than the %d that a picture can show", maxCells)

// tooLarge reports whether a grid with these axes has more than maxCells cells.
func tooLarge(ctx, batch []int) bool { return len(batch) > 0 && len(ctx) > maxCells/len(batch) }

// layOut returns a heatmap of the cells with its resolution.
func layOut(m cellMap, title []titleLine, legend []legendEntry) *heatmap {
	h := &heatmap{cellMap: m, title: title, legend: legend}
	h.dpi = int(min(resolution, math.Sqrt(maxPixels/(h.width().Dots(1)*h.height().Dots(1)))))
	return h
}

// width and height return sizes that users have tuned; keep them.
func (h *heatmap) width() vg.Length {
	return vg.Length(max(20, 0.8*float64(len(h.ctx)))) * vg.Inch
}

func (h *heatmap) height() vg.Length {
	return vg.Length(max(6, 0.4*float64(len(h.batch)))) * vg.Inch
}

// draw renders the picture in strips of about stripPixels pixels into a paletted
// image. That keeps the library's true-colour images small, and leaves a quarter
// of the work for the encoder.
func (h *heatmap) draw(stripPixels int) *image.Paletted {
	pixels := func(l vg.Length) int { return int(math.Round(l.Dots(float64(h.dpi)))) }
	width, height := pixels(h.width()), pixels(h.height())
	levels := &heatColors
	if h.scale != nil {
		levels = h.scale.colors
	}
	q := newQuantizer(newPalette(levels))
	picture := image.NewPaletted(image.Rect(0, 0, width, height), q.palette)

	rows := min(height, max(1, stripPixels/width))
	points := func(pixels int) vg.Length { return vg.Length(float64(pixels)/float64(h.dpi)) * vg.Inch }
	canvas := newRaster(points(width), points(rows+2*guard), h.dpi)
	all := canvas.img
	strip := all.SubImage(image.Rect(0, guard, width, guard+rows)).(*image.RGBA)
	for top := 0; top < height; top += rows {
		from := points(height - top - rows - guard) // the lower edge of the strip; negative for the last one
		stddraw.Draw(all, all.Rect, image.NewUniform(paper), image.Point{}, stddraw.Src)
		canvas.Push()
		canvas.Translate(vg.Point{Y: -from})
		h.drawOn(draw.NewCanvas(canvas, points(width), points(height)), from, from+points(rows+2*guard))
		canvas.Pop()
		q.copy(picture, top, strip)
	}
	return picture
}

// drawOn draws the picture without the cells below from and above to.
func (h *heatmap) drawOn(c draw.Canvas, from, to vg.Length) {
	c = draw.Crop(c, margin, -margin, margin, -margin)
	drawTitle(c, c.Rectangle, h.title)
	below := draw.Crop(c, 0, 0, 0, -titleHeight(h.title)-8)

	if len(h.legend) > 0 {
		line := below.Rectangle
		line.Max.Y = line.Min.Y + legendHeight
		drawLegend(c, line, h.legend)
		below = draw.Crop(below, 0, 0, legendHeight, 0)
	}
	if h.scale != nil {
		below = draw.Crop(below, 0, -h.scale.barSpace(), 0, 0)
	}
	p := h.axes()
	cells := h.cellMap
	cells.dpi, cells.from, cells.to = float64(h.dpi), from, to
	p.Add(&cells)
	p.Draw(below)
	if h.scale != nil {
		h.scale.drawBar(c, p.DataCanvas(below).Rectangle, float64(h.dpi))
	}
}

// axes returns an empty plot with both axes. The axes are nominal: all neighbouring
// values have the same distance.
func (h *heatmap) axes() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text, p.Y.Label.Text = "num_ctx", "num_batch"
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks(h.ctx), ticks(h.batch)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Padding = 0
		axis.Width = 0 // the cells' own frame is drawn
		axis.Label.TextStyle.Font = sansBold(12)
		axis.Label.Padding = 4
		axis.Tick.Label.Font = sans(9.5)
		axis.Tick.Length = 4
	}
	p.X.Tick.Label.Rotation = math.Pi / 4
	p.X.Tick.Label.XAlign = draw.XRight
	p.X.Tick.Label.YAlign = draw.YTop
	return p
}

func ticks(values []int) plot.ConstantTicks {
	var t plot.ConstantTicks
	for i, v := range values {
		t = append(t, plot.Tick{Value: float64(i), Label: strconv.Itoa(v)})
	}
	return t
}
