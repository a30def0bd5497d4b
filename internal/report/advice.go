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

// advice is the advice of a sweep with the figures behind it.
type advice struct {
	sweep.Advice
	cp       *checkpoint.Checkpoint
	rate     verdict.Estimate // of the recommended cell; Rate is the figure that tables show
	samples  int              // number of samples behind rate
	bounded  bool             // the interval of rate is known
	frontier []sweep.ColumnBest
	effects  []sweep.Effect
	memory   memoryLimit
}

// nearBest is the relative loss of rate that a user is assumed to accept for a larger
// num_ctx.
const nearBest = 0.05

// advise returns nil while no cell has a rate.
func (g *grid) advise(v *sweep.Verdict) *advice {
	if v == nil {
		return nil
	}
	a := &advice{Advice: sweep.Advise(g.cp, *v), cp: g.cp, frontier: sweep.Frontier(g.cp, *v), effects: sweep.Effects(g.cp, *v), memory: g.memoryLimit()}
	if a.Kind == sweep.NoAdvice {
		return a
	}
	a.rate, _ = v.Estimate(v.Recommended)
	a.rate.Rate, _ = v.Figure(v.Recommended)
	a.samples = len(v.Recommended.Rates) + len(v.Recommended.Later)
	a.bounded = v.Basis != verdict.Assumed
	return a
}

// rateText formats the rate with its interval, if there is one, and the number of samples.
func (a *advice) rateText() string {
	samples := fmt.Sprintf("%d samples", a.samples)
	if a.samples == 1 {
		samples = "1 sample"
	}
	switch inside := a.rate.Low <= a.rate.Rate && a.rate.Rate <= a.rate.High; {
	case a.bounded && !inside:
		return fmt.Sprintf("%.1f tokens/s (%s; expected from all cells: 95 %% interval %.1f to %.1f)", a.rate.Rate, samples, a.rate.Low, a.rate.High)
	case a.bounded:
		return fmt.Sprintf("%.1f tokens/s (95 %% interval %.1f to %.1f, %s)", a.rate.Rate, a.rate.Low, a.rate.High, samples)
	}
	return fmt.Sprintf("%.1f tokens/s (%s)", a.rate.Rate, samples)
}

// batchText is the advice about num_batch, with its reason.
func (a *advice) batchText() string {
	switch a.Kind {
	case sweep.SetBatch:
		return fmt.Sprintf("set num_batch=%d: %s", a.Batch, a.gainText())
	case sweep.OnlyBatch:
		return fmt.Sprintf("set num_batch=%d, the only one that has a rate%s", a.Batch, a.aloneText())
	case sweep.LeaveBatch:
		return "leave num_batch to the server: " + a.leaveText()
	case sweep.Unsure:
		if a.Searching {
			return "can't tell yet: the search has not ended"
		}
		if a.Baseline {
			return fmt.Sprintf("can't tell yet whether to set num_batch=%d: %s", a.Batch, a.gainText())
		}
		return fmt.Sprintf("can't tell yet: differences below %s would not show", wholePercent(a.Resolution))
	}
	return "no advice yet: " + a.Lacking
}

// aloneText says with what the recommended num_batch is the only one, where others have a rate elsewhere.
func (a *advice) aloneText() string {
	if !a.Alone {
		return ""
	}
	return fmt.Sprintf(" with num_ctx=%d%s", a.Ctx, withSettings(a.Settings))
}

func (a *advice) gainText() string {
	if a.Gain == nil {
		var parts []string
		for _, r := range a.Rows {
			parts = append(parts, fmt.Sprintf("%s %d", timesText(r.Ratio), r.NumBatch))
		}
		text := strings.Join(parts, ", ")
		if a.Next == nil { // otherwise texts adds the command that measures it
			text += "; the gain over the server's own num_batch is unknown"
		}
		return text
	}
	text := gainFigures(*a.Gain) + " over the server's own"
	if a.Own > 0 {
		text += fmt.Sprintf(" %d", a.Own)
	}
	if a.Baseline {
		text += ", measured in turns"
	}
	return text
}

// timesText formats the relative gain of a rate over another: 0.1 is 10 % faster.
func timesText(ratio float64) string {
	if ratio >= 0.5 {
		return fmt.Sprintf("%.1f times as fast as", 1+ratio)
	}
	return fmt.Sprintf("%.0f %% faster than", 100*ratio)
}

func (a *advice) leaveText() string {
	switch g := a.Gain; {
	case a.Own == a.Batch && a.Own > 0:
		if a.Alone {
			return fmt.Sprintf("its own %d is the only one that has a rate%s", a.Own, a.aloneText())
		}
		if a.Resolution <= 0 {
			return fmt.Sprintf("its own %d is faster than all others", a.Own)
		}
		return fmt.Sprintf("its own %d is the fastest, and no other is faster by more than %s", a.Own, wholePercent(a.Resolution))
	case g != nil && g.High < 0:
		return fmt.Sprintf("num_batch=%d is %.1f %% slower than its own (95 %% %s)", a.Batch, -100*g.Ratio, percents(verdict.Gain{Low: -g.High, High: -g.Low}))
	}
	return fmt.Sprintf("no difference above %s was found", wholePercent(a.Resolution))
}

