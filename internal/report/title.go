package report

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// titleLine is a line of the picture's title.
type titleLine struct {
	text  string
	font  font.Font
	color color.Color
}

// title returns the three lines of the picture's title: the model, the ranges, and
// the best cell.
func (g *grid) title(h checkpoint.Header, s Stats) []titleLine {
	model := OneLine(h.Model)
	if model == "" {
		model = "model not named"
	}
	ranges := fmt.Sprintf("num_ctx %s, num_batch %s", span(g.ctx), span(g.batch))
	if s.Measured < s.Planned {
		ranges += fmt.Sprintf("; %d of %d cells measured", s.Measured, s.Planned)
	}
	best := "BEST: no cell measured"
	if s.Best != nil {
		best = fmt.Sprintf("BEST: num_ctx=%d, num_batch=%d, rate=%s tokens/s",
			s.Best.NumCtx, s.Best.NumBatch, rateText(*s.Best.PromptEvalRate)) + titleNotes(s)
	}
	return []titleLine{
		{model, sansBold(16), ink},
		{ranges, sans(12), ink},
		{best, sansBold(14), bestBlue},
	}
}

// titleNotes describes how certain the best cell is.
func titleNotes(s Stats) string {
	var notes string
	if in, ok := verdict.IntervalOf(s.Best.SampleRates()); ok && in.Bounded {
		notes = fmt.Sprintf(" (95 %% interval %s–%s)", rateText(in.Low), rateText(in.High))
	}
	if v := s.Verdict; len(v.Tied) > 0 {
		notes += fmt.Sprintf("; %d tied within %s %%", len(v.Tied), percent(v.Within))
	}
	if !s.recommends(s.Best.Cell()) {
		notes += "; recommended: " + named(s.Verdict.Recommended)
	}
	return notes
}

// span formats the range of ascending values, of which there must be at least one.
func span(values []int) string {
	if len(values) == 1 {
		return fmt.Sprint(values[0])
	}
	return fmt.Sprintf("%d–%d (%d values)", values[0], values[len(values)-1], len(values))
}

// drawTitle draws the lines from the top of the area downwards. A line that is wider
// than the area is set in smaller type, and cut if that is not enough.
func drawTitle(c draw.Canvas, area vg.Rectangle, lines []titleLine) {
	at := vg.Point{X: middle(area).X, Y: area.Max.Y}
	for _, l := range lines {
		step := l.font.Size * 1.3
		for l.font.Size > 8 && width(l.font, l.text) > area.Size().X {
			l.font.Size -= 0.5
		}
		text := shorten(l.font, l.text, area.Size().X)
		write(c, l.font, l.color, draw.XCenter, vg.Point{X: at.X, Y: at.Y - step/2}, text)
		at.Y -= step
	}
}

func titleHeight(lines []titleLine) vg.Length {
	var h vg.Length
	for _, l := range lines {
		h += l.font.Size * 1.3
	}
	return h
}
