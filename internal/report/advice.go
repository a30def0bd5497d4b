package report

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// advice is what to set, and what that is worth.
type advice struct {
	sweep.Advice
	cp       *checkpoint.Checkpoint
	rate     verdict.Estimate // of the recommended cell, with the figure that tables have
	samples  int              // that it rests on
	bounded  bool             // the rate's interval is known
	frontier []sweep.ColumnBest
	memory   memoryEnd
}

// nearBest is how far below the best a num_ctx's own best may lie to be as good:
// somebody who needs room for long texts gives up so much for it.
const nearBest = 0.05

// advise returns nil while no cell has a rate.
func (g *grid) advise(v *sweep.Verdict) *advice {
	if v == nil {
		return nil
	}
	a := &advice{Advice: sweep.Advise(g.cp, *v), cp: g.cp, frontier: sweep.Frontier(g.cp, *v), memory: g.memoryEnd()}
	if a.Kind == sweep.NoAdvice {
		return a
	}
	a.rate, _ = v.Estimate(v.Recommended)
	a.rate.Rate, _ = v.Figure(v.Recommended)
	a.samples = len(v.Recommended.Rates) + len(v.Recommended.Again)
	a.bounded = v.Basis != verdict.Assumed
	return a
}

// rateText gives the rate with its interval, where it has one, and what it rests on.
func (a *advice) rateText() string {
	samples := fmt.Sprintf("%d samples", a.samples)
	if a.samples == 1 {
		samples = "1 sample"
	}
	switch inside := a.rate.Low <= a.rate.Rate && a.rate.Rate <= a.rate.High; {
	case a.bounded && !inside:
		return fmt.Sprintf("%.1f tokens/s (%s), where all cells together let expect %.1f to %.1f (95 %% interval)", a.rate.Rate, samples, a.rate.Low, a.rate.High)
	case a.bounded:
		return fmt.Sprintf("%.1f tokens/s (95 %% interval %.1f to %.1f, %s)", a.rate.Rate, a.rate.Low, a.rate.High, samples)
	}
	return fmt.Sprintf("%.1f tokens/s (%s)", a.rate.Rate, samples)
}

// batchText says what to do about num_batch, and why.
func (a *advice) batchText() string {
	switch a.Kind {
	case sweep.SetBatch:
		return fmt.Sprintf("set num_batch=%d: %s", a.Batch, a.gainText())
	case sweep.LeaveBatch:
		return "leave num_batch to the server: " + a.leaveText()
	case sweep.Unsure:
		if a.Searching {
			return "can't tell yet: the search has not ended"
		}
		return fmt.Sprintf("can't tell yet: differences below %s would not show", wholePercent(a.Resolution))
	}
	return "no advice yet: " + a.Lacking
}

func (a *advice) gainText() string {
	if a.Gain == nil {
		var parts []string
		for _, r := range a.Rows {
			parts = append(parts, fmt.Sprintf("%s %d", timesText(r.Ratio), r.NumBatch))
		}
		text := strings.Join(parts, ", ")
		if a.Next == nil { // else the last sentence says how to know it
			text += "; the gain over the server's own num_batch is not known"
		}
		return text
	}
	text := fmt.Sprintf("%s (95 %% %s) over the server's own", signedPercent(a.Gain.Ratio), percents(*a.Gain))
	if a.Own > 0 {
		text += fmt.Sprintf(" %d", a.Own)
	}
	if a.Baseline {
		text += ", measured in turns"
	}
	return text
}

// timesText says how a rate compares with one that is lower by a ratio.
func timesText(ratio float64) string {
	if ratio >= 0.5 {
		return fmt.Sprintf("%.1f times as fast as", 1+ratio)
	}
	return fmt.Sprintf("%.0f %% faster than", 100*ratio)
}

func (a *advice) leaveText() string {
	switch g := a.Gain; {
	case a.Own == a.Batch && a.Own > 0:
		if a.Resolution <= 0 {
			return fmt.Sprintf("its own %d is faster than all others", a.Own)
		}
		return fmt.Sprintf("its own %d is the fastest, and no other is faster by more than %s", a.Own, wholePercent(a.Resolution))
	case g != nil && g.High < 0:
		return fmt.Sprintf("num_batch=%d is %.1f %% slower than its own (95 %% %s)", a.Batch, -100*g.Ratio, percents(verdict.Gain{Low: -g.High, High: -g.Low}))
	}
	return fmt.Sprintf("no difference above %s was found", wholePercent(a.Resolution))
}

// wholePercent gives a share without decimals, or with one below 3 %; rounded up so that it
// holds.
func wholePercent(share float64) string {
	if share < 0.03 {
		return percent(share) + " %"
	}
	return fmt.Sprintf("%.0f %%", math.Ceil(100*share-1e-9))
}

// signedPercent has a sign and as many decimals as tell.
func signedPercent(ratio float64) string { return fmt.Sprintf("%+.*f %%", decimals(ratio), 100*ratio) }

func percents(g verdict.Gain) string {
	d := decimals(max(math.Abs(g.Low), math.Abs(g.High)))
	return fmt.Sprintf("%.*f to %.*f", d, 100*g.Low, d, 100*g.High)
}

func decimals(ratio float64) int {
	if math.Abs(ratio) < 0.1 {
		return 1
	}
	return 0
}

