package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// percent formats a share with one decimal. It rounds up, since the texts use it as an upper
// bound.
func percent(share float64) string { return fmt.Sprintf("%.1f", max(0, math.Ceil(1000*share-1e-9)/10)) }

// printVerdict writes the recommendation and its basis.
func printVerdict(w io.Writer, s Stats) {
	texts := s.verdictTexts()
	paragraph(w, "", "Verdict: "+texts[0])
	for _, text := range texts[1:] {
		note(w, "%s", text)
	}
	if a := s.Verdict.Search; a != nil && len(a.Columns) > 0 {
		note(w, "fastest num_batch of each num_ctx, as estimated by the search:")
		for _, c := range a.Columns {
			fmt.Fprintf(w, "  %8d %6d  %.1f tokens/s; another is expected to be %.1f %% faster at most\n", c.NumCtx, c.NumBatch, c.Rate, 100*c.Loss)
		}
	}
	for _, text := range s.confirmedTexts() {
		note(w, "%s", text)
	}
	if text := s.driftText(); text != "" {
		paragraph(w, "", "Drift: "+text)
	}
}

// printHosts writes how much the hosts differ.
func printHosts(w io.Writer, s Stats) {
	for i, text := range s.hostTexts() {
		if i == 0 {
			paragraph(w, "", "Hosts: "+text)
		} else {
			note(w, "%s", text)
		}
	}
}

// verdictTexts returns the recommendation, then its basis, in sentences. s.Verdict must
// not be nil.
func (s Stats) verdictTexts() []string {
	v := s.Verdict
	texts := []string{"recommended: " + v.Recommended.Text()}
	if v.Search != nil {
		texts = append(texts, searchTexts(v)...)
	}
	texts = append(texts, fmt.Sprintf("the noise of a sample is %.1f %%, from %s", 100*v.Noise, v.Basis))
	switch n := len(v.Tied); {
	case n > maxTied:
		texts = append(texts, fmt.Sprintf("tied with the best: %d cells, listed in %s", n, StatsFile))
	case n > 0:
		texts = append(texts, "tied with the best: "+cellNames(v.Tied))
	}
	if len(v.Outliers) > 0 {
		texts = append(texts, "outliers, above their row and column, most likely by luck: "+cellNames(v.Outliers))
	}
	if c := v.MachineChange; c != nil {
		texts = append(texts, fmt.Sprintf("the machine changed: measured again, the leading cells were %s (95 %% %s) than expected from all first samples; their rates are corrected for that", fasterText(c.Ratio), percents(*c)))
	}
	if s.OneSample {
		texts = append(texts, "each cell has one sample; `-repeat 6` takes more, `-confirm 3` measures the leading cells again")
	}
	return texts
}

// fasterText formats a relative change of a rate as faster or slower.
func fasterText(ratio float64) string {
	if ratio < 0 {
		return fmt.Sprintf("%.1f %% slower", -100*ratio)
	}
	return fmt.Sprintf("%.1f %% faster", 100*ratio)
}

// searchTexts describes the answer of a search and how certain it is.
func searchTexts(v *sweep.Verdict) []string {
	a := v.Search
	state := "it has not ended: "
	if a.Done {
		state = "it has ended: "
	}
	return []string{
		fmt.Sprintf("the search estimates %.1f tokens/s at %s (95 %% interval %.1f to %.1f); the chance that the most promising unmeasured cell is faster by more than the tolerance is %s %%",
			a.Rate, a.Best.Text(), a.Low, a.High, percent(a.Chance)),
		state + OneLine(a.Why),
	}
}

// maxTied is the largest number of tied cells that are listed.
const maxTied = 1000

// confirmedTexts returns the result of the confirmation of each leading cell.
func (s Stats) confirmedTexts() []string {
	var texts []string
	for _, c := range s.Verdict.Confirmed {
		texts = append(texts, "measured again: "+confirmedText(c, s.Verdict.Confirmed[0]))
	}
	return texts
}

// driftText describes the drift of the reference cell. It is empty where that was not
// measured again.
func (s Stats) driftText() string {
	if s.Drift == nil {
		return ""
	}
	return fmt.Sprintf("the reference cell changed by %+.1f %% over the sweep, measured %d times; noise is ±%.1f %%", 100*s.Drift.Change, s.Drift.Points, 100*s.Drift.Noise)
}

// maxHosts is the largest number of hosts that are listed with their ratios.
const maxHosts = 8

// hostTexts describes how much the hosts of the sweep differ. It returns nothing where
// there is only one.
func (s Stats) hostTexts() []string {
	if s.Spread == nil {
		return nil
	}
	hosts := s.Spread.Hosts
	names := make([]string, 0, maxHosts+1)
	for i, h := range hosts {
		switch {
		case min(i, len(hosts)-1-i) < maxHosts/2:
			names = append(names, OneLine(h.Host)+" "+SignedPercent(100*h.Ratio)+" %")
		case i == maxHosts/2:
			names = append(names, "…")
		}
	}
	texts := []string{fmt.Sprintf("%d, compared with the median one: %s", len(hosts), strings.Join(names, ", "))}
	for _, c := range s.Spread.Cells {
		texts = append(texts, spreadText(c))
	}
	return texts
}

