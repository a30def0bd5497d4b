package picture

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"

	"gonum.org/v1/plot/palette/brewer"
)

// The colours of the picture other than those of rates.
var (
	paper       = color.RGBA{0xff, 0xff, 0xff, 0xff}
	ink         = color.RGBA{0x00, 0x00, 0x00, 0xff}
	gridGrey    = color.RGBA{0x80, 0x80, 0x80, 0xff}
	blankGrey   = color.RGBA{0xf4, 0xf4, 0xf4, 0xff} // no cell
	missingGrey = color.RGBA{0xe3, 0xe3, 0xe3, 0xff} // not measured yet
	hatchGrey   = color.RGBA{0x96, 0x96, 0x96, 0xff}
	failedTint  = color.RGBA{0xff, 0xf5, 0xf5, 0xff}
	failedRed   = color.RGBA{0xd0, 0x00, 0x10, 0xff}
	bestBlue    = color.RGBA{0x00, 0x33, 0xff, 0xff}
)

// heatLevels is the number of colours of the scale. A step is hardly visible, and
// the palette still has entries for the edges of letters.
const heatLevels = 96

// Colors are the colours of a scale, from its lowest value to its highest.
type Colors [heatLevels]color.RGBA

// Heat is yellow, orange, red, as matplotlib draws its map of that name.
var Heat = between(brewer.YlOrRd[9].Color)

// Change is red for slower, white, and blue for faster.
var Change = between(brewer.RdBu[11].Color)

// between lays straight lines between the colours of one of ColorBrewer's maps.
func between(anchors []color.Color) (colors Colors) {
	for i := range colors {
		at := float64(i) / (heatLevels - 1) * float64(len(anchors)-1)
		low := min(int(at), len(anchors)-2)
		from := color.RGBAModel.Convert(anchors[low]).(color.RGBA)
		to := color.RGBAModel.Convert(anchors[low+1]).(color.RGBA)
		colors[i] = blend(from, to, at-float64(low))
	}
	return colors
}

// Shade returns the colour at a share of the range, 0 for the lowest value and 1 for
// the highest.
func (c *Colors) Shade(share float64) color.RGBA {
	return c[int(math.Round(min(max(share, 0), 1)*(heatLevels-1)))]
}

// blend returns the linear interpolation from a (share 0) to b (share 1).
func blend(a, b color.RGBA, share float64) color.RGBA {
	mix := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + share*(float64(y)-float64(x)))) }
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 0xff}
}

// darkGround is the relative luminance of a background below which white letters
// are more legible. The contrast ratio of WCAG 2 suggests 0.18, which would put
// black letters on full red.
const darkGround = 0.25

// legible returns the colour of letters on a background: white where it is dark,
// otherwise black.
func legible(c color.RGBA) color.RGBA {
	linear := func(v uint8) float64 {
		x := float64(v) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	// Relative luminance as WCAG 2 defines it, from sRGB.
	luminance := 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
	if luminance < darkGround {
		return paper
	}
	return ink
}

// edgeSteps is the number of shades between a letter and its background.
const edgeSteps = 5

// newPalette returns the palette of a picture with the scale levels, at most 256 colours:
// every plain colour, and shades for the edges of letters and lines on their backgrounds.
// Backgrounds of neighbouring rates share their shades.
func newPalette(levels *Colors) color.Palette {
	p := color.Palette{paper, ink, gridGrey, blankGrey, missingGrey, hatchGrey, failedTint, failedRed, bestBlue}
	shades := func(ground, letter color.RGBA, steps int) {
		for i := 1; i <= steps; i++ {
			p = append(p, blend(ground, letter, float64(i)/float64(steps+1)))
		}
	}
	shades(paper, ink, 10)
	shades(paper, bestBlue, edgeSteps)
	shades(failedTint, failedRed, edgeSteps)
	shades(missingGrey, hatchGrey, 2)
	for i, c := range levels {
		p = append(p, c)
		if i%4 == 2 {
			shades(c, legible(c), edgeSteps)
		}
	}
	return p
}

// quantizer finds the nearest colours of a palette. It caches them, since drawings
// have few colours and the search is slow.
type quantizer struct {
	palette color.Palette
	found   map[uint32]uint8 // by the four bytes of a pixel
}

func newQuantizer(p color.Palette) *quantizer {
	return &quantizer{palette: p, found: make(map[uint32]uint8)}
}

// copy copies the rows of src to dst, starting at row top of dst, as far as they
// fit. Both images must have the same width.
func (q *quantizer) copy(dst *image.Paletted, top int, src *image.RGBA) {
	rows := min(src.Rect.Dy(), dst.Rect.Dy()-top)
	for y := range rows {
		from := src.Pix[y*src.Stride:]
		to := dst.Pix[(top+y)*dst.Stride : (top+y+1)*dst.Stride]
		var last uint32 // starts transparent, which no pixel is
		var index uint8
		for x := range to {
			if pixel := binary.LittleEndian.Uint32(from[4*x:]); pixel != last {
				last, index = pixel, q.index(pixel)
			}
			to[x] = index
		}
	}
}

func (q *quantizer) index(pixel uint32) uint8 {
	i, ok := q.found[pixel]
	if !ok {
		i = uint8(q.palette.Index(color.RGBA{uint8(pixel), uint8(pixel >> 8), uint8(pixel >> 16), uint8(pixel >> 24)}))
		q.found[pixel] = i
	}
	return i
}
