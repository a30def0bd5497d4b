package compare

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Print writes the comparison for a terminal.
func (c *Comparison) Print(w io.Writer) error {
	var b strings.Builder
	if c.between != "" {
		fmt.Fprintln(&b, c.betweenText())
	} else {
		fmt.Fprintf(&b, "%s -> %s\n", c.OldName, c.NewName)
	}
	for _, d := range c.Identity {
		fmt.Fprintf(&b, "Differs: %s: %s -> %s\n", d.Field, report.OneLine(d.Old), report.OneLine(d.New))
	}
	fmt.Fprintf(&b, "Cells: %s\n", c.counts())
	if c.between == "" {
		fmt.Fprintf(&b, "Mean: %s\n", c.meanText())
	}
	c.printCells(&b)
	for _, line := range c.lists() {
		fmt.Fprintln(&b, line)
	}
	if c.between == "" {
		fmt.Fprintln(&b, c.verdictText())
	} else if text := c.tooFewText(); text != "" {
		fmt.Fprintln(&b, text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mostLines is the largest number of cells that are all listed. Of more cells, only the
// significant changes are.
const mostLines = 60

// printCells lists the cells.
func (c *Comparison) printCells(b *strings.Builder) {
	cells := c.Cells
	if len(cells) > mostLines {
		cells = c.significant()
		if c.between == "" {
			fmt.Fprintf(b, "Significant changes, largest first; %s shows all cells:\n", ChangesFile)
		} else {
			fmt.Fprintln(b, "Significant differences, largest first:")
		}
	}
	settings := make([]int, len(c.axes)) // the width of the column of each axis
	head := fmt.Sprintf("%8s %9s", "num_ctx", "num_batch")
	for i, a := range c.axes {
		for _, text := range append(a.Labels(), a.Name) {
			settings[i] = max(settings[i], utf8.RuneCountInString(text))
		}
		head += fmt.Sprintf(" %*s", settings[i], a.Name)
	}
	old, new := "old", "new"
	if c.between != "" {
		_, old, _ = strings.Cut(c.OldName, "=")
		_, new, _ = strings.Cut(c.NewName, "=")
	}
	fmt.Fprintf(b, "%s %10s %10s %9s   %-22s %s\n", head, old, new, "change", "95 % interval", "samples")
	for _, cell := range cells {
		mark := ""
		switch {
		case cell.Slower && c.between == "":
			mark = "  slower than the limit"
		case cell.Significant:
			mark = "  significant"
		}
		line := fmt.Sprintf("%8d %9d", cell.Ctx, cell.Batch)
		for i, text := range c.valuesOf(cell.Key) {
			line += fmt.Sprintf(" %*s", settings[i], text)
		}
		fmt.Fprintf(b, "%s %10.1f %10.1f %9s   %-22s %d, %d%s\n",
			line, cell.Old, cell.New, percent(cell.Ratio), intervalText(cell.Change), cell.NOld, cell.NNew, mark)
	}
}

// valuesOf returns the values of a cell on the axes besides num_ctx and num_batch, for people.
func (c *Comparison) valuesOf(of cell.Key) []string {
	values := make([]string, len(c.axes))
	for i, a := range c.axes {
		value, _ := of.Value(a.Name)
		values[i] = report.OneLine(value)
	}
	return values
}

// counts returns the numbers of cells compared and of significant changes.
func (c *Comparison) counts() string {
	faster, slower := 0, 0
	for _, cell := range c.significant() {
		if cell.Ratio > 0 {
			faster++
		} else {
			slower++
		}
	}
	return fmt.Sprintf("%d compared, %d significantly slower, %d significantly faster", len(c.Cells), slower, faster)
}

func (c *Comparison) meanText() string {
	text := percent(c.Mean.Ratio)
	if c.Mean.Bounded {
		text += fmt.Sprintf(" (95 %% interval %s to %s)", percent(c.Mean.Low), percent(c.Mean.High))
	}
	return text + ", the geometric mean over the cells"
}

// lists returns a line for each group of cells that need a remark, and one on drift.
func (c *Comparison) lists() []string {
	var lines []string
	if len(c.FailNow) > 0 {
		line := c.failNowName() + ":"
		for _, cell := range c.FailNow {
			line += fmt.Sprintf(" %s (%s);", cell.Text(), report.OneLine(string(c.classOf(cell))))
		}
		lines = append(lines, strings.TrimSuffix(line, ";"))
	}
	for _, l := range []struct {
		name  string
		cells []cell.Key
	}{{"Disturbed by other programs, which the intervals include", c.Disturbed}, {c.failBeforeName(), c.FailBefore}, {c.onlyName("old", c.OldName), c.OnlyOld}, {c.onlyName("new", c.NewName), c.OnlyNew}} {
		if len(l.cells) > 0 {
			lines = append(lines, l.name+": "+cell.Names(l.cells))
		}
	}
	if text := c.driftText(); text != "" {
		lines = append(lines, text)
	}
	return lines
}

// driftText reports how the machine's speed changed; it is empty where no change is known.
func (c *Comparison) driftText() string {
	allowed := allowance(c.OldDrift, c.NewDrift)
	switch {
	case allowed == 0:
		return ""
	case c.between != "":
		return fmt.Sprintf("The machine's speed changed by %s during the sweep, which measured one value after the other: up to that of any difference may be due to it, and the intervals include it", percent(c.OldDrift))
	}
	return fmt.Sprintf("The machine's speed changed by %s during the old sweep and by %s during the new one: up to %.1f %% of any difference may be due to that, and the intervals include it; for a clearer result use -order round, or run old and new in turns",
		percent(c.OldDrift), percent(c.NewDrift), 100*allowed)
}

// verdictText reports whether there is a regression, and what limits that conclusion.
func (c *Comparison) verdictText() string {
	slower, none := "slower", "none"
	if c.Limit > 0 {
		slower = fmt.Sprintf("slower by more than %.4g %%", 100*c.Limit)
		none = "no cell is " + slower
	}
	var found []string
	if n := len(c.Regressed()); n > 0 {
		first := c.Regressed()[0]
		found = append(found, fmt.Sprintf("%d of %d cells %s, %s by %.1f %%", n, len(c.Cells), slower, first.Text(), -100*first.Ratio))
	}
	if c.MeanRegressed() {
		found = append(found, "the mean "+slower)
	}
	if n := len(c.FailNow); n > 0 {
		found = append(found, fmt.Sprintf("%s that had a rate %s", english.Plural(n, "cell", ""), english.PluralWord(n, "fails", "fail")))
	}
	text := "Regression: " + none
	if len(found) > 0 {
		text = "Regression: " + strings.Join(found, "; ")
	}
	if len(c.Identity) == 0 && (len(c.Regressed()) > 0 || c.MeanRegressed()) {
		text += "\nNo known difference between the two sweeps: to distinguish a change of the server from one of the machine, run old and new in turns, or use -order round"
	}
	if few := c.tooFewText(); few != "" {
		text += "\n" + few
		if c.Mean.Bounded {
			text += "; the mean has enough"
		}
	}
	return text
}

// tooFewText says how many samples a single cell needs, where it has too few.
func (c *Comparison) tooFewText() string {
	few, needed := c.tooFew()
	if few == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d cells have too few samples for a single cell to be found slower: that needs %d on each side (-repeat %d)", few, len(c.Cells), needed, needed)
}

func percent(ratio float64) string { return signed(ratio) + " %" }

// signed formats a relative change in percent, with a sign.
func signed(ratio float64) string { return report.SignedPercent(100 * ratio) }

func intervalText(c verdict.Change) string {
	if !c.Bounded {
		return "too few samples"
	}
	return fmt.Sprintf("%s to %s", percent(c.Low), percent(c.High))
}
