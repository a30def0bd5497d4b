package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// writeTable writes the rates as CSV: a row for each num_batch, a column for
// each num_ctx, tokens per second with two decimals. With more axes there is a row
// for each combination of all but num_ctx, whose values are in front. A failed cell holds its
// failure class, a pruned one "pruned"; one that is not measured or not in the
// plan is empty. "spill" follows the rate of a model that was partly outside of
// GPU memory.
func writeTable(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeTable(w) }

func (g *grid) writeTable(w io.Writer) error {
	out := csv.NewWriter(w)
	var row []string
	for _, name := range append(cell.NamesOf(g.view.Rest), g.view.Y.Name) {
		row = append(row, csvText(name))
	}
	for _, value := range g.view.X.Values {
		row = append(row, csvText(value))
	}
	if err := out.Write(row); err != nil {
		return fmt.Errorf("writing table: %w", err)
	}
	for _, t := range g.view.Tables {
		for y, value := range g.view.Y.Values {
			row = row[:0]
			for _, v := range t.Values {
				row = append(row, csvText(v.Value))
			}
			row = append(row, csvText(value))
			for x := range g.view.X.Values {
				row = append(row, g.tableText(g.view.Key(t, x, y)))
			}
			if err := out.Write(row); err != nil {
				return fmt.Errorf("writing table: %w", err)
			}
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing table: %w", err)
	}
	return nil
}

// tableText returns the text of a cell in the table.
func (g *grid) tableText(c cell.Key) string {
	switch at, r := g.at(c); at {
	case measured:
		text := strconv.FormatFloat(*r.PromptEvalRate, 'f', 2, 64)
		if g.spilled(r) {
			text += " spill"
		}
		return text
	case failed:
		return csvText(string(*r.Error))
	case pruned:
		return "pruned"
	}
	return ""
}

// csvText returns text for a field of a CSV file. Spreadsheets evaluate text that
// begins like a formula; an apostrophe prevents that.
func csvText(text string) string {
	text = OneLine(text)
	if text != "" && strings.ContainsRune("=+-@", rune(text[0])) {
		return "'" + text
	}
	return text
}
