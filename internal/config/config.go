// Package config reads what to sweep: a YAML file and the flags that override it. What makes no sense
// is refused with its line, and with what to write instead, before anything is asked of a server.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/types/model"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/strictyaml"
)

// Config says what to sweep. Load it with [Read], which fills in the
// defaults and refuses what makes no sense.
type Config struct {
	Model     string `yaml:"model"`     // base model, as `ollama list` shows it
	Modelfile string `yaml:"modelfile"` // file of a template, or empty
	Prompt    Prompt `yaml:"prompt"`
	Runner    string `yaml:"runner"`     // RunnerAPI or RunnerCLI
	Engine    string `yaml:"engine"`     // EngineHost or EngineEmbedded
	Host      string `yaml:"host"`       // URL; empty for OLLAMA_HOST or Ollama's own default
	Ollama    string `yaml:"ollama"`     // command of the cli runner and of the embedded engine; empty for "ollama", and where PATH has none for the engine that is built
	ServerLog string `yaml:"server_log"` // file that the server writes its log to, or empty

	NumCtx       cell.Axis `yaml:"num_ctx"`
	NumBatch     cell.Axis `yaml:"num_batch"`
	TestRowFirst bool      `yaml:"test_row_first"` // all num_ctx of a num_batch before the next num_batch

	NumPredict int    `yaml:"num_predict"` // tokens to generate after the prompt
	Repeat     int    `yaml:"repeat"`      // samples per cell
	Order      string `yaml:"order"`       // OrderCell or OrderRound

	RepeatUntilClear bool `yaml:"-"` // take more samples than Repeat where the advice needs them: nobody has named a number

	ReferenceEvery int      `yaml:"reference_every"` // cells between two measurements of the reference cell; 0 for none
	Confirm        int      `yaml:"confirm"`         // leading cells to measure again; 0 for none, ConfirmDefault
	Baseline       Baseline `yaml:"baseline"`        // measure the server's own num_batch too; in a shard BaselineOff or BaselineOn
	Retake         bool     `yaml:"retake"`          // measure disturbed cells again at the end
	Exclusive      bool     `yaml:"exclusive"`       // have the server and its GPUs to ourselves

	CellTimeout time.Duration `yaml:"cell_timeout"` // for a cell's load and all its samples
	ServerWait  time.Duration `yaml:"server_wait"`  // for a server that is away to come back
	Budget      Budget        `yaml:"budget"`       // for the whole run; zero for no limit

	Strategy  string     `yaml:"strategy"`  // StrategyExhaustive, StrategyBest or StrategyFrontier
	Tolerance Tolerance  `yaml:"tolerance"` // of a search
	Prune     bool       `yaml:"prune"`     // pass over what needs more memory than a cell that ran out of it
	Shard     cell.Shard `yaml:"shard"`     // the part of the grid to measure; zero for all
	Out       string     `yaml:"out"`       // folder; empty for results/ and the config's base name

	RetryFailed bool             `yaml:"retry_failed"` // measure failed cells again
	Redo        bool             `yaml:"redo"`         // measure cells again that are named
	Fresh       checkpoint.Fresh `yaml:"fresh"`        // when to put an existing checkpoint aside and start anew
}

// The values of Config.Runner, Config.Engine and Config.Strategy.
const (
	RunnerAPI          = "api"
	RunnerCLI          = "cli"
	EngineHost         = "host"
	EngineEmbedded     = "embedded"
	StrategyExhaustive = "exhaustive" // every cell
	StrategyBest       = "best"       // search for the fastest cell
	StrategyFrontier   = "frontier"   // search for the fastest num_batch of every num_ctx
)

// The values of Config.Order.
const (
	OrderCell  = "cell"  // all samples of a cell after one load
	OrderRound = "round" // one sample of every cell, then the next of every cell
)

// ConfirmDefault stands for three leading cells where the noise can be known,
// which takes several samples of a cell, and for none where it can't.
const ConfirmDefault = -1

// DefaultTolerance is a search's where none is given.
const DefaultTolerance = Tolerance(0.01)

// MaxSamples is the most samples of all cells together that are accepted.
const MaxSamples = 10_000_000

func defaults() Config {
	return Config{
		Runner:      RunnerAPI,
		Engine:      EngineHost,
		NumPredict:  2,
		Repeat:      1,
		Order:       OrderCell,
		Confirm:     ConfirmDefault,
		Retake:      true,
		Baseline:    BaselineAuto,
		CellTimeout: 15 * time.Minute,
		ServerWait:  10 * time.Minute,
		Strategy:    StrategyExhaustive,
		Tolerance:   DefaultTolerance,
	}
}

