// Package config reads the configuration of a sweep: a YAML file and the flags that override it. An
// error names the line and says what to write instead. Nothing is requested from a server.
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

// Config is the configuration of a sweep. Load it with [Read], which sets the
// defaults and checks the values.
type Config struct {
	Model     string // base model, as `ollama list` shows it
	Modelfile string // file of a template, or empty
	Prompt    Prompt
	Runner    string // RunnerAPI or RunnerCLI
	Engine    string // EngineHost, EngineOwn or EngineEmbedded
	Host      string // URL; empty for OLLAMA_HOST or Ollama's own default
	Ollama    string // command of the cli runner and of the engine; empty for "ollama", or for EngineEmbedded the built one where PATH has none
	ServerLog string // file that the server writes its log to, or empty

	NumCtx       cell.Axis
	NumBatch     cell.Axis
	TestRowFirst bool     // all num_ctx of a num_batch before the next num_batch
	Options      Settings // load options of each request
	Server       Settings // settings of a server that the sweep starts
	// Binaries are the files of the server's binaries, where they are an axis, by their names in keys. See
	// NameBinaries.
	Binaries map[string]string

	NumPredict int    // tokens to generate after the prompt
	Repeat     int    // samples per cell
	Order      string // OrderCell or OrderRound

	RepeatUntilClear bool // take more samples than Repeat where the advice needs them, since Repeat was not set

	ReferenceEvery int      // cells between two measurements of the reference cell; 0 for none
	Confirm        int      // leading cells to measure again; 0 for none, ConfirmDefault
	Baseline       Baseline // measure the server's own num_batch too; in a shard BaselineOff or BaselineOn
	Retake         bool     // measure disturbed cells again at the end
	Exclusive      bool     // unload other models, and refuse a busy GPU or server

	CellTimeout time.Duration // for a cell's load and all its samples
	ServerWait  time.Duration // how long to wait for a server that is away
	Budget      Budget        // for the whole run; zero for no limit

	Strategy  string     // StrategyExhaustive, StrategyBest or StrategyFrontier
	Tolerance Tolerance  // of a search
	Probe     bool       // a search times passes of other num_batch while a cell is loaded
	Prune     bool       // skip cells that need more memory than one that ran out of it
	Shard     cell.Shard // the part of the grid to measure; zero for all
	Out       string     // folder; empty for results/ and the config's base name

	RetryFailed bool             // measure failed cells again
	Redo        bool             // measure again the cells that -run selects
	Fresh       checkpoint.Fresh // when to move an existing checkpoint aside and start anew
}

// The values of Config.Runner, Config.Engine and Config.Strategy.
const (
	RunnerAPI          = "api"
	RunnerCLI          = "cli"
	EngineHost         = "host"       // the user's server
	EngineOwn          = "own"        // a server that the sweep starts, with the user's models
	EngineEmbedded     = "embedded"   // a server that the sweep starts, with a tiny model
	StrategyExhaustive = "exhaustive" // every cell
	StrategyBest       = "best"       // search for the fastest cell
	StrategyFrontier   = "frontier"   // search for the fastest num_batch of every num_ctx
)

// Strategies are the values of Config.Strategy.
var Strategies = []string{StrategyExhaustive, StrategyBest, StrategyFrontier}

// The values of Config.Order.
const (
	OrderCell  = "cell"  // all samples of a cell after one load
	OrderRound = "round" // one sample of every cell, then the next of every cell
)

// ConfirmDefault means three leading cells where the noise is known, which takes
// several samples of a cell, and none where it is not.
const ConfirmDefault = -1

// DefaultTolerance is the tolerance of a search unless the config sets one.
const DefaultTolerance = Tolerance(0.01)

// maxSamples is the maximum number of samples of all cells together.
const maxSamples = 10_000_000

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
		Probe:       true,
		Server:      Settings{server: true},
	}
}

