package report

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama/ollama/parser"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/modelfile"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// errNothing says that there is nothing to write a file of: no cell has a rate.
var errNothing = errors.New("no cell has a rate")

// writeModelfile writes a Modelfile of the recommended cell for `ollama create`:
// the sweep's own template, or the model as it is, with num_ctx set, and num_batch where the
// figures carry it, and what that rests on as comments.
func (a *advice) writeModelfile(w io.Writer) (err error) {
	cp := a.cp
	if cp.Sweep.Model == "" {
		return errNothing // an older tool's, that doesn't say of which model
	}
	commands := []parser.Command{{Name: "model", Args: OneLine(cp.Sweep.Model)}}
	if cp.Sweep.Modelfile != "" {
		if commands, err = modelfile.Parse([]byte(cp.Sweep.Modelfile)); err != nil {
			return fmt.Errorf("reading the checkpoint's modelfile: %w", err)
		}
	}
	// A sweep has num_predict small, to measure nothing but the prompt.
	commands = slices.DeleteFunc(commands, func(c parser.Command) bool {
		return slices.Contains([]string{"num_ctx", "num_batch", "num_predict"}, c.Name)
	})
	commands = append(commands, parser.Command{Name: "num_ctx", Args: strconv.Itoa(a.Ctx)})
	if a.Kind == sweep.SetBatch {
		commands = append(commands, parser.Command{Name: "num_batch", Args: strconv.Itoa(a.Batch)})
	}
	if _, err := fmt.Fprintf(w, "%s%s", comments(a.basis()), modelfile.Format(commands)); err != nil {
		return fmt.Errorf("writing modelfile: %w", err)
	}
	return nil
}

// basis says in lines what the advice rests on.
func (a *advice) basis() []string {
	cp := a.cp
	lines := []string{"num_batch: " + a.batchText(), "prompt: " + a.rateText()}
	if r := cp.Result(a.Key); r != nil && !r.Timestamp.IsZero() {
		lines = append(lines, "measured: "+r.Timestamp.Format("2006-01-02"))
	}
	for _, known := range []struct{ name, value string }{
		{"model", cp.Sweep.Model},
		{"digest", cp.Sweep.Digest},
		{"weights", cp.Sweep.WeightsText()},
		{"ollama", cp.Sweep.OllamaVersion},
		{"gpu", strings.Join(cp.Sweep.GPUs(), ", ")},
		{"driver", cp.Sweep.Driver},
	} {
		if known.value != "" {
			lines = append(lines, known.name+": "+OneLine(known.value))
		}
	}
	return lines
}

func comments(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	return b.String()
}

// writeOptions writes the recommended cell as JSON for the `options` of a request, num_batch
// where the figures carry it.
func (a *advice) writeOptions(w io.Writer) error {
	options := struct {
		NumCtx   int `json:"num_ctx"`
		NumBatch int `json:"num_batch,omitempty"`
	}{NumCtx: a.Ctx}
	if a.Kind == sweep.SetBatch {
		options.NumBatch = a.Batch
	}
	if err := json.NewEncoder(w).Encode(options); err != nil {
		return fmt.Errorf("writing options: %w", err)
	}
	return nil
}

// writeEnvironment writes the recommended cell as settings of the server's
// environment, as far as it has any.
func (a *advice) writeEnvironment(w io.Writer) error {
	lines := a.basis()
	if a.Kind == sweep.SetBatch {
		lines = append(lines, fmt.Sprintf("Ollama has no variable for num_batch: num_batch=%d goes into %s or a request's options.", a.Batch, ModelfileFile))
	}
	if _, err := fmt.Fprintf(w, "%sOLLAMA_CONTEXT_LENGTH=%d\n", comments(lines), a.Ctx); err != nil {
		return fmt.Errorf("writing environment: %w", err)
	}
	return nil
}

// WriteFrontier writes the fastest cell of every num_ctx as CSV: its rate in
// tokens per second, the 95 % interval of that where six samples or more have
// one, of how many cells of that num_ctx it was picked, and whether it was measured or
// a search believes in it.
func WriteFrontier(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeFrontier(w) }

func (g *grid) writeFrontier(w io.Writer) error {
	v, _ := g.verdict()
	if err := csv.NewWriter(w).WriteAll(frontierRows(sweep.Frontier(g.cp, v))); err != nil {
		return fmt.Errorf("writing frontier: %w", err)
	}
	return nil
}

// frontierRows returns the table's head and a row for each num_ctx.
func frontierRows(frontier []sweep.ColumnBest) [][]string {
	rows := [][]string{{"num_ctx", "num_batch", "tokens_per_sec", "low", "high", "samples", "cells_measured", "cells", "source"}}
	for _, c := range frontier {
		var low, high string
		source := "measured"
		if c.Believed {
			source = "believed by the search"
		}
		// Where the machine changed, that is taken out of the rate and not of the samples.
		if in, ok := verdict.IntervalOf(c.Rates); ok && in.Bounded && in.Low <= c.Rate && c.Rate <= in.High {
			low, high = two(in.Low), two(in.High)
		}
		rows = append(rows, []string{
			strconv.Itoa(c.Ctx), strconv.Itoa(c.Batch), two(c.Rate), low, high,
			strconv.Itoa(len(c.Rates)), strconv.Itoa(c.Measured), strconv.Itoa(c.Planned), source,
		})
	}
	return rows
}