// Read reads the YAML file at path, applies the overrides and checks the
// whole. File names in the YAML become relative to the current folder, as those
// of overrides are already. An error names the file, and the line where a key
// is at fault.
func Read(path string, overrides *Overrides) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading config: %w (name one with -config FILE)", err)
	}
	c := defaults()
	lines, err := c.decode(data)
	if err != nil {
		return Config{}, positioned(path, err)
	}
	for _, file := range []*string{&c.Modelfile, &c.Prompt.File, &c.ServerLog, &c.Out} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(path), *file)
		}
	}
	if err := overrides.apply(&c); err != nil {
		return Config{}, err
	}
	if c.Out == "" {
		if c.Out = OutOf(path); c.Out == "" {
			return Config{}, fmt.Errorf("config %s: there is no name in it for the out folder: call the file my.yaml, or name the folder with -out", path)
		}
	}
	if suffix := c.Shard.Suffix(); !overrides.outOfShard() && !strings.HasSuffix(filepath.Clean(c.Out), suffix) {
		c.Out = filepath.Clean(c.Out) + suffix
	}
	c.decide(lines["repeat"] > 0 || overrides.flags("repeat") != "")
	key, err := c.check()
	if err == nil {
		return c, nil
	}
	if flags := overrides.flags(key); flags != "" {
		return Config{}, fmt.Errorf("%s: %w", flags, err)
	}
	return Config{}, positioned(path, &strictyaml.LineError{Line: lines.Of(key, err), Key: key, Err: err})
}

// OutOf returns the out folder of a config's file, empty where its name makes none.
func OutOf(config string) string {
	name := strings.TrimSuffix(filepath.Base(config), filepath.Ext(config))
	if name == "" || name == "." || name == ".." {
		return ""
	}
	return filepath.Join("results", name)
}

// positioned puts the file and, where it is known, the line before an error.
func positioned(path string, err error) error {
	var at *strictyaml.LineError
	if errors.As(err, &at) && at.Line > 0 {
		return fmt.Errorf("config %s:%d: %w", path, at.Line, err)
	}
	return fmt.Errorf("config %s: %w", path, err)
}

// check returns the first key whose value makes no sense, with the reason and
// what to write instead.
func (c *Config) check() (key string, err error) {
	oneOf := func(value string, values ...string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return fmt.Errorf("%q is not known: write %s", value, strings.Join(values, " or "))
	}
	atLeast := func(value, least int) error {
		if value >= least {
			return nil
		}
		return fmt.Errorf("%d is too small, the least is %d", value, least)
	}
	for _, v := range []struct {
		key string
		err error
	}{
		{"runner", oneOf(c.Runner, RunnerAPI, RunnerCLI)},
		{"engine", oneOf(c.Engine, EngineHost, EngineEmbedded)},
		{"strategy", oneOf(c.Strategy, StrategyExhaustive, StrategyBest, StrategyFrontier)},
		{"tolerance", c.Tolerance.Check()},
		{"model", c.checkModel()},
		{"modelfile", readable(c.Modelfile)},
		{"server_log", readable(c.ServerLog)},
		{"prompt", c.Prompt.check()},
		{"num_ctx", c.NumCtx.Check()},
		{"num_batch", c.NumBatch.Check()},
		{"num_predict", atLeast(c.NumPredict, 1)},
		{"repeat", atLeast(c.Repeat, 1)},
		{"order", oneOf(c.Order, OrderCell, OrderRound)},
		{"order", c.checkOrder()},
		{"reference_every", atLeast(c.ReferenceEvery, 0)},
		{"confirm", atLeast(c.Confirm, ConfirmDefault)},
		{"cell_timeout", positiveDuration(c.CellTimeout)},
		{"server_wait", positiveDuration(c.ServerWait)},
		{"budget", c.Budget.Check()},
		{"shard", c.Shard.Check()},
		{"redo", c.checkRedo()},
	} {
		if v.err != nil {
			return v.key, v.err
		}
	}
	return c.checkGrid()
}

func (c *Config) checkModel() error {
	if c.Model == "" && c.Modelfile == "" && c.Engine == EngineHost {
		return errors.New("missing: name the model to sweep, as `ollama list` shows it")
	}
	// A cloud model's name can have a second tag; the server says what it is.
	if name := strings.TrimSuffix(c.Model, ":cloud"); c.Model != "" && !model.ParseName(name).IsValid() {
		return fmt.Errorf("%q is no model's name: write it as `ollama list` shows it, like llama3.1:8b; a file goes into a modelfile's FROM", c.Model)
	}
	return nil
}

// Leaders returns how many leading cells are to be measured again.
func (c *Config) Leaders() int {
	switch {
	case c.Confirm != ConfirmDefault:
		return c.Confirm
	case c.Shard != (cell.Shard{}):
		return 0 // which cells lead is known once all shards are merged
	case c.Repeat > 1 || c.ReferenceEvery > 0:
		return 3
	}
	return 0
}

