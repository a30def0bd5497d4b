package report

import (
	"fmt"
	"io"
	"math"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
)

// Changes is what a picture shows of how rates changed from one sweep to another.
type Changes struct {
	Title string // names both
	Text  string // says what came of it, in a line
	// NumCtx and NumBatch are the axes, ascending.
	NumCtx, NumBatch []int
	// Ratio is relative, 0.05 for 5 % faster, of the cells that have a rate on both
	// sides.
	Ratio map[cell.Key]float64
	// Strong are those of them whose change is significant.
	Strong map[cell.Key]bool
	// Failed are the results of the cells that fail now.
	Failed []checkpoint.Result
}

// leastChange is the smallest change that the scale covers, in percent: below it
// noise would be painted in full colours.
const leastChange = 1

// WriteChanges draws the changes as a PNG picture like that of a sweep: red is
// slower, blue is faster, significant changes are bold.
func WriteChanges(w io.Writer, c Changes) error {
	cp := &checkpoint.Checkpoint{Sweep: checkpoint.Header{NumCtx: c.NumCtx, NumBatch: c.NumBatch}, Results: c.Failed}
	most := float64(leastChange)
	for at, ratio := range c.Ratio {
		percent := 100 * ratio
		most = max(most, math.Abs(percent))
		cp.Results = append(cp.Results, checkpoint.Result{NumCtx: at.Ctx, NumBatch: at.Batch, PromptEvalRate: &percent})
	}
	g := newGrid(cp)
	p := g.picture()
	if err := p.Check(); err != nil {
		return fmt.Errorf("drawing changes: %w", err)
	}
	if len(c.Ratio) > 0 {
		p.Scale = &picture.Scale{Low: -most, High: most, Colors: &picture.Change, Name: "Change of Prompt Eval Rate (%)", Text: SignedPercent}
	}
	plain := p.Cell
	p.Cell = func(column, row int) picture.Cell {
		shown := plain(column, row)
		shown.Bold = c.Strong[cell.Key{Ctx: g.ctx[column], Batch: g.batch[row]}]
		return shown
	}
	p.Title = []picture.Line{picture.Heading(OneLine(c.Title)), picture.Detail(OneLine(c.Text))}
	p.Legend = g.changeLegend(len(c.Strong) > 0)
	if err := p.Write(w); err != nil {
		return fmt.Errorf("writing changes: %w", err)
	}
	return nil
}

// SignedPercent gives a change of so many percent its sign; what rounds to nothing
// is +0.0.
func SignedPercent(percent float64) string { return fmt.Sprintf("%+.1f", math.Round(10*percent)/10+0) }

// changeLegend explains what does not speak for itself.
func (g *grid) changeLegend(strong bool) (entries []picture.Entry) {
	if strong {
		entries = append(entries, picture.Entry{Look: picture.LookBold, Meaning: "bold: significant"})
	}
	if g.has(failed) {
		entries = append(entries, picture.Entry{Look: picture.LookFailed, Meaning: "fails now, with the type of error"})
	}
	if g.has(missing) {
		entries = append(entries, picture.Entry{Look: picture.LookMissing, Meaning: "without a rate on one side or both"})
	}
	return entries
}
