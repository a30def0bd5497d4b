package config

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Overrides holds the flags that were set, each of which overrides a field of
// the config. The zero value overrides nothing.
type Overrides struct {
	edits []edit
}

type edit struct {
	flag, key, text string
	apply           func(*Config) error
}

// Register defines the flags in the set. After the set is parsed, pass o to
// [Read].
func (o *Overrides) Register(flags *flag.FlagSet) {
	text := func(name, key, usage string, field func(*Config) *string) {
		define(o, flags, name, key, usage, func(s string) (string, error) { return s, nil },
			func(c *Config, v string) { *field(c) = v })
	}
	number := func(name, key, usage string, field func(*Config) *int) {
		define(o, flags, name, key, usage, strictyaml.WholeNumber, func(c *Config, v int) { *field(c) = v })
	}
	duration := func(name, key, usage string, field func(*Config) *time.Duration) {
		define(o, flags, name, key, usage, strictyaml.Duration, func(c *Config, v time.Duration) { *field(c) = v })
	}
	boolean := func(name, key, usage string, set func(*Config, bool)) {
		flags.BoolFunc(name, usage, func(s string) error {
			v, err := strconv.ParseBool(s)
			if err != nil {
				err = fmt.Errorf("expected true or false, got %q", s)
			}
			o.edits = append(o.edits, edit{name, key, s, func(c *Config) error { set(c, v); return nil }})
			return err
		})
	}
	bound := func(name, key, usage string, axis func(*Config) *cell.Axis, field func(*cell.Axis) *int) {
		flags.Func(name, usage, func(s string) error {
			v, err := strictyaml.WholeNumber(s)
			o.edits = append(o.edits, edit{name, key, s, func(c *Config) error {
				a := axis(c)
				if len(a.List) > 0 && !o.all(key) {
					return fmt.Errorf("-%s: %s is a list in the config: to use a range, give start, end and step together", name, key)
				}
				a.List = nil
				*field(a) = v
				return nil
			}})
			return err
		})
	}

	text("model", "model", "model to sweep, as `ollama list` shows it", func(c *Config) *string { return &c.Model })
	text("host", "host", "`URL` of the Ollama server (default OLLAMA_HOST, else http://127.0.0.1:11434)", func(c *Config) *string { return &c.Host })
	text("engine", "engine", "`host` for the server at -host, embedded for a server that the sweep starts", func(c *Config) *string { return &c.Engine })
	text("runner", "runner", "`api` for options with each request, cli for ollama create and ollama run", func(c *Config) *string { return &c.Runner })
	text("ollama", "ollama", "`file` of the ollama command, for the cli runner and the embedded engine", func(c *Config) *string { return &c.Ollama })
	text("modelfile", "modelfile", "`file` of the Modelfile template", func(c *Config) *string { return &c.Modelfile })
	text("strategy", "strategy", "`exhaustive` for every cell, best to search for the fastest, frontier for the fastest num_batch of every num_ctx", func(c *Config) *string { return &c.Strategy })
	define(o, flags, "tolerance", "tolerance", "difference in rate for which a search measures no further cell, like `1%`", ParseTolerance, func(c *Config, v Tolerance) { c.Tolerance = v })
	boolean("prune", "prune", "skip cells that need more memory than one that ran out of it", func(c *Config, v bool) { c.Prune = v })
	text("out", "out", "`folder` of checkpoint and reports (default results/ and the config's base name)", func(c *Config) *string { return &c.Out })
	define(o, flags, "prompt", "prompt", "`file` of the prompt", func(s string) (string, error) { return s, nil },
		func(c *Config, v string) { c.Prompt = Prompt{File: v} })
	define(o, flags, "shard", "shard", "measure part `I/N` of the grid, or auto to read it from the environment", flagShard, func(c *Config, v cell.Shard) { c.Shard = v })
	text("server-log", "server_log", "`file` that the server writes its log to, which shows the effective num_batch", func(c *Config) *string { return &c.ServerLog })
	number("repeat", "repeat", "measured prompts per `cell` (default 1, and more until the advice is clear, for two minutes in all)", func(c *Config) *int { return &c.Repeat })
	text("order", "order", "`cell`: all samples of a cell after one load; round: one sample of every cell, then the next", func(c *Config) *string { return &c.Order })
	number("reference-every", "reference_every", "`cells` between two measurements of the reference cell, 0 for none", func(c *Config) *int { return &c.ReferenceEvery })
	number("confirm", "confirm", "`number` of leading cells to measure again", func(c *Config) *int { return &c.Confirm })
	boolean("baseline", "baseline", "measure the server's own num_batch too (default: where that is cheap, and in a search)", func(c *Config, v bool) { c.Baseline.set(v) })
	boolean("retake", "retake", "measure disturbed cells again at the end (default true)", func(c *Config, v bool) { c.Retake = v })
	boolean("exclusive", "exclusive", "unload other models, and refuse a busy GPU", func(c *Config, v bool) { c.Exclusive = v })
	duration("cell-timeout", "cell_timeout", "longest `time` for a cell", func(c *Config) *time.Duration { return &c.CellTimeout })
	define(o, flags, "budget", "budget", "`2h or 40cells`, after which no cell is started", ParseBudget, func(c *Config, v Budget) { c.Budget = v })
	boolean("retry-failed", "retry_failed", "measure failed cells again", func(c *Config, v bool) { c.RetryFailed = v })
	boolean("redo", "redo", "measure again the cells that -run selects", func(c *Config, v bool) { c.Redo = v })
	flags.BoolFunc("fresh", "move an existing checkpoint aside and start anew; =changed: only where it belongs to another sweep", func(s string) error {
		v, err := checkpoint.ParseFresh(s)
		o.edits = append(o.edits, edit{"fresh", "fresh", s, func(c *Config) error { c.Fresh = v; return nil }})
		return err
	})

	for _, a := range []struct {
		name, key string
		axis      func(*Config) *cell.Axis
	}{
		{"ctx", "num_ctx", func(c *Config) *cell.Axis { return &c.NumCtx }},
		{"batch", "num_batch", func(c *Config) *cell.Axis { return &c.NumBatch }},
	} {
		bound(a.name+"-start", a.key, "first `"+a.key+"`", a.axis, func(a *cell.Axis) *int { return &a.Start })
		bound(a.name+"-end", a.key, "last `"+a.key+"`", a.axis, func(a *cell.Axis) *int { return &a.End })
		bound(a.name+"-step", a.key, "step of `"+a.key+"`", a.axis, func(a *cell.Axis) *int { return &a.Step })
	}
}