// decide settles what the sweep may do by itself. A shard does nothing: what the figures tell is
// known once all shards are merged.
func (c *Config) decide(repeatGiven bool) {
	alone := c.Shard == (cell.Shard{})
	c.RepeatUntilClear = !repeatGiven && alone && c.Order == OrderCell
	if c.Baseline == BaselineAuto && !alone {
		c.Baseline = BaselineOff
	}
}

// Searches reports whether a search decides which cells to measure.
func (c *Config) Searches() bool { return c.Strategy != StrategyExhaustive }

func (c *Config) checkOrder() error {
	if c.Searches() && c.Order == OrderRound {
		return fmt.Errorf("rounds go over every cell, and strategy %s measures few: use order: cell, or strategy: exhaustive", c.Strategy)
	}
	return nil
}

func (c *Config) checkGrid() (key string, err error) {
	// Before the values themselves, of which there may be too many to hold.
	ctxs, batches := c.NumCtx.Count(), c.NumBatch.Count()
	if n := ctxs * batches; n > cell.MaxCells {
		return "num_ctx", fmt.Errorf("%d values by %d of num_batch are %d cells, and %d is the most: use larger steps", ctxs, batches, n, cell.MaxCells)
	}
	if n := ctxs * batches; c.Repeat > MaxSamples/n {
		return "repeat", fmt.Errorf("%d samples of %d cells are too many, and %d in all is the most", c.Repeat, n, MaxSamples)
	}
	g := c.Grid()
	if least := g.Ctx[0]; least <= c.NumPredict {
		return "num_ctx", fmt.Errorf("%d leaves no room for a prompt beside num_predict %d: use a larger num_ctx", least, c.NumPredict)
	}
	if plan, _ := g.Cells(); len(plan) == 0 {
		return "num_batch", fmt.Errorf("every num_batch is above every num_ctx, so no cell is left: use one of at most %d", slices.Max(g.Ctx))
	}
	if c.Prompt.Tokens+c.NumPredict > g.Ctx[0] {
		return "prompt", strictyaml.WrongPart(".tokens", "%d tokens and num_predict %d do not fit the smallest num_ctx %d: use fewer, or {fill: 0.9}", c.Prompt.Tokens, c.NumPredict, g.Ctx[0])
	}
	if longest := max(float64(c.Prompt.Tokens), c.Prompt.Fill*float64(g.Ctx[len(g.Ctx)-1])); longest > mostTokens {
		return "prompt", fmt.Errorf("a prompt of %.0f tokens takes more memory than this program asks for, %d tokens is the most: use fewer", longest, mostTokens)
	}
	return "", nil
}

// mostTokens bounds the text of a prompt to half a gigabyte.
const mostTokens = 100_000_000

// Grid returns the grid of the two axes.
func (c *Config) Grid() cell.Grid {
	return cell.Grid{Ctx: c.NumCtx.Values(), Batch: c.NumBatch.Values(), BatchFirst: c.TestRowFirst}
}

// Plan returns the cells to measure, in order, and those of the grid that are
// left out because they are not valid.
func (c *Config) Plan() (plan, leftOut []cell.Key) {
	g := c.Grid()
	plan, leftOut = g.Cells()
	if c.Shard == (cell.Shard{}) {
		return plan, leftOut
	}
	columns := cell.Grid{Ctx: g.Ctx, Batch: g.Batch}
	dealt, _ := columns.Cells() // whichever the order of measuring
	mine := make(map[cell.Key]bool)
	for _, cell := range c.Shard.Of(dealt) {
		mine[cell] = true
	}
	return slices.DeleteFunc(plan, func(cell cell.Key) bool { return !mine[cell] }), leftOut
}

// HostCells returns the cells that tell hosts apart where shards of the grid are
// measured on several: its first, which works wherever one does, and the one in the
// middle of the middle num_ctx. They are the same for every shard; without shards
// there are none.
func (c *Config) HostCells() []cell.Key {
	plan, _ := cell.Grid{Ctx: c.NumCtx.Values(), Batch: c.NumBatch.Values()}.Cells()
	if c.Shard == (cell.Shard{}) || len(plan) == 0 {
		return nil
	}
	column := slices.DeleteFunc(slices.Clone(plan), func(cell cell.Key) bool { return cell.Ctx != plan[len(plan)/2].Ctx })
	return slices.Compact([]cell.Key{plan[0], column[len(column)/2]})
}

func positiveDuration(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%v is not above zero: write a duration like 15m", d)
	}
	return nil
}

func readable(file string) error {
	if file == "" {
		return nil
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no file %s: names in a config are relative to its folder, those of flags to the current one", file)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder, not a file", file)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", file)
	}
	return nil
}

func (c *Config) checkRedo() error {
	if c.Redo && c.Fresh == checkpoint.FreshAlways {
		return errors.New("fresh puts all that is measured aside, which leaves nothing to measure again: leave out one of the two")
	}
	return nil
}
