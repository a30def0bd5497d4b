package picture

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// capHeight is the height of digits and capitals, lineHeight the distance between
// lines, both relative to the type size.
const (
	capHeight  = 0.72
	lineHeight = 1.15
)

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

func sansBold(size vg.Length) font.Font {
	const bold = 3 // WeightBold of golang.org/x/image/font
	return font.Font{Typeface: "Liberation", Variant: "Sans", Weight: bold, Size: size}
}

// width returns the width of a line of text.
func width(f font.Font, text string) vg.Length {
	face := font.DefaultCache.Lookup(f, f.Size)
	return face.Width(text)
}

// write draws lines of text, vertically centred at a point. The point is the
// horizontal centre for draw.XCenter, and the left end for draw.XLeft.
func write(c draw.Canvas, f font.Font, ink color.Color, align draw.XAlignment, at vg.Point, lines ...string) {
	face := font.DefaultCache.Lookup(f, f.Size)
	c.SetColor(ink)
	y := at.Y + f.Size*(lineHeight*vg.Length(len(lines)-1)-capHeight)/2
	for _, line := range lines {
		c.FillString(face, vg.Point{X: at.X + vg.Length(align)*face.Width(line), Y: y}, line)
		y -= f.Size * lineHeight
	}
}

// wrap breaks text into lines between its words, and reports whether they fit
// into the width and height.
func wrap(f font.Font, text string, w, h vg.Length) (lines []string, ok bool) {
	line := ""
	for _, word := range strings.Fields(text) {
		joined := strings.TrimSpace(line + " " + word)
		if line != "" && width(f, joined) > w {
			lines = append(lines, line)
			joined = word
		}
		line = joined
	}
	lines = append(lines, line)
	for _, line := range lines {
		if width(f, line) > w {
			return nil, false
		}
	}
	return lines, f.Size*lineHeight*vg.Length(len(lines)) <= h
}

// shorten cuts text to the width and marks the cut with an ellipsis.
func shorten(f font.Font, text string, w vg.Length) string {
	if width(f, text) <= w {
		return text
	}
	runes := []rune(text)
	for len(runes) > 0 && width(f, string(runes)+"…") > w {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
