package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// The names of the files that Write creates.
const (
	SummaryFile = outdir.Summary
	ChangesFile = outdir.Changes
)

// Write writes the summary and the picture into dir, which it creates if needed, and returns the
// names of the files written. If one can't be written, the other still is. It writes nothing into a
// folder that is not an out folder and has a file of these names.
func (c *Comparison) Write(dir string) (files []string, err error) {
	out, err := checkpoint.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	if err := out.Prepare(SummaryFile, ChangesFile); err != nil {
		return nil, err
	}
	var errs []error
	for _, f := range []struct {
		file  string
		write func(io.Writer) error
	}{{SummaryFile, c.WriteSummary}, {ChangesFile, c.writePicture}} {
		var b bytes.Buffer
		err := f.write(&b)
		if err == nil {
			err = out.Write(f.file, b.Bytes())
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f.file)
	}
	return files, errors.Join(errs...)
}

func (c *Comparison) writePicture(w io.Writer) error {
	changes := report.Changes{
		Title:  c.OldName + " → " + c.NewName,
		Text:   c.counts() + "; mean " + c.meanText(),
		NumCtx: c.ctx, NumBatch: c.batch, Axes: c.axes,
		Ratio: make(map[cell.Key]float64), Significant: make(map[cell.Key]bool),
		Failed: c.failed,
	}
	for _, cell := range c.Cells {
		changes.Ratio[cell.Key] = cell.Ratio
		if cell.Significant {
			changes.Significant[cell.Key] = true
		}
	}
	return report.WriteChanges(w, changes)
}

const (
	// mostRows is how many changed cells the summary lists.
	mostRows = 20
	// mostColumns is the largest number of num_ctx in the summary's map: a wider table
	// is not readable. mostMaps is the largest number of combinations of other settings, each with
	// a map of its own.
	mostColumns = 12
	mostMaps    = 12
)

// WriteSummary writes the comparison in Markdown, for a CI job's summary.
func (c *Comparison) WriteSummary(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## Sweep: %s → %s\n\n", escape(report.OneLine(c.OldName)), escape(report.OneLine(c.NewName)))
	fmt.Fprintf(&b, "**%s**\n\n", strings.ReplaceAll(escape(c.verdictText()), "\n", "<br>"))
	if len(c.Identity) > 0 {
		b.WriteString("| differs | old | new |\n| --- | --- | --- |\n")
		for _, d := range c.Identity {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", d.Field, escape(report.OneLine(d.Old)), escape(report.OneLine(d.New)))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "- Cells: %s\n- Mean: %s\n", c.counts(), c.meanText())
	for _, line := range c.lists() {
		fmt.Fprintf(&b, "- %s\n", escape(line))
	}
	b.WriteString("\n")
	c.summaryRows(&b)
	c.summaryMap(&b)
	fmt.Fprintf(&b, "Picture: [%s](%s)\n", ChangesFile, ChangesFile)
	_, err := io.WriteString(w, b.String())
	return err
}

// summaryRows writes a table of the significant changes, the largest first.
func (c *Comparison) summaryRows(b *strings.Builder) {
	cells := c.significant()
	if len(cells) == 0 {
		return
	}
	b.WriteString("| num_ctx | num_batch |")
	for _, a := range c.axes {
		fmt.Fprintf(b, " %s |", escape(report.OneLine(a.Name)))
	}
	fmt.Fprintf(b, " old tokens/s | new tokens/s | change | 95 %% interval |\n| ---: | ---: |%s ---: | ---: | ---: | --- |\n", strings.Repeat(" --- |", len(c.axes)))
	for _, cell := range cells[:min(mostRows, len(cells))] {
		fmt.Fprintf(b, "| %d | %d |", cell.Ctx, cell.Batch)
		for _, text := range c.valuesOf(cell.Key) {
			fmt.Fprintf(b, " %s |", escape(text))
		}
		fmt.Fprintf(b, " %.1f | %.1f | %s | %s |\n", cell.Old, cell.New, percent(cell.Ratio), intervalText(cell.Change))
	}
	if more := len(cells) - mostRows; more > 0 {
		fmt.Fprintf(b, "\nand %d more significant changes\n", more)
	}
	b.WriteString("\n")
}

// summaryMap writes the heatmap of changes as a table, because a job's summary can't
// show a picture from a file.
func (c *Comparison) summaryMap(b *strings.Builder) {
	combinations := cell.Combinations(c.axes)
	if len(c.ctx) > mostColumns || len(combinations) > mostMaps {
		return
	}
	of := make(map[cell.Key]string)
	for _, cell := range c.Cells {
		text := signed(cell.Ratio)
		if cell.Significant {
			text = "**" + text + "**"
		}
		of[cell.Key] = text
	}
	for _, r := range c.failed {
		of[r.Cell()] = "✗"
	}
	b.WriteString("Change in %, bold where significant, num_ctx to the right:\n\n")
	for _, settings := range combinations {
		if settings != "" {
			fmt.Fprintf(b, "%s:\n\n", escape(settings.Text()))
		}
		b.WriteString("| num_batch |")
		for _, ctx := range c.ctx {
			fmt.Fprintf(b, " %d |", ctx)
		}
		b.WriteString("\n| ---: |" + strings.Repeat(" ---: |", len(c.ctx)) + "\n")
		for _, batch := range c.batch {
			fmt.Fprintf(b, "| %d |", batch)
			for _, ctx := range c.ctx {
				fmt.Fprintf(b, " %s |", of[cell.Key{Ctx: ctx, Batch: batch, Settings: settings}])
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
}

// escape keeps text from a file from being read as Markdown or HTML.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`, "#", `\#`).Replace(s)
}