func spreadText(c verdict.CellSpread) string {
	text := fmt.Sprintf("%s: %s is %.1f %% faster than %s", c.Key.Text(), OneLine(c.Fastest), 100*c.Ratio, OneLine(c.Slowest))
	switch {
	case !c.Bounded:
		return text + "; the noise is unknown, since no host has measured the cell twice"
	case c.Significant:
		return text + fmt.Sprintf(" (95 %% interval %.1f to %.1f %%), which is more than noise", 100*c.Low, 100*c.High)
	}
	return text + fmt.Sprintf(" (95 %% interval %.1f to %.1f %%), which is within noise", 100*c.Low, 100*c.High)
}

func note(w io.Writer, format string, args ...any) { paragraph(w, "  ", fmt.Sprintf(format, args...)) }

// paragraph writes text in lines of at most lineWidth. All but the first are indented
// further.
func paragraph(w io.Writer, indent, text string) {
	line := indent
	// No line break between a figure and its %.
	const glue = "\uE000"
	for i, word := range strings.Fields(strings.ReplaceAll(text, " %", glue+"%")) {
		word = strings.ReplaceAll(word, glue, " ")
		if i > 0 && utf8.RuneCountInString(line+word) >= lineWidth {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line = indent + "    "
		}
		line += word + " "
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

func cellNames(cells []verdict.Cell) string {
	list := make([]cell.Key, len(cells))
	for i, c := range cells {
		list[i] = c.Key
	}
	return cell.Names(list)
}

func confirmedText(c, first sweep.Confirmed) string {
	text := c.Text() + ": "
	if c.Failed || len(c.Rates) == 0 {
		return text + "failed"
	}
	text += fmt.Sprintf("%.1f tokens/s in %d rounds, %.1f before", verdict.Median(c.Rates), len(c.Rates), c.Before)
	switch {
	case c.Key == first.Key:
		return text
	case c.Slower:
		return text + "; slower than the first"
	}
	return text + "; tied with the first"
}

// warning is a kind of warning, with the cells that have it. A warning about the sweep
// has no cells.
type warning struct {
	text  string
	cells []cell.Key
}

// warnings returns each kind of warning once.
func warnings(cp *checkpoint.Checkpoint) []warning {
	var all []warning
	for _, text := range cp.Sweep.Warnings {
		all = append(all, warning{text: OneLine(text)})
	}
	at := make(map[string]int) // by kind, in all
	for i := range cp.Results {
		r := &cp.Results[i]
		for _, text := range r.Warnings {
			kind := check.Kind(text)
			if _, ok := at[kind]; !ok {
				at[kind] = len(all)
				all = append(all, warning{text: OneLine(text)})
			}
			if w := &all[at[kind]]; len(w.cells) == 0 || w.cells[len(w.cells)-1] != r.Cell() {
				w.cells = append(w.cells, r.Cell())
			}
		}
	}
	if d, ok := sweep.Drift(cp); ok && d.Significant {
		all = append(all, warning{text: check.Drift(d.Change, d.Noise, d.Points).String()})
	}
	if spread, ok := sweep.Spread(cp); ok {
		for _, c := range spread.Cells {
			if c.Significant {
				name := c.Key.Text()
				all = append(all, warning{text: OneLine(check.Hosts(name, c.Slowest, c.Fastest, c.Ratio, c.Low, c.High).String())})
			}
		}
	}
	return all
}

// maxWarnings is the largest number of kinds that are printed without full.
const maxWarnings = 3

// printWarnings writes each kind of warning with its cells if full, otherwise the first
// few, each on a line.
func (g *grid) printWarnings(w io.Writer, full bool) error {
	var b strings.Builder
	if g.tooLarge() {
		paragraph(&b, "", fmt.Sprintf("Warning: %s cells are more than the %d that a picture can show: there is no %s and no %s; %s and %s have all cells",
			g.sizeText(), picture.MaxCells, HeatmapFile, PageFile, TableFile, StatsFile))
	}
	all := warnings(g.cp)
	for i, warning := range all {
		switch {
		case full:
			paragraph(&b, "", "Warning: "+warning.text)
			if len(warning.cells) > 0 {
				note(&b, "in %s", cell.Names(warning.cells))
			}
		case i < maxWarnings:
			fmt.Fprintln(&b, "Warning: "+shortened(warning))
		case i == maxWarnings:
			fmt.Fprintf(&b, "Warning: and %d more\n", len(all)-maxWarnings)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shortened returns the first part of the warning and the number of its cells, on one line.
func shortened(w warning) string {
	where := ""
	if len(w.cells) > 0 {
		where = " (" + english.Plural(len(w.cells), "cell", "") + ")"
	}
	text, _, _ := strings.Cut(w.text, "; ")
	room := lineWidth - len("Warning: ") - len(where)
	if runes := []rune(text); len(runes) > room {
		text = string(runes[:room-1])
		text = text[:max(strings.LastIndex(text, " "), 1)] + " …"
	}
	return text + where
}
