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

// statsColumns heads the file of WriteStats.
var statsColumns = []string{
	"num_ctx", "num_batch", "n", "median", "low", "high", "spread", "warnings",
	"verdict", "settings", "size", "size_vram", "retries", "error",
}

// WriteStats writes what is known of each cell as CSV, a row for each result in
// order of num_ctx and num_batch: its samples, their median in tokens per
// second, the 95 % interval of that (empty below six samples), the spread from
// the smallest to the largest in percent of the median, the warnings, whether it
// is best, tied, recommended or held for the fastest of its num_ctx, whether the settings were verified, the model's
// bytes in all and in GPU memory, tries that failed, and the type of error.
func WriteStats(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeStats(w) }

func (g *grid) writeStats(w io.Writer) error {
	verdicts := g.verdicts()
	out := csv.NewWriter(w)
	rows := [][]string{statsColumns}
	for _, ctx := range g.ctx {
		for _, batch := range g.batch {
			c := cell.Key{Ctx: ctx, Batch: batch}
			if r := g.results[c]; r != nil {
				rows = append(rows, statsRow(r, verdicts[c]))
			}
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("writing statistics: %w", err)
	}
	return nil
}

func statsRow(r *checkpoint.Result, verdict string) []string {
	var warnings []string
	for _, text := range r.Warnings {
		warnings = append(warnings, OneLine(text))
	}
	row := []string{strconv.Itoa(r.NumCtx), strconv.Itoa(r.NumBatch)}
	row = append(row, sampleColumns(r)...)
	row = append(row, csvText(strings.Join(warnings, " | ")), verdict, csvText(r.Settings), known(r.Size), "", known(int64(r.Retries)), "")
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
	case r.PromptEvalRate != nil: // an older tool's
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

// known leaves out a figure that is not known.
func known(x int64) string {
	if x == 0 {
		return ""
	}
	return strconv.FormatInt(x, 10)
}

// verdicts says of the cells that stand out what they are.
func (g *grid) verdicts() map[cell.Key]string {
	says := make(map[cell.Key]string)
	v, ok := g.verdict()
	if !ok {
		return says
	}
	is := func(c cell.Key, what string) {
		if says[c] != "" {
			what = says[c] + ", " + what
		}
		says[c] = what
	}
	best, recommended := cellOf(v.Best), cellOf(v.Recommended)
	is(best, "best")
	is(recommended, "recommended")
	for _, c := range v.Tied {
		if cell := cellOf(c); cell != best && cell != recommended {
			is(cell, "tied")
		}
	}
	for c := range g.picks() {
		is(c, "fastest of its num_ctx")
	}
	return says
}
