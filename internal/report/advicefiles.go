package report

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama/ollama/parser"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/modelfile"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// errNothing means that a file can't be written because no cell has a rate.
var errNothing = errors.New("no cell has a rate")

// writeModelfile writes a Modelfile of the recommended cell for `ollama create`: the
// sweep's template, or the model itself, with num_ctx, with num_batch where the advice
// is to set it, and with the other options. Comments give the basis of the advice.
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
	options := a.options()
	commands = slices.DeleteFunc(commands, func(c parser.Command) bool {
		set := slices.ContainsFunc(options, func(o cell.Value) bool { return o.Name == c.Name })
		return set || slices.Contains([]string{"num_ctx", "num_batch", "num_predict"}, c.Name)
	})
	commands = append(commands, parser.Command{Name: "num_ctx", Args: strconv.Itoa(a.Ctx)})
	if a.SetsBatch() {
		commands = append(commands, parser.Command{Name: "num_batch", Args: strconv.Itoa(a.Batch)})
	}
	for _, o := range options {
		if o.Value != cell.Auto {
			commands = append(commands, parser.Command{Name: o.Name, Args: o.Value})
		}
	}
	lines := a.basis()
	for _, v := range a.server() {
		lines = append(lines, "set for the server: "+environmentText(v))
	}
	if _, err := fmt.Fprintf(w, "%s%s", comments(lines), modelfile.Format(commands)); err != nil {
		return fmt.Errorf("writing modelfile: %w", err)
	}
	return nil
}

// settings returns the settings of the recommended cell and those that are fixed in the sweep, of the server
// or of requests, without num_ctx and num_batch and without those that no config can hold. Those that are left
// to the server are [cell.Auto].
func (a *advice) settings(server bool) (values []cell.Value) {
	for name, value := range a.cp.Sweep.Fixed {
		values = append(values, cell.Value{Name: name, Value: value})
	}
	for name, value := range a.Settings.All() {
		values = append(values, cell.Value{Name: name, Value: value})
	}
	all := cell.NewSettings(values...)
	values = nil
	for name, value := range all.All() {
		known, ok := cell.SettingOf(name)
		if !ok || known.Server != server {
			continue
		}
		if _, err := known.Parse(value); err == nil { // a file may hold anything
			values = append(values, cell.Value{Name: name, Value: value})
		}
	}
	return values
}

// options returns the options of requests, and server the settings of the server that are not left to it;
// see settings.
func (a *advice) options() []cell.Value { return a.settings(false) }

func (a *advice) server() []cell.Value {
	return slices.DeleteFunc(a.settings(true), func(v cell.Value) bool { return v.Value == cell.Auto })
}

// environmentText returns a setting of the server as a line of its environment, or for the binary, which no
// variable sets, as text.
func environmentText(v cell.Value) string {
	known, _ := cell.SettingOf(v.Name)
	if known.Env == "" {
		return OneLine(v.Name + "=" + v.Value)
	}
	value := v.Value
	if v.Name != known.Env { // a setting with a name of its own
		value = cmp.Or(map[string]string{"on": "1", "off": "0"}[value], value)
	}
	return known.Env + "=" + shell.Quoted(OneLine(value))
}

// basis returns the basis of the advice, a line for each figure.
func (a *advice) basis() []string {
	cp := a.cp
	lines := []string{"num_batch: " + a.batchText()}
	for _, e := range a.effects {
		if e.Axis != cell.NumBatch {
			lines = append(lines, effectText(e))
		}
	}
	lines = append(lines, "prompt: "+a.rateText())
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
	options := fmt.Appendf(nil, `{"num_ctx":%d`, a.Ctx)
	for _, o := range a.set() {
		value, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("writing options: %w", err)
		}
		options = fmt.Appendf(options, ",%q:%s", o.Name, value)
	}
	if _, err := fmt.Fprintf(w, "%s}\n", options); err != nil {
		return fmt.Errorf("writing options: %w", err)
	}
	return nil
}

// set returns the options of requests that the advice is to set, without num_ctx.
func (a *advice) set() (options []cell.Value) {
	if a.SetsBatch() {
		options = append(options, cell.Value{Name: cell.NumBatch, Value: strconv.Itoa(a.Batch)})
	}
	return append(options, slices.DeleteFunc(a.options(), func(o cell.Value) bool { return o.Value == cell.Auto })...)
}

// writeEnvironment writes the recommended num_ctx and settings of the server as variables of its environment,
// each setting with a comment of what it gains.
func (a *advice) writeEnvironment(w io.Writer) error {
	lines := a.basis()
	for _, o := range a.set() {
		lines = append(lines, fmt.Sprintf("Ollama has no variable for %s: set %s=%s in %s or in the options of a request.", o.Name, o.Name, OneLine(o.Value), ModelfileFile))
	}
	text := comments(lines) + fmt.Sprintf("OLLAMA_CONTEXT_LENGTH=%d\n", a.Ctx)
	for _, v := range a.server() {
		why := "the same in the whole sweep"
		for _, e := range a.effects {
			if e.Axis == v.Name {
				why = gainsText(e)
			}
		}
		line := environmentText(v)
		if known, _ := cell.SettingOf(v.Name); known.Env == "" {
			line = "# start the server with " + line
		}
		text += comments([]string{OneLine(v.Name) + ": " + OneLine(why)}) + line + "\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
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
