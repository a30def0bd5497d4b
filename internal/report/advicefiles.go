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

// errNothing means that a file can't be written because no cell has a rate.
var errNothing = errors.New("no cell has a rate")

// writeModelfile writes a Modelfile of the recommended cell for `ollama create`: the
// sweep's template, or the model itself, with num_ctx, and with num_batch where the advice
// is to set it. Comments give the basis of the advice.
func (a *advice) writeModelfile(w io.Writer) (err error) {
	cp := a.cp
	if cp.Sweep.Model == "" {
		return errNothing // checkpoints of the older tool don't name the model
	}
	commands := []parser.Command{{Name: "model", Args: OneLine(cp.Sweep.Model)}}
	if cp.Sweep.Modelfile != "" {
		if commands, err = modelfile.Parse([]byte(cp.Sweep.Modelfile)); err != nil {
			return fmt.Errorf("reading the checkpoint's modelfile: %w", err)
		}
	}
	// num_predict is small in a sweep, which measures prompts only.
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

// basis returns the basis of the advice, a line for each figure.
func (a *advice) basis() []string {
	cp := a.cp
	lines := []string{"num_batch: " + a.batchText(), "prompt: " + a.rateText()}
	if r := cp.Result(a.Key); r != nil && !r.Timestamp.IsZero() {
		lines = append(lines, "measured: "+r.Timestamp.Format("2006-01-02"))
	}
	for _, field := range []struct{ name, value string }{
		{"model", cp.Sweep.Model},
		{"digest", cp.Sweep.Digest},
		{"weights", cp.Sweep.WeightsText()},
		{"ollama", cp.Sweep.OllamaVersion},
		{"gpu", strings.Join(cp.Sweep.GPUs(), ", ")},
		{"driver", cp.Sweep.Driver},
	} {
		if field.value != "" {
			lines = append(lines, field.name+": "+OneLine(field.value))
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

// writeOptions writes the recommended cell as JSON for the `options` of a request, with
// num_batch where the advice is to set it.
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

// writeEnvironment writes the recommended num_ctx as an environment variable of the server.
func (a *advice) writeEnvironment(w io.Writer) error {
	lines := a.basis()
	if a.Kind == sweep.SetBatch {
		lines = append(lines, fmt.Sprintf("Ollama has no variable for num_batch: set num_batch=%d in %s or in the options of a request.", a.Batch, ModelfileFile))
	}
	if _, err := fmt.Fprintf(w, "%sOLLAMA_CONTEXT_LENGTH=%d\n", comments(lines), a.Ctx); err != nil {
		return fmt.Errorf("writing environment: %w", err)
	}
	return nil
}

// WriteFrontier writes the fastest cell of every num_ctx as CSV: its rate in
// tokens per second, the 95 % interval of the rate (from six samples on), the numbers of
// measured and planned cells of that num_ctx, and whether the cell was measured or is an
// estimate of a search.
func WriteFrontier(w io.Writer, cp *checkpoint.Checkpoint) error { return newGrid(cp).writeFrontier(w) }

func (g *grid) writeFrontier(w io.Writer) error {
	v, _ := g.verdict()
	if err := csv.NewWriter(w).WriteAll(g.frontierRows(sweep.Frontier(g.cp, v))); err != nil {
		return fmt.Errorf("writing frontier: %w", err)
	}
	return nil
}

// frontierRows returns the header of the table and a row for each num_ctx.
func (g *grid) frontierRows(frontier []sweep.ColumnBest) [][]string {
	rows := [][]string{append(g.axisColumns(), "tokens_per_sec", "low", "high", "samples", "cells_measured", "cells", "source")}
	for _, c := range frontier {
		var low, high string
		source := "measured"
		if c.Estimated {
			source = "believed by the search"
		}
		// A change of the machine is corrected in the rate but not in the samples, so the
		// interval of the samples may not contain the rate.
		if in, ok := verdict.IntervalOf(c.Rates); ok && in.Bounded && in.Low <= c.Rate && c.Rate <= in.High {
			low, high = two(in.Low), two(in.High)
		}
		rows = append(rows, append(axisValues(c.Key), two(c.Rate), low, high,
			strconv.Itoa(len(c.Rates)), strconv.Itoa(c.Measured), strconv.Itoa(c.Planned), source))
	}
	return rows
}
