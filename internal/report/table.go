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
// each num_ctx, tokens per second with two decimals. A failed cell holds its
// failure class, a pruned one "pruned"; one that is not measured or not in the
// plan is empty. "spill" follows the rate of a model that was partly outside of
// GPU memory.
func writeTable(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeTable(w) }

func (g *grid) writeTable(w io.Writer) error {
	out := csv.NewWriter(w)
	row := []string{"num_batch"}
	for _, ctx := range g.ctx {
		row = append(row, strconv.Itoa(ctx))
	}
	if err := out.Write(row); err != nil {
		return fmt.Errorf("writing table: %w", err)
	}
	for _, batch := range g.batch {
		row = append(row[:0], strconv.Itoa(batch))
		for _, ctx := range g.ctx {
			var text string
			switch at, r := g.at(cell.Key{Ctx: ctx, Batch: batch}); at {
			case measured:
				text = strconv.FormatFloat(*r.PromptEvalRate, 'f', 2, 64)
				if g.spilled(r) {
					text += " spill"
				}
			case failed:
				text = csvText(string(*r.Error))
			case pruned:
				text = "pruned"
			}
			row = append(row, text)
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("writing table: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing table: %w", err)
	}
	return nil
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
