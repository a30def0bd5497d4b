package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func oneDecimal(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }

// of returns a picture of so many columns and rows, whose labels are numbers.
func of(columns, rows int, cell func(column, row int) Cell) *Picture {
	p := &Picture{
		Title:  []Line{Heading("a model"), Detail("ranges"), Highlight("the best")},
		XLabel: "num_ctx", YLabel: "num_batch",
		Scale:  &Scale{Low: 1000, High: 2000, Colors: &Heat, Name: "Rate (tokens/s)", Text: oneDecimal},
		Panels: []Panel{{Cell: cell}},
		Legend: []Entry{{LookFailed, "failed"}, {LookMissing, "not measured yet"}},
	}
	for i := range columns {
		p.Columns = append(p.Columns, strconv.Itoa(8192+i))
	}
	for i := range rows {
		p.Rows = append(p.Rows, strconv.Itoa(32+i))
	}
	return p
}

// inPanels returns the picture with so many panels that are like its first one.
func inPanels(p *Picture, n int) *Picture {
	first := p.Panels[0]
	p.Panels = nil
	for i := range n {
		p.Panels = append(p.Panels, Panel{Title: fmt.Sprintf("num_gpu=%d, flash_attention=on", i), Cell: first.Cell})
	}
	return p
}

// full has columns × rows cells with a value, the best in the last.
func full(columns, rows int) *Picture {
	return of(columns, rows, func(column, row int) Cell {
		i := column*rows + row
		return Cell{State: Measured, Value: 1000 + float64(i*7919%1000), Best: i == columns*rows-1}
	})
}

// mixed has cells in every state: the best in column 1 and row 3, the lowest in the first.
func mixed() *Picture {
	return of(4, 4, func(column, row int) Cell {
		switch {
		case column == 1 && row == 3:
			return Cell{State: Measured, Value: 2000, Best: true, Spilled: true}
		case column == 0 && row == 0:
			return Cell{State: Measured, Value: 1000}
		case column == 0:
			return Cell{State: Blank}
		case column == 2 && row == 1:
			return Cell{State: Failed, Error: "CUDA OOM"}
		case column == 3 && row < 2:
			return Cell{State: Pruned}
		case column == 3:
			return Cell{State: Missing, Picked: row == 2}
		}
		return Cell{State: Measured, Value: 1250, Recommended: row == 2}
	})
}

func TestWrite(t *testing.T) {
	race.SkipSequential(t)
	var b bytes.Buffer
	require.NoError(t, mixed().Write(&b))
	x, y := dotsPerMetre(t, b.Bytes())
	assert.Equal(t, []uint32{11811, 11811}, []uint32{x, y}, "300 dots per inch")
	img, err := png.Decode(&b)
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 20*300, 6*300), img.Bounds())
}

// TestSize takes the sizes that users tuned, in inches.
func TestSize(t *testing.T) {
	for _, tt := range []struct {
		columns, rows int
		width, height float64
		dpi           int
	}{
		{1, 1, 20, 6, 300},
		{25, 15, 20, 6, 300},
		{47, 17, 37.6, 6.8, 300},
		{5, 60, 20, 24, 300},
		{100, 100, 80, 40, 300},
		{400, 400, 320, 160, 79},
	} {
		t.Run(fmt.Sprintf("%dx%d", tt.columns, tt.rows), func(t *testing.T) {
			p := full(tt.columns, tt.rows)
			assert.InDelta(t, tt.width, p.width().Dots(1), 1e-9)
			assert.InDelta(t, tt.height, p.height().Dots(1), 1e-9)
			assert.Equal(t, tt.dpi, p.dpi())
		})
	}
}

// TestPanels checks that panels are beside each other where they fit, then below.
func TestPanels(t *testing.T) {
	for _, tt := range []struct {
		columns, rows, panels int
		across, down          int
		width, height         float64
	}{
		{2, 2, 2, 2, 1, 20, 6},
		{8, 4, 3, 2, 2, 20, 7.1},
		{2, 2, 12, 4, 3, 20, 9.6},
		{40, 16, 12, 1, 12, 34.7, 92.7},
	} {
		p := inPanels(full(tt.columns, tt.rows), tt.panels)
		across, down := p.arrangement()
		assert.Equal(t, [2]int{tt.across, tt.down}, [2]int{across, down})
		assert.InDelta(t, tt.width, p.width().Dots(1), 1e-6)
		assert.InDelta(t, tt.height, p.height().Dots(1), 1e-6)
	}
	p := inPanels(full(500, 100), 12)
	assert.ErrorIs(t, p.Check(), ErrTooLarge)

	const dpi = 50
	img := inPanels(full(2, 2), 2).draw(dpi, oneStrip)
	width := img.Bounds().Dx()
	left, right := colorsIn(img, image.Rect(0, 0, width/2, img.Bounds().Dy())), colorsIn(img, image.Rect(width/2, 0, width, img.Bounds().Dy()))
	for row := range 2 {
		color := p.Scale.color(full(2, 2).Panels[0].Cell(0, row).Value)
		assert.Greater(t, left[color], 5000, "the first panel")
		assert.Greater(t, right[color], 5000, "the second panel has the same colours")
	}
}

