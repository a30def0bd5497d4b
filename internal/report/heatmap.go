package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// writeHeatmap draws the sweep as a PNG picture: num_ctx to the right,
// num_batch upwards, each cell coloured by its rate and labelled with it. It
// returns an error for a checkpoint without cells, or with more cells than a
// picture can show.
func writeHeatmap(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeHeatmap(w) }

func (g *grid) writeHeatmap(w io.Writer) error {
	var s Stats
	p := g.picture(func(c cell.Key, shown *picture.Cell) {
		shown.Best, shown.Recommended = s.Best != nil && c == s.Best.Cell(), s.recommends(c)
	})
	if err := p.Check(); err != nil {
		return fmt.Errorf("drawing heatmap: %w", err)
	}
	if g.tooLarge() { // also where the places that it would show are few, as on the page
		return fmt.Errorf("drawing heatmap: %s %w", g.sizeText(), picture.ErrTooLarge)
	}
	s = g.stats() // of a grid that is not too large
	p.Title = g.title(g.cp.Sweep, s)
	p.Legend = g.legend()
	if s.Best != nil {
		p.Scale = rateScale(s)
		if !s.recommends(s.Best.Cell()) {
			p.Legend = append([]picture.Entry{{Look: picture.LookRecommended, Meaning: "recommended"}}, p.Legend...)
		}
	}
	if err := p.Write(w); err != nil {
		return fmt.Errorf("writing heatmap: %w", err)
	}
	return nil
}

// picture returns the grid's axes and cells. mark adds what depends on more than the cell.
func (g *grid) picture(mark func(cell.Key, *picture.Cell)) *picture.Picture {
	picks := g.picks()
	p := &picture.Picture{XLabel: g.view.X.Name, YLabel: g.view.Y.Name, Columns: g.view.X.Labels(), Rows: g.view.Y.Labels()}
	for _, t := range g.tables() {
		p.Panels = append(p.Panels, picture.Panel{Title: t.title, Cell: func(column, row int) picture.Cell {
			c := t.cell(column, row)
			shown := picture.Cell{Picked: picks[c]}
			at, r := g.at(c)
			switch at {
			case measured:
				shown.State, shown.Value = picture.Measured, *r.PromptEvalRate
				shown.Spilled = g.spilled(r)
			case failed:
				shown.State, shown.Error = picture.Failed, OneLine(string(*r.Error))
			case missing:
				shown.State = picture.Missing
			case pruned:
				shown.State = picture.Pruned
			}
			mark(c, &shown)
			return shown
		}})
	}
	return p
}

func rateText(tokensPerSec float64) string { return strconv.FormatFloat(tokensPerSec, 'f', 1, 64) }

// rateScale covers the rates of a sweep. Where all are equal, it extends to both
// sides, so that they are in its middle.
func rateScale(s Stats) *picture.Scale {
	sc := &picture.Scale{Low: s.Min, High: s.Max, Colors: &picture.Heat, Name: "Prompt Eval Rate (tokens/s)", Text: rateText}
	if s.Min == s.Max {
		sc.Low, sc.High = s.Min*0.99, s.Max*1.01
	}
	return sc
}

// legend returns an entry for each look that occurs and needs an explanation.
func (g *grid) legend() (entries []picture.Entry) {
	add := func(occurs bool, look picture.Look, meaning string) {
		if occurs {
			entries = append(entries, picture.Entry{Look: look, Meaning: meaning})
		}
	}
	add(g.has(failed), picture.LookFailed, "failed, with the type of error")
	add(g.hasSpilled(), picture.LookSpilled, spilledText)
	add(g.has(missing), picture.LookMissing, g.missingText())
	add(g.has(pruned), picture.LookPruned, prunedText)
	add(len(g.picks()) > 0, picture.LookPicked, pickText)
	blank := g.blankReason()
	add(blank != "", picture.LookBlank, blank)
	return entries
}

// title returns the three lines of the picture's title: the model, the ranges, and
// the best cell.
func (g *grid) title(h checkpoint.Header, s Stats) []picture.Line {
	model := OneLine(h.Model)
	if model == "" {
		model = "model not named"
	}
	ranges := fmt.Sprintf("num_ctx %s, num_batch %s", span(g.ctx), span(g.batch))
	for _, a := range h.Axes {
		ranges += fmt.Sprintf(", %s %s", OneLine(a.Name), list(a.Labels()))
	}
	if text := g.bestText(); text != "" {
		ranges += "; " + text
	}
	if s.Measured < s.Planned {
		ranges += fmt.Sprintf("; %d of %d cells measured", s.Measured, s.Planned)
	}
	best := "BEST: no cell measured"
	if s.Best != nil {
		best = fmt.Sprintf("BEST: %s, rate=%s tokens/s",
			s.Best.Cell().Text(), rateText(*s.Best.PromptEvalRate)) + titleNotes(s)
	}
	return []picture.Line{picture.Heading(model), picture.Detail(ranges), picture.Highlight(best)}
}

// titleNotes describes how certain the best cell is.
func titleNotes(s Stats) string {
	var notes string
	if in, ok := verdict.IntervalOf(s.Best.SampleRates()); ok && in.Bounded {
		notes = fmt.Sprintf(" (95 %% interval %s–%s)", rateText(in.Low), rateText(in.High))
	}
	if v := s.Verdict; len(v.Tied) > 0 {
		notes += fmt.Sprintf("; %d tied within %s %%", len(v.Tied), percent(v.TiedWithin))
	}
	if !s.recommends(s.Best.Cell()) {
		notes += "; recommended: " + s.Verdict.Recommended.Text()
	}
	return notes
}

// mostListed is how many values of an axis are listed.
const mostListed = 8

// list lists values, of many only the first ones and the last.
func list(values []string) string {
	if n := len(values); n > mostListed {
		return fmt.Sprintf("%s, … %s (%d values)", strings.Join(values[:mostListed-2], ", "), values[n-1], n)
	}
	return strings.Join(values, ", ")
}

// span formats the range of ascending values, of which there must be at least one.
func span(values []int) string {
	if len(values) == 1 {
		return fmt.Sprint(values[0])
	}
	return fmt.Sprintf("%d–%d (%d values)", values[0], values[len(values)-1], len(values))
}
