package report

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

// full returns a sweep of columns × rows cells, all measured.
func full(columns, rows int) *checkpoint.Checkpoint {
	cp := checkpoints.Planned(checkpoints.Steps(8192, 2048, columns), checkpoints.Steps(32, 64, rows))
	for i, c := range cp.Plan() {
		checkpoints.Add(cp, c.Ctx, c.Batch, 1000+float64(i*7919%1000))
	}
	return cp
}

func TestWriteHeatmap(t *testing.T) {
	race.SkipSequential(t)
	var b bytes.Buffer
	require.NoError(t, writeHeatmap(&b, checkpoints.Mixed()))
	const header = 33 // bytes of the signature and the first chunk
	assert.Equal(t, "pHYs", b.String()[header+4:header+8], "the resolution")
	img, err := png.Decode(&b)
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 20*300, 6*300), img.Bounds())
	found := colorsIn(img)
	for name, c := range map[string]color.RGBA{
		"lowest": picture.Heat.Shade(0), "highest": picture.Heat.Shade(1), "best": bestBlue, "failed": failedRed, "failed ground": failedTint,
		"missing": missingGrey, "hatch": hatchGrey, "left out": blankGrey, "lines": gridGrey, "text": ink,
	} {
		assert.Greater(t, found[c], 1000, name)
	}
}

// TestHeatmapMarksSpill checks that spilled cells are marked, the best cell too.
func TestHeatmapMarksSpill(t *testing.T) {
	race.SkipSequential(t)
	blue := func(vram int64) int {
		cp := full(3, 3)
		for i := range cp.Results {
			cp.Results[i].Size, cp.Results[i].SizeVRAM = 18e9, vram
		}
		var b bytes.Buffer
		require.NoError(t, writeHeatmap(&b, cp))
		img, err := png.Decode(&b)
		require.NoError(t, err)
		return colorsIn(img)[bestBlue]
	}
	const corner = 9                                          // points
	mark := corner * corner / 2 * (300 / 72.0) * (300 / 72.0) // dots
	assert.InEpsilon(t, 10*mark, blue(17e9)-blue(18e9), 0.35, "nine cells and the legend, less the blurred edges")
}

func TestHeatmapErrors(t *testing.T) {
	err := writeHeatmap(io.Discard, checkpoints.Planned(nil, nil))
	assert.EqualError(t, err, "drawing heatmap: the sweep has no cells")
	err = writeHeatmap(io.Discard, checkpoints.Planned(checkpoints.Steps(8192, 1, 501), checkpoints.Steps(1, 1, 500)))
	assert.EqualError(t, err, "drawing heatmap: 501 × 500 cells are more than the 250000 that a picture can show")
	disk := fullDisk(0)
	assert.ErrorIs(t, writeHeatmap(&disk, full(1, 1)), errFull)
}

func BenchmarkHeatmap(b *testing.B) {
	for _, size := range []image.Point{{X: 40, Y: 16}, {X: 100, Y: 100}} {
		cp := full(size.X, size.Y)
		b.Run(fmt.Sprintf("cells=%d", size.X*size.Y), func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, writeHeatmap(io.Discard, cp))
			}
		})
	}
}

// TestHeatmapMarksPicks checks that a search's estimates of the fastest cells are marked,
// also those that were not measured.
func TestHeatmapMarksPicks(t *testing.T) {
	race.SkipSequential(t)
	blue := func(picks int) int {
		cp := checkpoints.Searched()
		cp.Sweep.Search.Best = cell.Key{Ctx: 1024, Batch: 512} // the cell with the highest rate, so that there is no outline of a recommended one
		cp.Sweep.Search.Columns = cp.Sweep.Search.Columns[:picks]
		var b bytes.Buffer
		require.NoError(t, writeHeatmap(&b, cp))
		img, err := png.Decode(&b)
		require.NoError(t, err)
		return colorsIn(img)[bestBlue]
	}
	one, two, three := blue(1), blue(2), blue(3)
	assert.InEpsilon(t, two-one, three-two, 0.1)
	assert.Greater(t, three-two, 10000)
}

// The colours of the picture that these tests look for.
var (
	ink         = color.RGBA{0x00, 0x00, 0x00, 0xff}
	gridGrey    = color.RGBA{0x80, 0x80, 0x80, 0xff}
	blankGrey   = color.RGBA{0xf4, 0xf4, 0xf4, 0xff}
	missingGrey = color.RGBA{0xe3, 0xe3, 0xe3, 0xff}
	hatchGrey   = color.RGBA{0x96, 0x96, 0x96, 0xff}
	failedTint  = color.RGBA{0xff, 0xf5, 0xf5, 0xff}
	failedRed   = color.RGBA{0xd0, 0x00, 0x10, 0xff}
	bestBlue    = color.RGBA{0x00, 0x33, 0xff, 0xff}
)

// colorsIn returns how many pixels of each colour a picture has.
func colorsIn(img image.Image) map[color.RGBA]int {
	found := make(map[color.RGBA]int)
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			found[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	return found
}

func TestRateScale(t *testing.T) {
	s := rateScale(Stats{Min: 100, Max: 300})
	assert.Equal(t, []float64{100, 300}, []float64{s.Low, s.High})
	equal := rateScale(Stats{Min: 84.7, Max: 84.7})
	assert.InDelta(t, 84.7, (equal.Low+equal.High)/2, 1e-9)
	assert.Less(t, equal.Low, equal.High)
}

// TestHeatmapOfAnySweep: every kind of checkpoint has a picture.
func TestHeatmapOfAnySweep(t *testing.T) {
	race.SkipSequential(t)
	failures := checkpoints.Planned(checkpoints.Steps(8192, 1, 3), checkpoints.Steps(32, 1, 5))
	for _, c := range failures.Plan() {
		checkpoints.AddFailed(failures, c.Ctx, c.Batch, measurement.ResourceAllocation)
	}
	for name, cp := range map[string]*checkpoint.Checkpoint{
		"older tool": olderTool(t), "one cell": full(1, 1), "all failed": failures, "none measured": checkpoints.Planned(checkpoints.Steps(8192, 2048, 4), checkpoints.Steps(32, 128, 4)),
		"all left out": checkpoints.Planned([]int{64}, []int{128}), "pruned": checkpoints.Pruned(), "a search": checkpoints.Searched(),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, writeHeatmap(io.Discard, cp))
		})
	}
}