// Read reads the YAML file at path, applies the overrides and checks the
// result. File names in the YAML become relative to the current folder, as those
// of overrides are already. An error names the file, and the line of the key
// that it is about.
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
	c.Server.relativeTo(filepath.Dir(path))
	for _, k := range table() {
		if k.path == nil {
			continue
		}
		if file := k.path(&c); *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(path), *file)
		}
	}
	if err := overrides.apply(&c); err != nil {
		return Config{}, err
	}
	if c.Out == "" {
		if c.Out = OutOf(path); c.Out == "" {
			return Config{}, fmt.Errorf("config %s: the file's name gives no name for the out folder: rename it, for example to my.yaml, or name the folder with -out", path)
		}
	}
	if suffix := c.Shard.Suffix(); !overrides.outNamesShard() && !strings.HasSuffix(filepath.Clean(c.Out), suffix) {
		c.Out = filepath.Clean(c.Out) + suffix
	}
	c.setBinary()
	c.setAutomatic(lines["repeat"] > 0 || overrides.flags("repeat") != "")
	key, err := c.check()
	if err == nil {
		return c, nil
	}
	if flags := overrides.flags(key); flags != "" {
		return Config{}, fmt.Errorf("%s: %w", flags, err)
	}
	return Config{}, positioned(path, &strictyaml.LineError{Line: lines.Of(key, err), Key: key, Err: err})
}

// OutOf returns the default out folder of a config file, empty where its name gives none.
func OutOf(config string) string {
	name := strings.TrimSuffix(filepath.Base(config), filepath.Ext(config))
	if name == "" || name == "." || name == ".." {
		return ""
	}
	return filepath.Join("results", name)
}

// positioned prefixes an error with the file and, where it is known, the line.
func positioned(path string, err error) error {
	var at *strictyaml.LineError
	if errors.As(err, &at) && at.Line > 0 {
		return fmt.Errorf("config %s:%d: %w", path, at.Line, err)
	}
	return fmt.Errorf("config %s: %w", path, err)
}

// check returns the first key with an invalid value, and an error that says what to write
// instead.
func (c *Config) check() (key string, err error) {
	for _, k := range table() {
		for _, check := range k.checks {
			if err := check(c); err != nil {
				return k.name, err
			}
		}
	}
	return c.checkGrid()
}

func (c *Config) checkModel() error {
	if c.Model == "" && c.Modelfile == "" && c.Engine != EngineEmbedded {
		return errors.New("missing: name the model to sweep, as `ollama list` shows it")
	}
	// A cloud model's name can have a second tag.
	if name := strings.TrimSuffix(c.Model, ":cloud"); c.Model != "" && !model.ParseName(name).IsValid() {
		return fmt.Errorf("%q is not a model name: write it as `ollama list` shows it, like llama3.1:8b; to use a file, name it in the FROM line of a modelfile", c.Model)
	}
	return nil
}

// Leaders returns how many leading cells are to be measured again.
func (c *Config) Leaders() int {
	switch {
	case c.Confirm != ConfirmDefault:
		return c.Confirm
	case c.Shard != (cell.Shard{}):
		return 0 // the leading cells are known only after all shards are merged
	case c.Repeat > 1 || c.ReferenceEvery > 0:
		return 3
	}
	return 0
}

// setAutomatic sets what the sweep does automatically. A shard does nothing of it, since its results
// mean something only after all shards are merged.
func (c *Config) setAutomatic(repeatGiven bool) {
	unsharded := c.Shard == (cell.Shard{})
	c.RepeatUntilClear = !repeatGiven && unsharded && c.Order == OrderCell
	if c.Baseline == BaselineAuto && !unsharded {
		c.Baseline = BaselineOff
	}
}

// StartsServer reports whether the sweep starts its server, which nobody else uses.
func (c *Config) StartsServer() bool { return c.Engine != EngineHost }

// Searches reports whether the strategy is a search, which measures only some cells.
func (c *Config) Searches() bool { return c.Strategy != StrategyExhaustive }

func (c *Config) checkOrder() error {
	if c.Searches() && c.Order == OrderRound {
		return fmt.Errorf("order round measures every cell, but strategy %s only a few: use order: cell, or strategy: exhaustive", c.Strategy)
	}
	return nil
}

