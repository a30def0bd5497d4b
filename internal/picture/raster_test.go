package picture

import (
	"image"
	"image/color"
	stddraw "image/draw"
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// TestRasterMatchesVgimg compares the fast paths of raster with vgimg.
func TestRasterMatchesVgimg(t *testing.T) {
	const dpi = 72 // a point is a pixel
	face := font.DefaultCache.Lookup(sans(13), 13)
	area := vg.Rectangle{Min: vg.Point{X: 10, Y: 20}, Max: vg.Point{X: 50, Y: 40}}
	half := vg.Rectangle{Min: vg.Point{X: 10.5, Y: 20}, Max: vg.Point{X: 50, Y: 40.3}}
	for name, tt := range map[string]struct {
		draw  func(vg.Canvas)
		exact bool
	}{
		"an area":           {func(c vg.Canvas) { c.Fill(area.Path()) }, true},
		"part of a pixel":   {func(c vg.Canvas) { c.Fill(half.Path()) }, true},
		"half transparent":  {func(c vg.Canvas) { c.SetColor(color.NRGBA{R: 200, A: 128}); c.Fill(area.Path()) }, true},
		"over the edge":     {func(c vg.Canvas) { c.Translate(vg.Point{X: -30, Y: 30}); c.Fill(area.Path()) }, true},
		"a triangle":        {func(c vg.Canvas) { p := area.Path(); c.Fill(append(p[:3:3], p[4])) }, true},
		"rotated text":      {func(c vg.Canvas) { c.Rotate(0.5); c.FillString(face, vg.Point{X: 20, Y: 5}, "123") }, true},
		"a rotated area":    {func(c vg.Canvas) { c.Push(); c.Rotate(0.5); c.Fill(area.Path()); c.Pop() }, true},
		"scaled":            {func(c vg.Canvas) { c.Scale(0.5, 0.5); c.Fill(area.Path()) }, true},
		"text":              {func(c vg.Canvas) { c.FillString(face, vg.Point{X: 12.3, Y: 30.7}, "1234.5") }, false},
		"text with a shift": {func(c vg.Canvas) { c.Translate(vg.Point{X: 8, Y: 6}); c.FillString(face, vg.Point{X: 4, Y: 20}, "88") }, false},
		"after a pop": {func(c vg.Canvas) {
			c.Push()
			c.Rotate(1)
			c.Translate(vg.Point{X: 3})
			c.Pop()
			c.FillString(face, vg.Point{X: 12, Y: 30}, "57")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			ours := newRaster(100, 60, dpi)
			library := vgimg.NewWith(vgimg.UseWH(100, 60), vgimg.UseDPI(dpi))
			for _, c := range []struct {
				vg.Canvas
				img image.Image
			}{{ours, ours.img}, {library, library.Image()}} {
				stddraw.Draw(c.img.(*image.RGBA), c.img.Bounds(), image.NewUniform(paper), image.Point{}, stddraw.Src)
				c.SetColor(ink)
				tt.draw(c.Canvas)
			}
			theirs := library.Image().(*image.RGBA)
			assert.Positive(t, inkOn(theirs), "it draws something")
			if tt.exact {
				assert.Equal(t, theirs.Pix, ours.img.Pix)
				return
			}
			// Letters are antialiased differently, but at the same position.
			assert.InEpsilon(t, inkOn(theirs), inkOn(ours.img), 0.05)
			wantX, wantY := middleOfInk(theirs)
			x, y := middleOfInk(ours.img)
			assert.InDelta(t, wantX, x, 0.3)
			assert.InDelta(t, wantY, y, 0.3)
		})
	}
}

// inkOn returns the amount of ink on an image: black pixels count 1, white ones 0.
func inkOn(img *image.RGBA) float64 {
	var sum float64
	for i := 0; i < len(img.Pix); i += 4 {
		sum += 1 - float64(img.Pix[i+1])/255
	}
	return sum
}

func middleOfInk(img *image.RGBA) (x, y float64) {
	for i := 0; i < len(img.Pix); i += 4 {
		dark := 1 - float64(img.Pix[i+1])/255
		x += dark * float64(i%img.Stride/4)
		y += dark * float64(i/img.Stride)
	}
	return x / inkOn(img), y / inkOn(img)
}
