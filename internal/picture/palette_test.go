package picture

import (
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/assert"
)

// heat returns the colour at a position on the scale of rates, from 0 to 1.
func heat(share float64) color.RGBA { return Heat.Shade(share) }

func TestHeat(t *testing.T) {
	assert.Equal(t, color.RGBA{0xff, 0xff, 0xcc, 0xff}, heat(0), "pale yellow")
	assert.Equal(t, color.RGBA{0x80, 0x00, 0x26, 0xff}, heat(1), "dark red")
	assert.Equal(t, heat(0), heat(-0.1))
	assert.Equal(t, heat(1), heat(1.1))
	half := heat(0.5)
	assert.InDelta(t, 0xfd, half.R, 3)
	assert.InDelta(t, 0x8d, half.G, 3)
	assert.InDelta(t, 0x3c, half.B, 3)
}

func TestLegible(t *testing.T) {
	assert.Equal(t, ink, legible(heat(0)))
	assert.Equal(t, ink, legible(heat(0.5)))
	assert.Equal(t, paper, legible(heat(1)))
	assert.Equal(t, ink, legible(paper))
	assert.Equal(t, paper, legible(ink))
}

func TestPaletteHoldsEveryPlainColor(t *testing.T) {
	for _, levels := range []*Colors{&Heat, &Change} {
		p := newPalette(levels)
		assert.LessOrEqual(t, len(p), 256)
		plain := append([]color.RGBA{
			paper, ink, gridGrey, blankGrey, missingGrey, hatchGrey, failedTint, failedRed, bestBlue,
		}, levels[:]...)
		for _, c := range plain {
			assert.Equal(t, c, p[p.Index(c)])
		}
	}
}

func TestQuantizer(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for x, c := range []color.RGBA{bestBlue, {0x01, 0x33, 0xfe, 0xff}, heat(1)} {
		src.SetRGBA(x, 0, c)
		src.SetRGBA(x, 1, paper)
	}
	dst := image.NewPaletted(image.Rect(0, 0, 3, 4), newPalette(&Heat))
	q := newQuantizer(dst.Palette)
	q.copy(dst, 3, src) // only the first row fits
	for x, want := range []color.RGBA{bestBlue, bestBlue, heat(1)} {
		assert.Equal(t, want, dst.At(x, 3))
		assert.Equal(t, paper, dst.At(x, 2))
	}
	assert.Len(t, q.found, 3)
}