func (c *Config) checkGrid() (key string, err error) {
	// Counted first, since there may be too many values to allocate.
	ctxs, batches := c.NumCtx.Count(), c.NumBatch.Count()
	if n := ctxs * batches; n > cell.MaxCells {
		return "num_ctx", fmt.Errorf("%d values by %d of num_batch are %d cells, the maximum is %d: use larger steps", ctxs, batches, n, cell.MaxCells)
	}
	n := ctxs * batches
	for _, a := range c.axes() {
		if n *= len(a.Values); n > cell.MaxCells {
			return "num_ctx", fmt.Errorf("%d values by %d of num_batch and those of the other axes up to %s are %d cells, the maximum is %d: use fewer values", ctxs, batches, a.Name, n, cell.MaxCells)
		}
	}
	if c.Repeat > maxSamples/n {
		return "repeat", fmt.Errorf("%d samples of %d cells are too many, the maximum is %d in all", c.Repeat, n, maxSamples)
	}
	g := c.Grid()
	if least := g.Ctx[0]; least <= c.NumPredict {
		return "num_ctx", fmt.Errorf("%d leaves no room for a prompt with num_predict %d: use a larger num_ctx", least, c.NumPredict)
	}
	if plan, _ := g.Cells(); len(plan) == 0 {
		return "num_batch", fmt.Errorf("every num_batch is above every num_ctx, so no cell is left: use a num_batch of at most %d", slices.Max(g.Ctx))
	}
	if c.Prompt.Tokens+c.NumPredict > g.Ctx[0] {
		return "prompt", strictyaml.WrongPart(".tokens", "%d tokens and num_predict %d do not fit the smallest num_ctx %d: use fewer, or {fill: 0.9}", c.Prompt.Tokens, c.NumPredict, g.Ctx[0])
	}
	if longest := max(float64(c.Prompt.Tokens), c.Prompt.Fill*float64(g.Ctx[len(g.Ctx)-1])); longest > maxTokens {
		return "prompt", fmt.Errorf("a prompt of %.0f tokens is too long, the maximum is %d tokens", longest, maxTokens)
	}
	return "", nil
}

// maxTokens limits the text of a prompt to half a gigabyte.
const maxTokens = 100_000_000

// Grid returns the grid of all axes.
func (c *Config) Grid() cell.Grid {
	return cell.Grid{Ctx: c.NumCtx.Values(), Batch: c.NumBatch.Values(), BatchFirst: c.TestRowFirst, Settings: c.axes()}
}

// Plan returns the cells to measure, in order, and the invalid cells of the grid,
// which are left out.
func (c *Config) Plan() (plan, leftOut []cell.Key) {
	g := c.Grid()
	plan, leftOut = g.Cells()
	if c.Shard == (cell.Shard{}) {
		return plan, leftOut
	}
	g.BatchFirst = false
	dealt, _ := g.Cells() // in column order, whatever the order of measurement
	mine := make(map[cell.Key]bool)
	for _, cell := range c.Shard.Of(dealt) {
		mine[cell] = true
	}
	return slices.DeleteFunc(plan, func(cell cell.Key) bool { return !mine[cell] }), leftOut
}

// HostCells returns the cells that compare hosts where shards of the grid are measured
// on several hosts: the grid's first, which needs the least memory, and the middle one
// of the middle num_ctx. They are the same for every shard; without shards there are
// none.
func (c *Config) HostCells() []cell.Key {
	g := c.Grid()
	g.BatchFirst = false
	plan, _ := g.Cells()
	if c.Shard == (cell.Shard{}) || len(plan) == 0 {
		return nil
	}
	// With the same other settings, so that both run on one process of the server.
	first := plan[0]
	plan = slices.DeleteFunc(plan, func(cell cell.Key) bool { return cell.Settings != first.Settings })
	middle := plan[len(plan)/2]
	column := slices.DeleteFunc(plan, func(cell cell.Key) bool { return cell.Ctx != middle.Ctx })
	return slices.Compact([]cell.Key{first, column[len(column)/2]})
}

func positiveDuration(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%v is not positive: write a duration like 15m", d)
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
		return fmt.Errorf("file %s does not exist: names in a config are relative to its folder, names in flags to the current folder", file)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder, not a file", file)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", file)
	}
	return nil
}

func (c *Config) checkRedo() error {
	if c.Redo && c.Fresh == checkpoint.FreshAlways {
		return errors.New("fresh moves all results aside, so nothing is left to measure again: use only one of the two")
	}
	return nil
}
