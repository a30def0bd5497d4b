package picture

import (
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// drawCells draws the cells without axes, each 200 × 100 pixels at 72 dots per inch.
func drawCells(p *Picture) image.Image {
	w, h := vg.Length(200*len(p.Columns)), vg.Length(100*len(p.Rows))
	c := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(72))
	m := p.cells(72)[0]
	m.to = h
	m.Plot(draw.New(c), nil)
	return c.Image()
}

// colorsIn counts the pixels of each colour in an area.
func colorsIn(img image.Image, area image.Rectangle) map[color.RGBA]int {
	found := make(map[color.RGBA]int)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			found[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	return found
}

func TestCells(t *testing.T) {
	img := drawCells(mixed())
	// inside returns the area of a cell without its lines; row 0 is the lowest.
	inside := func(column, row int) image.Rectangle {
		return image.Rect(column*200, (3-row)*100, (column+1)*200, (4-row)*100).Inset(4)
	}
	t.Run("the best cell is dark red with white figures and a blue outline", func(t *testing.T) {
		area := inside(1, 3)
		found := colorsIn(img, area)
		assert.Greater(t, found[heat(1)], 15_000)
		assert.Greater(t, found[paper], 20)
		assert.Zero(t, found[ink])
		for _, p := range []image.Point{{area.Min.X - 4, 50}, {area.Max.X + 3, 50}, {300, 0}, {300, 99}} {
			assert.Equal(t, bestBlue, img.At(p.X, p.Y), "%v", p)
		}
	})
	t.Run("the slowest cell is pale yellow with black figures", func(t *testing.T) {
		found := colorsIn(img, inside(0, 0))
		assert.Greater(t, found[heat(0)], 15_000)
		assert.Positive(t, found[ink])
		assert.Zero(t, found[bestBlue])
	})
	t.Run("a failed cell has a red border, mark and name", func(t *testing.T) {
		found := colorsIn(img, inside(2, 1))
		assert.Greater(t, found[failedTint], 14_000)
		assert.Greater(t, found[failedRed], 10)
		border := colorsIn(img, image.Rect(400, 200, 600, 203))
		assert.Greater(t, border[failedRed], 80)
		assert.Greater(t, border[failedTint], 80, "dashed")
	})
	t.Run("a missing cell is hatched", func(t *testing.T) {
		found := colorsIn(img, inside(3, 3))
		assert.Greater(t, found[missingGrey], 10_000)
		assert.Less(t, found[missingGrey], 17_000, "with strokes")
		assert.Zero(t, found[blankGrey])
	})
	t.Run("a cell that was left out is plain", func(t *testing.T) {
		found := colorsIn(img, inside(0, 3))
		assert.Equal(t, map[color.RGBA]int{blankGrey: 192 * 92}, found)
	})
	t.Run("grid lines are grey", func(t *testing.T) {
		assert.Equal(t, gridGrey, img.At(199, 350))
		assert.Equal(t, gridGrey, img.At(100, 299))
	})
}

func TestCellsOutsideOfAStripAreLeftOut(t *testing.T) {
	p := mixed()
	m := &cells{Picture: p, Panel: p.Panels[0], dpi: 72, from: 150, to: 199}
	var rows []vg.Length
	m.each(vg.Rectangle{Max: vg.Point{X: 800, Y: 400}}, func(_ Cell, area vg.Rectangle) {
		rows = append(rows, area.Min.Y)
	})
	assert.Equal(t, []vg.Length{100, 100, 100, 100, 200, 200, 200, 200}, rows, "200 is near enough for an outline")
}