func define[T any](o *Overrides, flags *flag.FlagSet, name, key, usage string, parse func(string) (T, error), set func(*Config, T)) {
	flags.Func(name, usage, func(s string) error {
		v, err := parse(s)
		o.edits = append(o.edits, edit{name, key, s, func(c *Config) error { set(c, v); return nil }})
		return err
	})
}

// flagShard reads "2/4", or for "auto" the shard in the environment.
func flagShard(s string) (cell.Shard, error) {
	if s == ShardAuto {
		return ShardOf(os.Getenv)
	}
	return cell.ParseShard(s)
}

// all reports whether the flags for start, end and step of the axis were all set.
func (o *Overrides) all(key string) bool {
	given := make(map[string]bool)
	for _, e := range o.edits {
		if e.key == key {
			given[e.flag] = true
		}
	}
	return len(given) == 3
}

// outNamesShard reports whether -out is the folder of the one shard in -shard. An out folder in
// the config, or with -shard auto, is shared by all shards, and gets a suffix.
func (o *Overrides) outNamesShard() bool {
	auto := slices.ContainsFunc(o.edits, func(e edit) bool { return e.key == "shard" && e.text == ShardAuto })
	return o.flags("out") != "" && !auto
}

// flags lists the flags that were set for a key, empty for none.
func (o *Overrides) flags(key string) string {
	var given []string
	for _, e := range o.edits {
		if name := "-" + e.flag; e.key == key && !slices.Contains(given, name) {
			given = append(given, name)
		}
	}
	return strings.Join(given, " ")
}

// Command returns the config file and the flags that decide what is measured, quoted for a
// command line. It leaves out the flags that decide where, since another machine may need
// others, and how much of the grid. The flag -host can hold a password.
func (o *Overrides) Command(config string) string {
	words := []string{"-config", shell.FileArgument(config)}
	for _, e := range o.edits {
		switch e.key {
		case "host", "server_log", "out", "shard", "budget", "retry_failed", "redo", "fresh":
		default:
			words = append(words, "-"+e.flag+"="+shell.Quoted(e.text))
		}
	}
	return strings.Join(words, " ")
}

func (o *Overrides) apply(c *Config) error {
	for _, e := range o.edits {
		if err := e.apply(c); err != nil {
			return err
		}
	}
	return nil
}
