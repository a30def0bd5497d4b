package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// statsColumns is the header of the file that [writeStats] writes, after the axes.
var statsColumns = []string{
	"n", "median", "low", "high", "spread", "warnings",
	"verdict", "settings", "size", "size_vram", "retries", "error",
}

// writeStats writes the statistics of each cell as CSV, a row for each result in
// order of num_ctx and num_batch: the number of samples, their median in tokens per
// second, its 95 % interval (empty below six samples), the spread from the smallest
// to the largest sample in percent of the median, the warnings, whether the cell is
// best, tied, recommended or the fastest of its num_ctx by the estimate of a search,
// whether the settings were verified, the model's bytes in all and in GPU memory, the
// number of failed attempts, and the failure class.
func writeStats(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeStats(w) }

func (g *grid) writeStats(w io.Writer) error {
	verdicts := g.verdicts()
	out := csv.NewWriter(w)
	rows := [][]string{append(g.axisColumns(), statsColumns...)}
	for c := range g.cells() {
		if r := g.results[c]; r != nil {
			rows = append(rows, append(axisValues(c), statsRow(r, verdicts[c])...))
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("writing statistics: %w", err)
	}
	return nil
}

// axisColumns returns the names of all axes for the header of a CSV file.
func (g *grid) axisColumns() []string {
	var names []string
	for _, a := range g.cp.Grid().Axes() {
		names = append(names, csvText(a.Name))
	}
	return names
}

// axisValues returns the values of a cell for the columns of axisColumns.
func axisValues(c cell.Key) []string {
	values := []string{strconv.Itoa(c.Ctx), strconv.Itoa(c.Batch)}
	for _, value := range c.Settings.All() {
		values = append(values, csvText(value))
	}
	return values
}

func statsRow(r *checkpoint.Result, verdict string) []string {
	var warnings []string
	for _, text := range r.Warnings {
		warnings = append(warnings, OneLine(text))
	}
	row := sampleColumns(r)
	row = append(row, csvText(strings.Join(warnings, " | ")), verdict, csvText(r.Settings), blankZero(r.Size), "", blankZero(int64(r.Retries)), "")
	if r.Size > 0 {
		row[len(row)-3] = strconv.FormatInt(r.SizeVRAM, 10)
	}
	if r.Failed() {
		row[len(row)-1] = csvText(string(*r.Error))
	}
	return row
}

// sampleColumns returns n, median, low, high and spread.
func sampleColumns(r *checkpoint.Result) []string {
	in, ok := verdict.IntervalOf(r.SampleRates())
	switch {
	case ok && !r.Failed():
	case r.PromptEvalRate != nil: // from the older tool, without samples
		return []string{"1", two(*r.PromptEvalRate), "", "", ""}
	default:
		return []string{strconv.Itoa(len(r.Samples)), "", "", "", ""}
	}
	columns := []string{strconv.Itoa(in.N), two(in.Median), "", "", ""}
	if in.Bounded {
		columns[2], columns[3] = two(in.Low), two(in.High)
	}
	if in.N > 1 {
		columns[4] = two(100 * in.Spread)
	}
	return columns
}

func two(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

// blankZero formats a figure, for which 0 means unknown, as blank or a number.
func blankZero(x int64) string {
	if x == 0 {
		return ""
	}
	return strconv.FormatInt(x, 10)
}

// verdicts returns the verdict on each cell that is best, recommended, tied, or the search's
// estimate of the fastest of its num_ctx.
func (g *grid) verdicts() map[cell.Key]string {
	verdicts := make(map[cell.Key]string)
	v, ok := g.verdict()
	if !ok {
		return verdicts
	}
	add := func(c cell.Key, text string) {
		if verdicts[c] != "" {
			text = verdicts[c] + ", " + text
		}
		verdicts[c] = text
	}
	best, recommended := v.Best.Key, v.Recommended.Key
	add(best, "best")
	add(recommended, "recommended")
	for _, c := range v.Tied {
		if cell := c.Key; cell != best && cell != recommended {
			add(cell, "tied")
		}
	}
	for c := range g.picks() {
		add(c, "fastest of its num_ctx")
	}
	return verdicts
}
