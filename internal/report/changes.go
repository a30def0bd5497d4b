package report

import (
	"fmt"
	"io"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
)

// Changes are the changes of rates from one sweep to another, for a picture.
type Changes struct {
	Title string // names the two sweeps
	Text  string // the result in one line
	// NumCtx and NumBatch are axes, ascending, and Axes the others.
	NumCtx, NumBatch []int
	Axes             []cell.SettingAxis
	// Ratio is the relative change, 0.05 for 5 % faster, of each cell that has a rate
	// in both sweeps.
	Ratio map[cell.Key]float64
	// Strong holds the cells of Ratio whose change is significant.
	Significant map[cell.Key]bool
	// Failed are the results of the cells that fail in the newer sweep.
	Failed []checkpoint.Result
}

// minChange is the smallest end of the colour scale, in percent: a smaller one
// would show noise in full colours.
const minChange = 1

// WriteChanges draws the changes as a heatmap, a PNG picture: red is slower, blue is
// faster, significant changes are bold.
func WriteChanges(w io.Writer, c Changes) error {
	cp := &checkpoint.Checkpoint{Sweep: checkpoint.Header{NumCtx: c.NumCtx, NumBatch: c.NumBatch, Axes: c.Axes}, Results: c.Failed}
	most := float64(minChange)
	for at, ratio := range c.Ratio {
		percent := 100 * ratio
		most = max(most, math.Abs(percent))
		r := checkpoint.NewResult(at)
		r.PromptEvalRate = &percent
		cp.Results = append(cp.Results, r)
	}
	g := newGrid(cp)
	g.faster = func(a, b *checkpoint.Result) bool { return math.Abs(*a.PromptEvalRate) > math.Abs(*b.PromptEvalRate) }
	p := g.picture(func(at cell.Key, shown *picture.Cell) { shown.Bold = c.Significant[at] })
	if err := p.Check(); err != nil {
		return fmt.Errorf("drawing changes: %w", err)
	}
	if len(c.Ratio) > 0 {
		p.Scale = &picture.Scale{Low: -most, High: most, Colors: &picture.Change, Name: "Change of Prompt Eval Rate (%)", Text: SignedPercent}
	}
	if g.showsBest() {
		c.Text += fmt.Sprintf("; each place shows the largest change of %d combinations of %s", len(g.view.Tables), list(cell.NamesOf(g.view.Rest)))
	}
	p.Title = []picture.Line{picture.Heading(OneLine(c.Title)), picture.Detail(OneLine(c.Text))}
	p.Legend = g.changeLegend(len(c.Significant) > 0)
	if err := p.Write(w); err != nil {
		return fmt.Errorf("writing changes: %w", err)
	}
	return nil
}

// SignedPercent formats a change in percent with a sign and one decimal; zero is +0.0,
// never -0.0.
func SignedPercent(percent float64) string { return fmt.Sprintf("%+.1f", math.Round(10*percent)/10+0) }

// changeLegend returns a legend entry for each look that needs an explanation.
func (g *grid) changeLegend(strong bool) (entries []picture.Entry) {
	if strong {
		entries = append(entries, picture.Entry{Look: picture.LookBold, Meaning: "bold: significant"})
	}
	if g.has(failed) {
		entries = append(entries, picture.Entry{Look: picture.LookFailed, Meaning: "fails now, with the type of error"})
	}
	if g.has(missing) {
		entries = append(entries, picture.Entry{Look: picture.LookMissing, Meaning: "no rate in one of the sweeps or both"})
	}
	return entries
}
