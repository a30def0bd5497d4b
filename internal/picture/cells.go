package picture

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// cells draws the cells of a panel: a plotter. It takes the place of the library's heatmap,
// which has no text, no marks and no picture for a grid without a value. Column i has its
// middle at x = i, row j at y = j.
type cells struct {
	*Picture
	Panel
	dpi    float64
	widest vg.Length // of the values' texts in all panels, in type of one point
	// from and to are the lowest and highest y that are wanted; cells that lie
	// outside are not drawn.
	from, to vg.Length
}

func (p *Picture) cells(dpi int) (panels []*cells) {
	var widest vg.Length
	for _, panel := range p.Panels {
		panels = append(panels, &cells{Picture: p, Panel: panel, dpi: float64(dpi), to: p.height()})
		for column := range p.Columns {
			for row := range p.Rows {
				if c := panel.Cell(column, row); c.State == Measured {
					widest = max(widest, width(sansBold(1), p.Scale.Text(c.Value)))
				}
			}
		}
	}
	for _, m := range panels {
		m.widest = widest
	}
	return panels
}

// DataRange implements [plot.DataRanger]: every cell has an area of one by one.
func (m *cells) DataRange() (xmin, xmax, ymin, ymax float64) {
	return -0.5, float64(len(m.Columns)) - 0.5, -0.5, float64(len(m.Rows)) - 0.5
}

// area returns the place of a column's and row's cell. Edges lie on whole
// pixels, so that areas are plain up to their edges and lines are crisp.
func (m *cells) area(of vg.Rectangle, column, row int) vg.Rectangle {
	size := of.Size()
	w, h := size.X/vg.Length(len(m.Columns)), size.Y/vg.Length(len(m.Rows))
	return vg.Rectangle{
		Min: vg.Point{X: snap(m.dpi, of.Min.X+w*vg.Length(column)), Y: snap(m.dpi, of.Min.Y+h*vg.Length(row))},
		Max: vg.Point{X: snap(m.dpi, of.Min.X+w*vg.Length(column+1)), Y: snap(m.dpi, of.Min.Y+h*vg.Length(row+1))},
	}
}

// snap returns the nearest edge between two pixels.
func snap(dpi float64, x vg.Length) vg.Length {
	return vg.Length(math.Round(x.Dots(dpi))/dpi) * vg.Inch
}

// Plot implements [plot.Plotter]. It draws grounds and hatches first, then the lines between
// cells, then what is in the cells, and the outlines of the recommended and the best cell over
// all of it.
func (m *cells) Plot(c draw.Canvas, _ *plot.Plot) {
	m.each(c.Rectangle, func(cell Cell, area vg.Rectangle) { m.drawGround(c, cell, area) })
	m.drawLines(c)
	first := m.area(c.Rectangle, 0, 0).Size()
	size := m.typeSize(first)
	layouts := make(map[string]failureLayout)
	var picked, recommended, best []vg.Rectangle // which are drawn over all of this
	m.each(c.Rectangle, func(cell Cell, area vg.Rectangle) {
		switch cell.State {
		case Measured:
			m.drawValue(c, cell, area, size)
		case Failed:
			if _, ok := layouts[cell.Error]; !ok {
				layouts[cell.Error] = layOutFailure(cell.Error, first.X, first.Y, 0.85*size)
			}
			drawFailedBorder(c, area)
			layouts[cell.Error].draw(c, area)
		}
		if cell.Picked && area.Max.Y >= m.from && area.Min.Y <= m.to {
			picked = append(picked, area)
		}
		switch {
		case cell.Best:
			best = append(best, area)
		case cell.Recommended:
			recommended = append(recommended, area)
		}
	})
	for _, area := range picked {
		drawPick(c, area)
	}
	for _, area := range recommended {
		drawRecommended(c, area)
	}
	for _, area := range best {
		stroke(c, draw.LineStyle{Color: bestBlue, Width: outline}, area)
	}
}

func (m *cells) drawGround(c draw.Canvas, cell Cell, area vg.Rectangle) {
	switch cell.State {
	case Measured:
		fill(c, m.Scale.color(cell.Value), area)
	case Failed:
		fill(c, failedTint, area)
	case Missing:
		drawMissing(c, area)
	case Pruned:
		drawPruned(c, area)
	default:
		fill(c, blankGrey, area)
	}
}

func (m *cells) drawValue(c draw.Canvas, cell Cell, area vg.Rectangle, size vg.Length) {
	f := sans(size)
	if cell.Bold || cell.Best || cell.Recommended {
		f = sansBold(size)
	}
	write(c, f, legible(m.Scale.color(cell.Value)), draw.XCenter, middle(area), m.Scale.Text(cell.Value))
	if cell.Spilled {
		drawSpill(c, area)
	}
}

// outline is the width of the best cell's outline, in points. Half of it is outside
// of the cell.
const outline = 3

// each visits the wanted cells.
func (m *cells) each(of vg.Rectangle, visit func(Cell, vg.Rectangle)) {
	for row := range m.Rows {
		for column := range m.Columns {
			area := m.area(of, column, row)
			if area.Max.Y+outline < m.from || area.Min.Y-outline > m.to {
				continue
			}
			visit(m.Cell(column, row), area)
		}
	}
}