// wholePercent formats a share without decimals, or with one below 3 %. It rounds up, since
// the texts use it as an upper bound.
func wholePercent(share float64) string {
	if share < 0.03 {
		return percent(share) + " %"
	}
	return fmt.Sprintf("%.0f %%", math.Ceil(100*share-1e-9))
}

// signedPercent formats a ratio in percent with a sign.
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

// contextText is the rate of the recommended num_ctx, and of a larger one that is almost as
// fast.
func (a *advice) contextText() string {
	text := fmt.Sprintf("num_ctx=%d%s: %s", a.Ctx, withSettings(a.Settings), a.rateText())
	c, ok := a.longest()
	switch {
	case a.Ctx == a.memory.largest:
		text += "; no larger one works or was measured"
		if a.memory.failed == (cell.Key{}) {
			text = strings.Replace(text, "no larger one works or was measured", "the largest measured", 1)
		}
	case ok && c.Ctx > a.Ctx:
		text += fmt.Sprintf("; the largest within %.0f %% of that is %d, with num_batch=%d%s: %.1f tokens/s", 100*nearBest, c.Ctx, c.Batch, withSettings(c.Settings), c.Rate)
	default:
		text += fmt.Sprintf("; no larger one is within %.0f %% of that", 100*nearBest)
	}
	return text
}

// withSettings returns the settings as a continuation of those before them.
func withSettings(s cell.Settings) string {
	if s == "" {
		return ""
	}
	return ", " + s.Text()
}

// longest returns the fastest cell of the largest num_ctx that has a cell within nearBest of
// the recommended cell's rate.
func (a *advice) longest() (sweep.ColumnBest, bool) {
	for _, c := range slices.Backward(a.frontier) {
		if c.Rate >= (1-nearBest)*a.rate.Rate {
			return c, true
		}
	}
	return sweep.ColumnBest{}, false
}

// command returns the command line whose measurements would improve the advice, and the time
// that it takes. The line is empty where there is none.
func (a *advice) command(dir string) (line string, takes time.Duration) {
	if a.Next == nil {
		return "", 0
	}
	return sweep.CommandLine(a.cp.Sweep, append(a.Next.Flags, outFlag(a.cp, dir)...)...), a.Next.Time
}

// outFlag returns the -out flag for dir, or nothing where dir is the default of this config.
func outFlag(cp *checkpoint.Checkpoint, dir string) []string {
	if dir == "" || filepath.Clean(dir) == sweep.DefaultOut(cp) {
		return nil
	}
	return []string{"-out=" + shell.Quoted(dir)}
}

// texts returns the advice in sentences: what to set, then the expected rate, then, if
// measuring more would improve the advice, one that ends in the command for it. dir is the
// sweep's folder, empty where it is unknown.
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
		return append(texts, fmt.Sprintf("to measure the gain over the server's own num_batch, in about %v: `%s`", roughly(takes), line))
	case a.Next.Settles:
		return append(texts, fmt.Sprintf("to find out, in about %v: `%s`", roughly(takes), line))
	}
	return append(texts, fmt.Sprintf("to narrow it down, in about %v: `%s`", roughly(takes), line))
}

// roughly rounds an estimated time.
func roughly(d time.Duration) time.Duration {
	switch {
	case d < time.Minute:
		return max(time.Second, d.Round(time.Second))
	case d < time.Hour:
		return d.Round(10 * time.Second)
	}
	return d.Round(time.Minute)
}

// memoryLimit is where the cells of a grid reach the limit of memory. The first of several
// cells is the one with the smallest num_ctx, then num_batch.
type memoryLimit struct {
	largest int      // the largest num_ctx that has a rate; 0 for none
	failed  cell.Key // the first cell that ran out of GPU or system memory; zero for none
	spill   cell.Key // the first measured cell whose model was partly outside of GPU memory; zero for none
}

func (g *grid) memoryLimit() (m memoryLimit) {
	none := cell.Key{}
	for c := range g.cells() {
		at, r := g.at(c)
		switch {
		case at == measured:
			m.largest = max(m.largest, c.Ctx)
			if m.spill == none && g.spilled(r) {
				m.spill = c
			}
		case at == failed && m.failed == none && r.Error.OutOfMemory():
			m.failed = c
		}
	}
	return m
}

// text describes the limit. It is empty where no cell reached it.
func (m memoryLimit) text() string {
	none := cell.Key{}
	switch {
	case m.failed != none && m.spill != none:
		return fmt.Sprintf("a part of the model is not in GPU memory from %s on, and %s runs out of memory; the largest num_ctx that works is %d", m.spill.Text(), m.failed.Text(), m.largest)
	case m.failed != none:
		return fmt.Sprintf("%s runs out of memory; the largest num_ctx that works is %d", m.failed.Text(), m.largest)
	case m.spill != none:
		return fmt.Sprintf("a part of the model is not in GPU memory from %s on", m.spill.Text())
	}
	return ""
}

// nothingWorks is the advice where cells failed and none has a rate, otherwise empty.
func (g *grid) nothingWorks(s Stats) string {
	if s.Measured > 0 || s.Failed == 0 {
		return ""
	}
	text := fmt.Sprintf("no cell works so far: try a num_ctx below %d", g.ctx[0])
	if m := g.memoryLimit(); m.failed == (cell.Key{}) {
		text = "no cell works so far, and memory is not the reason: see the server's error for each cell"
	}
	return text
}

// print writes the advice. A command gets its own line, so that it can be copied.
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