// contextText says what the recommended num_ctx costs and what a larger one would.
func (a *advice) contextText() string {
	text := fmt.Sprintf("num_ctx=%d: %s", a.Ctx, a.rateText())
	c, ok := a.longest()
	switch {
	case a.Ctx == a.memory.works:
		text += "; no larger one works or was measured"
		if a.memory.ran == (cell.Key{}) {
			text = strings.Replace(text, "no larger one works or was measured", "the largest measured", 1)
		}
	case ok && c.Ctx > a.Ctx:
		text += fmt.Sprintf("; the largest within %.0f %% of that is %d, with num_batch=%d: %.1f tokens/s", 100*nearBest, c.Ctx, c.Batch, c.Rate)
	default:
		text += fmt.Sprintf("; no larger one is within %.0f %% of that", 100*nearBest)
	}
	return text
}

// longest returns the largest num_ctx whose own best is within nearBest of the
// rate of the recommended cell.
func (a *advice) longest() (sweep.ColumnBest, bool) {
	for _, c := range slices.Backward(a.frontier) {
		if c.Rate >= (1-nearBest)*a.rate.Rate {
			return c, true
		}
	}
	return sweep.ColumnBest{}, false
}

// command is what would say more, with how long that takes; empty where nothing would.
func (a *advice) command(dir string) (line string, takes time.Duration) {
	if a.Next == nil {
		return "", 0
	}
	return sweep.CommandLine(a.cp.Sweep, append(a.Next.Flags, outFlag(a.cp, dir)...)...), a.Next.Time
}

// outFlag names the folder where it is not the one that a sweep of this config takes anyway.
func outFlag(cp *checkpoint.Checkpoint, dir string) []string {
	if dir == "" || filepath.Clean(dir) == sweep.DefaultOut(cp) {
		return nil
	}
	return []string{"-out=" + shell.Quoted(dir)}
}

// texts says what to set, and then what that is worth. The last is what would say more, where
// something would: a sentence that ends in a command. dir is the sweep's folder, empty where it
// is not known.
func (a *advice) texts(dir string) []string {
	texts := []string{a.batchText()}
	if a.Kind != sweep.NoAdvice {
		texts = append(texts, a.contextText())
	}
	line, takes := a.command(dir)
	switch {
	case line == "":
		return texts
	case a.Kind == sweep.SetBatch:
		return append(texts, fmt.Sprintf("what that gains over the server's own num_batch would be known in about %v: `%s`", roughly(takes), line))
	case a.Next.Settles:
		return append(texts, fmt.Sprintf("this would show, in about %v: `%s`", roughly(takes), line))
	}
	return append(texts, fmt.Sprintf("this would say more, in about %v: `%s`", roughly(takes), line))
}

// roughly rounds a time that is an estimate.
func roughly(d time.Duration) time.Duration {
	switch {
	case d < time.Minute:
		return max(time.Second, d.Round(time.Second))
	case d < time.Hour:
		return d.Round(10 * time.Second)
	}
	return d.Round(time.Minute)
}

// memoryEnd is where memory ends on a grid. Cells are zero where there are none.
type memoryEnd struct {
	works int      // the largest num_ctx that has a rate
	ran   cell.Key // the smallest, by num_ctx and then num_batch, that ran out of GPU memory or of system memory
	spill cell.Key // likewise, whose model was not in GPU memory as a whole
}

func (g *grid) memoryEnd() (m memoryEnd) {
	none := cell.Key{}
	for _, ctx := range g.ctx {
		for _, batch := range g.batch {
			c := cell.Key{Ctx: ctx, Batch: batch}
			at, r := g.at(c)
			switch {
			case at == measured:
				m.works = max(m.works, ctx)
				if m.spill == none && g.spilled(r) {
					m.spill = c
				}
			case at == failed && m.ran == none && r.Error.OutOfMemory():
				m.ran = c
			}
		}
	}
	return m
}

// text says it in words, and is empty where memory did not end.
func (m memoryEnd) text() string {
	none := cell.Key{}
	switch {
	case m.ran != none && m.spill != none:
		return fmt.Sprintf("a part of the model is not in GPU memory from %s on, and memory ends at %s; the largest num_ctx that works is %d", inWords(m.spill), inWords(m.ran), m.works)
	case m.ran != none:
		return fmt.Sprintf("memory ends at %s; the largest num_ctx that works is %d", inWords(m.ran), m.works)
	case m.spill != none:
		return fmt.Sprintf("a part of the model is not in GPU memory from %s on", inWords(m.spill))
	}
	return ""
}

// nothingWorks advises where cells failed and none has a rate; it is empty elsewhere.
func (g *grid) nothingWorks(s Stats) string {
	if s.Measured > 0 || s.Failed == 0 {
		return ""
	}
	text := fmt.Sprintf("no cell works so far: try a num_ctx below %d", g.ctx[0])
	if m := g.memoryEnd(); m.ran == (cell.Key{}) {
		text = "no cell works so far, and not for want of memory: what the server says of each tells more"
	}
	return text
}

// print writes the advice. A command stands on a line of its own, to be copied.
func (a *advice) print(w io.Writer, dir string) error {
	var b strings.Builder
	for i, text := range a.texts(dir) {
		text, command, _ := strings.Cut(text, "`")
		if i == 0 {
			paragraph(&b, "", "Advice: "+text)
		} else {
			note(&b, "%s", text)
		}
		if command != "" {
			fmt.Fprintln(&b, "    "+strings.TrimSuffix(command, "`"))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