// typeSize returns the size of the values: up to 13 points, and such that each
// has room around it in its cell.
func (m *cells) typeSize(cell vg.Point) vg.Length {
	const largest, ofWidth, ofHeight = 13, 0.7, 0.5
	size := min(largest, cell.Y*ofHeight)
	if m.widest > 0 {
		size = min(size, cell.X*ofWidth/m.widest)
	}
	return size
}

// drawLines draws the grid's lines and its frame.
func (m *cells) drawLines(c draw.Canvas) {
	c.SetLineStyle(draw.LineStyle{Color: gridGrey, Width: vg.Length(2/m.dpi) * vg.Inch})
	for column := range len(m.Columns) + 1 {
		x := m.area(c.Rectangle, column, 0).Min.X
		strokeLine(c, x, c.Min.Y, x, c.Max.Y)
	}
	for row := range len(m.Rows) + 1 {
		y := m.area(c.Rectangle, 0, row).Min.Y
		strokeLine(c, c.Min.X, y, c.Max.X, y)
	}
}

// The sides of a spilled cell's mark, and its distance from the cell's edges, which
// separates it from the best cell's outline; in points.
const (
	spillCorner = 9
	spillInset  = 3
)

// drawSpill fills a corner of a cell whose model was partly outside of GPU memory.
func drawSpill(c draw.Canvas, area vg.Rectangle) {
	side := min(spillCorner, area.Size().Y/2)
	corner := area.Max.Sub(vg.Point{X: spillInset, Y: spillInset})
	c.SetColor(bestBlue)
	c.Fill(vg.Path{
		{Type: vg.MoveComp, Pos: corner},
		{Type: vg.LineComp, Pos: vg.Point{X: corner.X - side, Y: corner.Y}},
		{Type: vg.LineComp, Pos: vg.Point{X: corner.X, Y: corner.Y - side}},
		{Type: vg.CloseComp},
	})
}

// drawRecommended draws the recommended cell's outline, which is dashed and inside of the cell.
func drawRecommended(c draw.Canvas, area vg.Rectangle) {
	const inset = outline
	area.Min.X, area.Min.Y, area.Max.X, area.Max.Y = area.Min.X+inset, area.Min.Y+inset, area.Max.X-inset, area.Max.Y-inset
	stroke(c, draw.LineStyle{Color: bestBlue, Width: 2, Dashes: []vg.Length{6, 3}}, area)
}

// drawPick draws a line along the lower edge of a cell.
func drawPick(c draw.Canvas, area vg.Rectangle) {
	const inset, thick = 4, 2.5
	c.SetLineStyle(draw.LineStyle{Color: bestBlue, Width: thick})
	strokeLine(c, area.Min.X+inset, area.Min.Y+inset, area.Max.X-inset, area.Min.Y+inset)
}

// drawMissing draws the background of a cell that is not measured yet.
func drawMissing(c draw.Canvas, area vg.Rectangle) { hatch(c, missingGrey, hatchGrey, area) }

// drawPruned draws the background of a pruned cell.
func drawPruned(c draw.Canvas, area vg.Rectangle) { hatch(c, failedTint, hatchGrey, area) }

func hatch(c draw.Canvas, ground, strokes color.Color, area vg.Rectangle) {
	fill(c, ground, area)
	const distance = 7 // points between strokes, measured along the edge
	clip := draw.Canvas{Canvas: c.Canvas, Rectangle: area}
	size := area.Size()
	var lines [][]vg.Point
	for d := vg.Length(distance) / 2; d < size.X+size.Y; d += distance {
		lines = append(lines, []vg.Point{
			{X: area.Min.X + d, Y: area.Min.Y},
			{X: area.Min.X + d - size.Y, Y: area.Max.Y},
		})
	}
	clip.StrokeLines(draw.LineStyle{Color: strokes, Width: 0.7}, clip.ClipLinesXY(lines...)...)
}

// drawFailedBorder draws a dashed red border inside of a failed cell.
func drawFailedBorder(c draw.Canvas, area vg.Rectangle) {
	const inset = 1.5
	area.Min = area.Min.Add(vg.Point{X: inset, Y: inset})
	area.Max = area.Max.Sub(vg.Point{X: inset, Y: inset})
	stroke(c, draw.LineStyle{Color: failedRed, Width: 1, Dashes: []vg.Length{4, 2.5}}, area)
}

func middle(area vg.Rectangle) vg.Point { return area.Min.Add(area.Max).Scale(0.5) }

func fill(c draw.Canvas, ground color.Color, area vg.Rectangle) {
	c.SetColor(ground)
	c.Fill(area.Path())
}

func stroke(c draw.Canvas, style draw.LineStyle, area vg.Rectangle) {
	c.SetLineStyle(style)
	c.Stroke(area.Path())
}

func strokeLine(c draw.Canvas, x0, y0, x1, y1 vg.Length) {
	c.Stroke(vg.Path{{Type: vg.MoveComp, Pos: vg.Point{X: x0, Y: y0}}, {Type: vg.LineComp, Pos: vg.Point{X: x1, Y: y1}}})
}
