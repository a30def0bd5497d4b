package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// lineWidth is the largest length of a line on the terminal, in characters.
const lineWidth = 100

// printTable writes the rates for a terminal: the columns in blocks that keep
// lines short, then an explanation of each sign.
func (g *grid) printTable(w io.Writer, s Stats) error {
	var b strings.Builder
	rows := append([]string{g.view.Y.Name}, g.view.Y.Labels()...)
	first := widest(rows)
	for _, t := range g.tables() {
		if t.title != "" {
			fmt.Fprintf(&b, "With %s:\n", t.title)
		}
		columns, width := g.columns(t, s)
		perBlock := max(1, (lineWidth-first)/(width+1))
		for len(columns) > 0 {
			n := min(perBlock, len(columns))
			fmt.Fprintf(&b, "%*s  %s\n", first, "", g.view.X.Name)
			for i := range columns[0] {
				line := fmt.Sprintf("%*s", first, rows[i])
				for _, column := range columns[:n] {
					line += fmt.Sprintf(" %*s", width, column[i])
				}
				fmt.Fprintln(&b, strings.TrimRight(line, " "))
			}
			fmt.Fprintln(&b)
			columns = columns[n:]
		}
	}
	if text := g.bestText(); text != "" {
		fmt.Fprintf(&b, "  %s; %s has all cells\n\n", text, StatsFile)
	}
	for _, line := range g.footnotes(s) {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns returns the texts of each column of a table, its header and then its cells, and the largest
// width. Every text ends with a mark or a space in its place.
func (g *grid) columns(t table, s Stats) (columns [][]string, width int) {
	for x, label := range g.view.X.Labels() {
		column := []string{label + " "}
		for y := range g.view.Y.Values {
			c := t.cell(x, y)
			at, r := g.at(c)
			text := map[state]string{missing: "· ", pruned: "~ ", leftOut: "- ", notPlanned: "- "}[at]
			switch {
			case at == failed:
				text = r.Error.Short() + " "
			case at == measured:
				text = strconv.FormatFloat(*r.PromptEvalRate, 'f', 1, 64) + g.mark(r, s)
			case s.picks[c]:
				text = strings.TrimSpace(text) + "^"
			}
			column = append(column, text)
		}
		columns = append(columns, column)
		for _, text := range column {
			width = max(width, utf8.RuneCountInString(text))
		}
	}
	return columns, width
}

// mark returns the sign after a rate.
func (g *grid) mark(r *checkpoint.Result, s Stats) string {
	switch {
	case g.spilled(r):
		return "!"
	case r == s.Best:
		return "*"
	case s.recommends(r.Cell()):
		return "+"
	case s.picks[r.Cell()]:
		return "^"
	case s.disturbed.has(r.Cell()):
		return "?"
	}
	return " "
}

// recommends reports whether c is the recommended cell.
func (s Stats) recommends(c cell.Key) bool {
	return s.Verdict != nil && c == s.Verdict.Recommended.Key
}

// footnotes explain the signs that occur in the table.
func (g *grid) footnotes(s Stats) []string {
	var notes []string
	add := func(sign, meaning string) { notes = append(notes, fmt.Sprintf("%-5s  %s", sign, meaning)) }
	if s.Best != nil {
		add("*", "highest rate; all rates in tokens/s")
		if !s.recommends(s.Best.Cell()) {
			add("+", "recommended")
		}
	}
	if len(s.picks) > 0 {
		add("^", pickText)
	}
	if g.hasSpilled() {
		add("!", spilledText)
	}
	if len(s.disturbed.doubtful) > 0 {
		add("?", disturbedText)
	}
	failures := slices.Clone(s.Failures)
	slices.SortFunc(failures, func(a, b ClassCount) int { return strings.Compare(string(a.Class), string(b.Class)) })
	for _, f := range failures {
		add(f.Class.Short(), OneLine(string(f.Class)))
	}
	if s.Missing > 0 {
		add("·", g.missingText())
	}
	if s.Pruned > 0 {
		add("~", prunedText)
	}
	if text := g.blankReason(); text != "" {
		add("-", text)
	}
	return notes
}

// blankReason explains why some combinations of the axes are no cells. It is empty
// where all are.
func (g *grid) blankReason() string {
	var reasons []string
	if g.has(leftOut) {
		reasons = append(reasons, leftOutText)
	}
	if g.has(notPlanned) {
		reasons = append(reasons, notPlannedText)
	}
	return strings.Join(reasons, ", or ")
}

func widest(texts []string) int {
	n := 0
	for _, text := range texts {
		n = max(n, utf8.RuneCountInString(text))
	}
	return n
}
