package report

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// full returns a sweep of columns × rows cells, all measured.
func full(columns, rows int) *checkpoint.Checkpoint {
	cp := planned(steps(8192, 2048, columns), steps(32, 64, rows))
	for i, c := range cp.Plan() {
		add(cp, c.Ctx, c.Batch, 1000+float64(i*7919%1000))
	}
	return cp
}

func TestWriteHeatmap(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WriteHeatmap(&b, mixed()))
	x, y := dotsPerMetre(t, b.Bytes())
	assert.Equal(t, []uint32{11811, 11811}, []uint32{x, y}, "300 dots per inch")
	img, err := png.Decode(&b)
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 20*300, 6*300), img.Bounds())
	found := colorsIn(img, img.Bounds())
	for name, c := range map[string]color.RGBA{
		"lowest": heat(0), "highest": heat(1), "best": bestBlue, "failed": failedRed, "failed ground": failedTint,
		"missing": missingGrey, "hatch": hatchGrey, "left out": blankGrey, "lines": gridGrey, "text": ink,
	} {
		assert.Greater(t, found[c], 1000, name)
	}
}

// TestHeatmapMarksSpill checks that spilled cells are marked, the best cell too.
func TestHeatmapMarksSpill(t *testing.T) {
	blue := func(vram int64) int {
		cp := full(3, 3)
		for i := range cp.Results {
			cp.Results[i].Size, cp.Results[i].SizeVRAM = 18e9, vram
		}
		var b bytes.Buffer
		require.NoError(t, WriteHeatmap(&b, cp))
		img, err := png.Decode(&b)
		require.NoError(t, err)
		return colorsIn(img, img.Bounds())[bestBlue]
	}
	mark := spillCorner * spillCorner / 2 * (300 / 72.0) * (300 / 72.0) // dots
	assert.InEpsilon(t, 10*mark, blue(17e9)-blue(18e9), 0.35, "nine cells and the legend, less the blurred edges")
}

// TestHeatmapSize checks the sizes that users have tuned, in inches.
func TestHeatmapSize(t *testing.T) {
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
			h, err := newGrid(planned(steps(8192, 1, tt.columns), steps(1, 1, tt.rows))).newHeatmap()
			require.NoError(t, err)
			assert.InDelta(t, tt.width, h.width().Dots(1), 1e-9)
			assert.InDelta(t, tt.height, h.height().Dots(1), 1e-9)
			assert.Equal(t, tt.dpi, h.dpi)
		})
	}
}

func TestHeatmapOfAnyShape(t *testing.T) {
	failures := planned(steps(8192, 1, 3), steps(32, 1, 5))
	for _, c := range failures.Plan() {
		addFailed(failures, c.Ctx, c.Batch, parse.ResourceAllocation)
	}
	equal := planned([]int{1024, 2048}, []int{128})
	add(equal, 1024, 128, 1000)
	add(equal, 2048, 128, 1000)
	longName := full(4, 4)
	longName.Sweep.Model = strings.Repeat("registry.example/x", 5)
	longest := full(1, 1)
	longest.Sweep.Model = strings.Repeat("a line\nand another ", 100)
	fast := full(30, 20)
	for i := range fast.Results {
		*fast.Results[i].PromptEvalRate *= 1e6
	}
	oddName := full(40, 16)
	addFailed(oddName, 9000, 128, parse.Class(strings.Repeat("unexpected ", 40)))
	for name, cp := range map[string]*checkpoint.Checkpoint{
		"older tool": olderTool(t), "one cell": full(1, 1), "one column": full(1, 40), "one row": full(60, 1),
		"wide": wide(), "tall": full(5, 60), "all failed": failures, "all equal": equal,
		"none measured": planned(steps(8192, 2048, 4), steps(32, 128, 4)), "all left out": planned([]int{64}, []int{128}),
		"long model name": longName, "very long model name": longest, "large figures": fast, "unknown class": oddName,
	} {
		t.Run(name, func(t *testing.T) {
			h, err := newGrid(cp).newHeatmap()
			require.NoError(t, err)
			h.dpi = 50 // for speed
			img := h.draw(stripPixels)
			bounds := img.Bounds()
			edge := margin * h.dpi / 72 / 2
			whole, inner := colorsIn(img, bounds), colorsIn(img, bounds.Inset(edge))
			area := func(r image.Rectangle) int { return r.Dx() * r.Dy() }
			assert.Equal(t, area(bounds)-area(bounds.Inset(edge)), whole[paper]-inner[paper], "the margin must be empty")
			assert.Greater(t, len(whole), 3)
		})
	}
}

// TestHeatmapStrips checks that strips have no seams and lose nothing at their edges.
func TestHeatmapStrips(t *testing.T) {
	h, err := newGrid(mixed()).newHeatmap()
	require.NoError(t, err)
	h.dpi = 40
	whole := h.draw(stripPixels)
	width, height := whole.Rect.Dx(), whole.Rect.Dy()
	for _, rows := range []int{1, 7, 64, height - 1} {
		if testing.Short() && rows == 1 {
			continue
		}
		strips := h.draw(rows * width)
		differ := 0
		for i := range whole.Pix {
			if whole.Pix[i] != strips.Pix[i] {
				differ++
			}
		}
		// Rotated letters are positioned relative to the strip's origin, so they can
		// differ by fractions of a pixel.
		assert.LessOrEqual(t, differ, 20, "%d rows", rows)
	}
}

func TestHeatmapIsDeterministic(t *testing.T) {
	draw := func() []byte {
		h, err := newGrid(mixed()).newHeatmap()
		require.NoError(t, err)
		h.dpi = 50
		return h.draw(stripPixels).Pix
	}
	assert.True(t, bytes.Equal(draw(), draw()))
}

func TestHeatmapErrors(t *testing.T) {
	err := WriteHeatmap(io.Discard, planned(nil, nil))
	assert.EqualError(t, err, "drawing heatmap: the sweep has no cells")
	err = WriteHeatmap(io.Discard, planned(steps(8192, 1, 501), steps(1, 1, 500)))
	assert.EqualError(t, err, "drawing heatmap: 501 × 500 cells are more than the 250000 that a picture can show")
	disk := fullDisk(0)
	assert.ErrorIs(t, WriteHeatmap(&disk, full(1, 1)), errFull)
}

func BenchmarkHeatmap(b *testing.B) {
	for _, size := range []image.Point{{X: 40, Y: 16}, {X: 100, Y: 100}} {
		cp := full(size.X, size.Y)
		b.Run(fmt.Sprintf("cells=%d", size.X*size.Y), func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, WriteHeatmap(io.Discard, cp))
			}
		})
	}
}

// TestHeatmapMarksPicks checks that a search's estimates of the fastest cells are marked,
// also those that were not measured.
func TestHeatmapMarksPicks(t *testing.T) {
	blue := func(picks int) int {
		cp := searched()
		cp.Sweep.Search.Best = cell.Key{Ctx: 1024, Batch: 512} // the cell with the highest rate, so that there is no outline of a recommended one
		cp.Sweep.Search.Columns = cp.Sweep.Search.Columns[:picks]
		var b bytes.Buffer
		require.NoError(t, WriteHeatmap(&b, cp))
		img, err := png.Decode(&b)
		require.NoError(t, err)
		return colorsIn(img, img.Bounds())[bestBlue]
	}
	one, two, three := blue(1), blue(2), blue(3)
	assert.InEpsilon(t, two-one, three-two, 0.1)
	assert.Greater(t, three-two, 10000)
}
