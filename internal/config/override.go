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

// Overrides holds the flags that were given, each of which takes the place of
// the config's field of that name. The zero value overrides nothing.
type Overrides struct {
	edits []edit
}

type edit struct {
	flag, key, text string
	apply           func(*Config) error
}

// Register adds the flags to the set. What they hold once the set is parsed
// goes to [Read].
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
	yes := func(name, key, usage string, set func(*Config, bool)) {
		flags.BoolFunc(name, usage, func(s string) error {
			v, err := strconv.ParseBool(s)
			if err != nil {
				err = fmt.Errorf("expected true or false, and this is %q", s)
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
	text("engine", "engine", "`host` for the server at -host, embedded for one of our own", func(c *Config) *string { return &c.Engine })
	text("runner", "runner", "`api` for options with each request, cli for ollama create and ollama run", func(c *Config) *string { return &c.Runner })
	text("ollama", "ollama", "`file` of the ollama command, for the cli runner and the embedded engine", func(c *Config) *string { return &c.Ollama })
	text("modelfile", "modelfile", "`file` of the Modelfile template", func(c *Config) *string { return &c.Modelfile })
	text("strategy", "strategy", "`exhaustive` for every cell, best to search for the fastest, frontier for the fastest num_batch of every num_ctx", func(c *Config) *string { return &c.Strategy })
	define(o, flags, "tolerance", "tolerance", "difference in rate that is not worth another cell to a search, like `1%`", ParseTolerance, func(c *Config, v Tolerance) { c.Tolerance = v })
	yes("prune", "prune", "pass over what needs more memory than a cell that ran out of it", func(c *Config, v bool) { c.Prune = v })
	text("out", "out", "`folder` of checkpoint and reports (default results/ and the config's base name)", func(c *Config) *string { return &c.Out })
	define(o, flags, "prompt", "prompt", "`file` of the prompt", func(s string) (string, error) { return s, nil },
		func(c *Config, v string) { c.Prompt = Prompt{File: v} })
	define(o, flags, "shard", "shard", "measure part `I/N` of the grid, or auto: that which the environment names", flagShard, func(c *Config, v cell.Shard) { c.Shard = v })
	text("server-log", "server_log", "`file` that the server writes its log to, which tells the num_batch in force", func(c *Config) *string { return &c.ServerLog })
	number("repeat", "repeat", "measured prompts per `cell` (default 1, and more while the advice can't tell, for two minutes in all)", func(c *Config) *int { return &c.Repeat })
	text("order", "order", "`cell`: all samples of a cell after one load; round: one sample of every cell, then the next", func(c *Config) *string { return &c.Order })
	number("reference-every", "reference_every", "`cells` between two measurements of the reference cell, 0 for none", func(c *Config) *int { return &c.ReferenceEvery })
	number("confirm", "confirm", "`number` of leading cells to measure again", func(c *Config) *int { return &c.Confirm })
	yes("baseline", "baseline", "measure the server's own num_batch too (default: where that is cheap, and in a search)", func(c *Config, v bool) { c.Baseline.set(v) })
	yes("retake", "retake", "measure cells again at the end that something else slowed (default true)", func(c *Config, v bool) { c.Retake = v })
	yes("exclusive", "exclusive", "unload other models, and refuse a GPU that is busy", func(c *Config, v bool) { c.Exclusive = v })
	duration("cell-timeout", "cell_timeout", "longest `time` for a cell", func(c *Config) *time.Duration { return &c.CellTimeout })
	define(o, flags, "budget", "budget", "`2h or 40cells`, after which no cell is begun", ParseBudget, func(c *Config, v Budget) { c.Budget = v })
	yes("retry-failed", "retry_failed", "measure failed cells again", func(c *Config, v bool) { c.RetryFailed = v })
	yes("redo", "redo", "measure the cells again that -run names", func(c *Config, v bool) { c.Redo = v })
	flags.BoolFunc("fresh", "put an existing checkpoint aside and start anew; =changed: where it belongs to another sweep", func(s string) error {
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

// flagShard reads "2/4", or takes the environment's word for "auto".
func flagShard(s string) (cell.Shard, error) {
	if s == ShardAuto {
		return ShardOf(os.Getenv)
	}
	return cell.ParseShard(s)
}

// all reports whether start, end and step of the axis were all given.
func (o *Overrides) all(key string) bool {
	given := make(map[string]bool)
	for _, e := range o.edits {
		if e.key == key {
			given[e.flag] = true
		}
	}
	return len(given) == 3
}

// outOfShard reports whether -out names the folder of one shard, that beside it. A
// folder that a config names, or a command for all shards, is that of none alone.
func (o *Overrides) outOfShard() bool {
	auto := slices.ContainsFunc(o.edits, func(e edit) bool { return e.key == "shard" && e.text == ShardAuto })
	return o.flags("out") != "" && !auto
}

// flags names the flags that were given for a key, empty when none was.
func (o *Overrides) flags(key string) string {
	var given []string
	for _, e := range o.edits {
		if name := "-" + e.flag; e.key == key && !slices.Contains(given, name) {
			given = append(given, name)
		}
	}
	return strings.Join(given, " ")
}

// Command returns the config's file and the flags that say what is measured, as they
// stand in a command: not those that say where, which may be different on another
// machine, or how much of it. The host's would hold a password.
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