func TestPictureOfAnyShape(t *testing.T) {
	race.SkipSequential(t)
	failures := of(3, 5, func(column, row int) Cell { return Cell{State: Failed, Error: "CUDA resource allocation error"} })
	failures.Scale = nil
	none := of(4, 4, func(column, row int) Cell { return Cell{State: Missing} })
	none.Scale = nil
	blank := of(1, 1, func(column, row int) Cell { return Cell{} })
	blank.Scale, blank.Legend = nil, nil
	long := full(4, 4)
	long.Title = []Line{Heading(strings.Repeat("registry.example/x", 5))}
	endless := full(1, 1)
	endless.Title = []Line{Heading(strings.Repeat("a line and another ", 100))}
	fast := full(30, 20)
	fast.Scale = &Scale{Low: 1e9, High: 2e9, Colors: &Heat, Name: "Rate (tokens/s)", Text: func(value float64) string { return oneDecimal(1e6 * value) }}
	odd := of(40, 16, func(column, row int) Cell {
		if column == row {
			return Cell{State: Failed, Error: strings.Repeat("unheard-of ", 40)}
		}
		return Cell{State: Measured, Value: 1500}
	})
	for name, p := range map[string]*Picture{
		"mixed": mixed(), "one cell": full(1, 1), "one column": full(1, 40), "one row": full(60, 1), "tall": full(5, 60),
		"all failed": failures, "none measured": none, "all blank": blank, "long heading": long, "endless heading": endless,
		"great figures": fast, "long error": odd, "panels": inPanels(mixed(), 4), "tall panels": inPanels(full(5, 60), 2),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, p.Check())
			const dpi = 50 // for speed
			img := p.draw(dpi, oneStrip)
			bounds := img.Bounds()
			const edge = margin * dpi / 72 / 2
			whole, inner := colorsIn(img, bounds), colorsIn(img, bounds.Inset(edge))
			area := func(r image.Rectangle) int { return r.Dx() * r.Dy() }
			assert.Equal(t, area(bounds)-area(bounds.Inset(edge)), whole[paper]-inner[paper], "nothing reaches into the margin")
			assert.Greater(t, len(whole), 3)
		})
	}
}

// TestStrips checks that strips leave no seam and cut nothing off.
func TestStrips(t *testing.T) {
	race.SkipSequential(t)
	const dpi = 40
	whole := mixed().draw(dpi, oneStrip)
	width, height := whole.Rect.Dx(), whole.Rect.Dy()
	for _, rows := range []int{1, 7, 64, height - 1} {
		if testing.Short() && rows == 1 {
			continue
		}
		strips := mixed().draw(dpi, rows*width)
		differ := 0
		for i := range whole.Pix {
			if whole.Pix[i] != strips.Pix[i] {
				differ++
			}
		}
		// Letters on their side are rounded to parts of a pixel from another
		// origin in each strip.
		assert.LessOrEqual(t, differ, 20, "%d rows", rows)
	}
}

func TestPictureIsTheSameEveryTime(t *testing.T) {
	draw := func() []byte { return mixed().draw(50, oneStrip).Pix }
	assert.True(t, bytes.Equal(draw(), draw()))
}

func TestCheck(t *testing.T) {
	assert.EqualError(t, full(0, 3).Check(), "the sweep has no cells")
	assert.EqualError(t, full(501, 500).Check(), "501 × 500 cells are more than the 250000 that a picture can show")
	assert.ErrorIs(t, full(501, 500).Check(), ErrTooLarge)
	assert.NoError(t, full(500, 500).Check())
}

// TestEveryLookHasASwatch that differs from the others.
func TestEveryLookHasASwatch(t *testing.T) {
	seen := make(map[string]Look)
	for look := LookBlank; look <= LookBold; look++ {
		p := of(1, 1, func(column, row int) Cell { return Cell{} })
		p.Scale, p.Legend = nil, []Entry{{look, ""}}
		pixels := string(p.draw(50, oneStrip).Pix)
		other, ok := seen[pixels]
		assert.False(t, ok, "%d looks like %d", look, other)
		seen[pixels] = look
	}
}

// oneStrip is more pixels than a picture has at the resolutions of these tests.
const oneStrip = 100e6

func BenchmarkWrite(b *testing.B) {
	for _, size := range []image.Point{{X: 40, Y: 16}, {X: 100, Y: 100}} {
		p := full(size.X, size.Y)
		b.Run(fmt.Sprintf("cells=%d", size.X*size.Y), func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, p.Write(io.Discard))
			}
		})
	}
}
