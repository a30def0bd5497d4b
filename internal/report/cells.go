package report

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// cellMap is the plotter of the heatmap: it draws the cells of a grid. The heatmap
// plotter of gonum/plot draws no text and no marks, and panics where no cell has a
// rate. The centre of column i is at x = i, that of row j at y = j.
type cellMap struct {
	*grid
	scale *scale             // nil where nothing is measured
	best  *checkpoint.Result // nil for none
	// recommended is the zero value where the best cell is recommended or there is none.
	recommended cell.Key
	strong      map[cell.Key]bool // cells whose figures are bold
	dpi         float64
	// from and to are the lowest and highest y to draw; cells outside are skipped.
	from, to vg.Length
}

// DataRange implements [plot.DataRanger]. Every cell has an area of one by one.
func (m *cellMap) DataRange() (xmin, xmax, ymin, ymax float64) {
	return -0.5, float64(len(m.ctx)) - 0.5, -0.5, float64(len(m.batch)) - 0.5
}

// cell returns the area of the cell in a column and row. Its edges are on whole
// pixels, so that edges and lines are sharp.
func (m *cellMap) cell(area vg.Rectangle, column, row int) vg.Rectangle {
	size := area.Size()
	w, h := size.X/vg.Length(len(m.ctx)), size.Y/vg.Length(len(m.batch))
	return vg.Rectangle{
		Min: vg.Point{X: snap(m.dpi, area.Min.X+w*vg.Length(column)), Y: snap(m.dpi, area.Min.Y+h*vg.Length(row))},
		Max: vg.Point{X: snap(m.dpi, area.Min.X+w*vg.Length(column+1)), Y: snap(m.dpi, area.Min.Y+h*vg.Length(row+1))},
	}
}

// snap returns the nearest edge between two pixels.
func snap(dpi float64, x vg.Length) vg.Length {
	return vg.Length(math.Round(x.Dots(dpi))/dpi) * vg.Inch
}

// Plot implements [plot.Plotter]. It draws backgrounds and hatches first, then the grid
// lines, then the contents of the cells, then the outlines of the recommended and the best
// cell.
func (m *cellMap) Plot(c draw.Canvas, _ *plot.Plot) {
	m.eachCell(c.Rectangle, func(at state, r *checkpoint.Result, area vg.Rectangle) {
		switch at {
		case measured:
			fill(c, m.scale.color(*r.PromptEvalRate), area)
		case failed:
			fill(c, failedTint, area)
		case missing:
			drawMissing(c, area)
		case pruned:
			drawPruned(c, area)
		default:
			fill(c, blankGrey, area)
		}
	})
	m.drawLines(c)
	first := m.cell(c.Rectangle, 0, 0).Size()
	size := m.typeSize(first)
	layouts := make(map[string]failureLayout)
	var best, recommended vg.Rectangle
	m.eachCell(c.Rectangle, func(at state, r *checkpoint.Result, area vg.Rectangle) {
		switch at {
		case measured:
			f := sans(size)
			if m.strong[r.Cell()] {
				f = sansBold(size)
			}
			if r == m.best {
				f, best = sansBold(size), area
			}
			if r.Cell() == m.recommended {
				f, recommended = sansBold(size), area
			}
			write(c, f, legible(m.scale.color(*r.PromptEvalRate)), draw.XCenter, middle(area), m.scale.text(*r.PromptEvalRate))
			if m.spilled(r) {
				drawSpill(c, area)
			}
		case failed:
			name := OneLine(string(*r.Error))
			if _, ok := layouts[name]; !ok {
				layouts[name] = layOutFailure(name, first.X, first.Y, 0.85*size)
			}
			drawFailedBorder(c, area)
			layouts[name].draw(c, area)
		}
	})
	m.drawPicks(c)
	if recommended != (vg.Rectangle{}) {
		drawRecommended(c, recommended)
	}
	if best != (vg.Rectangle{}) {
		stroke(c, draw.LineStyle{Color: bestBlue, Width: outline}, best)
	}
}

// outline is the width of the best cell's outline, in points. Half of it is outside
// of the cell.
const outline = 3

// eachCell calls visit for the cells between from and to, with their areas.
func (m *cellMap) eachCell(area vg.Rectangle, visit func(state, *checkpoint.Result, vg.Rectangle)) {
	for row, batch := range m.batch {
		for column, ctx := range m.ctx {
			box := m.cell(area, column, row)
			if box.Max.Y+outline < m.from || box.Min.Y-outline > m.to {
				continue
			}
			at, r := m.at(cell.Key{Ctx: ctx, Batch: batch})
			visit(at, r, box)
		}
	}
}

// typeSize returns the type size of the rates: at most 13 points, and small enough to
// leave space around each rate.
func (m *cellMap) typeSize(cell vg.Point) vg.Length {
	const largest, ofWidth, ofHeight = 13, 0.7, 0.5
	var widest vg.Length
	for _, r := range m.results {
		if r.PromptEvalRate != nil {
			widest = max(widest, width(sansBold(1), m.scale.text(*r.PromptEvalRate)))
		}
	}
	size := min(largest, cell.Y*ofHeight)
	if widest > 0 {
		size = min(size, cell.X*ofWidth/widest)
	}
	return size
}

// drawLines draws the grid's lines and its frame.
func (m *cellMap) drawLines(c draw.Canvas) {
	c.SetLineStyle(draw.LineStyle{Color: gridGrey, Width: vg.Length(2/m.dpi) * vg.Inch})
	for column := range len(m.ctx) + 1 {
		x := m.cell(c.Rectangle, column, 0).Min.X
		strokeLine(c, x, c.Min.Y, x, c.Max.Y)
	}
	for row := range len(m.batch) + 1 {
		y := m.cell(c.Rectangle, 0, row).Min.Y
		strokeLine(c, c.Min.X, y, c.Max.X, y)
	}
}

func rateText(tokensPerSec float64) string { return strconv.FormatFloat(tokensPerSec, 'f', 1, 64) }

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

// drawPicks marks the cells that are the fastest of their num_ctx by the estimate of a
// search, whether measured or not.
func (m *cellMap) drawPicks(c draw.Canvas) {
	picks := m.picks()
	for row, batch := range m.batch {
		for column, ctx := range m.ctx {
			area := m.cell(c.Rectangle, column, row)
			if picks[cell.Key{Ctx: ctx, Batch: batch}] && area.Max.Y >= m.from && area.Min.Y <= m.to {
				drawPick(c, area)
			}
		}
	}
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
