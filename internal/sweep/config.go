package sweep

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Config says what to sweep. Load it with ReadConfig, which fills in the
// defaults and refuses what makes no sense.
type Config struct {
	Model     string `yaml:"model"`     // base model, as `ollama list` shows it
	Modelfile string `yaml:"modelfile"` // file of a template, or empty
	Prompt    Prompt `yaml:"prompt"`
	Runner    string `yaml:"runner"`     // RunnerAPI or RunnerCLI
	Engine    string `yaml:"engine"`     // EngineHost or EngineEmbedded
	Host      string `yaml:"host"`       // URL; empty for OLLAMA_HOST or Ollama's own default
	Ollama    string `yaml:"ollama"`     // command of the cli runner; empty for "ollama", or the embedded engine's own
	ServerLog string `yaml:"server_log"` // file that the server writes its log to, or empty

	NumCtx       Axis `yaml:"num_ctx"`
	NumBatch     Axis `yaml:"num_batch"`
	TestRowFirst bool `yaml:"test_row_first"` // all num_ctx of a num_batch before the next num_batch

	NumPredict int    `yaml:"num_predict"` // tokens to generate after the prompt
	Repeat     int    `yaml:"repeat"`      // samples per cell
	Order      string `yaml:"order"`       // OrderCell or OrderRound

	ReferenceEvery int  `yaml:"reference_every"` // cells between two measurements of the reference cell; 0 for none
	Confirm        int  `yaml:"confirm"`         // leading cells to measure again; 0 for none, ConfirmDefault
	Baseline       bool `yaml:"baseline"`        // measure the server's own num_batch too
	Exclusive      bool `yaml:"exclusive"`       // have the server and its GPUs to ourselves

	CellTimeout time.Duration `yaml:"cell_timeout"` // for a cell's load and all its samples
	ServerWait  time.Duration `yaml:"server_wait"`  // for a server that is away to come back
	Budget      time.Duration `yaml:"budget"`       // for the whole run; zero for no limit

	Strategy string `yaml:"strategy"` // StrategyExhaustive
	Shard    Shard  `yaml:"shard"`    // the part of the grid to measure; zero for all
	Out      string `yaml:"out"`      // folder; empty for results/ and the config's base name

	RetryFailed bool `yaml:"retry_failed"` // measure failed cells again
	Fresh       bool `yaml:"fresh"`        // put an existing checkpoint aside and start anew
}

// The values of Config.Runner, Config.Engine and Config.Strategy.
const (
	RunnerAPI          = "api"
	RunnerCLI          = "cli"
	EngineHost         = "host"
	EngineEmbedded     = "embedded"
	StrategyExhaustive = "exhaustive"
)

// The values of Config.Order.
const (
	OrderCell  = "cell"  // all samples of a cell after one load
	OrderRound = "round" // one sample of every cell, then the next of every cell
)

// ConfirmDefault stands for three leading cells where the noise can be known,
// which takes several samples of a cell, and for none where it can't.
const ConfirmDefault = -1

// MaxCells is the largest grid that is accepted: at a second a cell, twelve
// days.
const MaxCells = 1_000_000

func defaults() Config {
	return Config{
		Runner:      RunnerAPI,
		Engine:      EngineHost,
		NumPredict:  2,
		Repeat:      1,
		Order:       OrderCell,
		Confirm:     ConfirmDefault,
		CellTimeout: 15 * time.Minute,
		ServerWait:  10 * time.Minute,
		Strategy:    StrategyExhaustive,
	}
}

// ReadConfig reads the YAML file at path, applies the overrides and checks the
// whole. File names in the YAML become relative to the current folder, as those
// of overrides are already. An error names the file, and the line where a key
// is at fault.
func ReadConfig(path string, overrides *Overrides) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading config: %w (name one with -config FILE)", err)
	}
	c := defaults()
	lines, err := c.decode(data)
	if err != nil {
		return Config{}, fmt.Errorf("config %s: %w", path, err)
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
		c.Out = filepath.Join("results", strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))+c.Shard.suffix())
	}
	if key, err := c.check(); err != nil {
		if line := lines[key]; line > 0 && !overrides.touch(key) {
			return Config{}, fmt.Errorf("config %s:%d: %s: %w", path, line, key, err)
		}
		return Config{}, fmt.Errorf("config %s: %s: %w", path, key, err)
	}
	return c, nil
}

// decode reads the YAML into c and returns the line of each key.
func (c *Config) decode(data []byte) (lines map[string]int, err error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: expected `key: value` lines", top.Line)
	}
	lines = make(map[string]int)
	for i := 0; i < len(top.Content); i += 2 {
		lines[top.Content[i].Value] = top.Content[i].Line
	}
	known := configKeys()
	for _, key := range slices.SortedFunc(maps.Keys(lines), func(a, b string) int { return lines[a] - lines[b] }) {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("line %d: unknown key %q; known are %s", lines[key], key, strings.Join(known, ", "))
		}
	}
	return lines, top.Decode(c)
}

// configKeys returns the keys of the YAML, as their order in Config.
func configKeys() []string {
	var n yaml.Node
	if err := n.Encode(Config{}); err != nil {
		panic(err) // of a struct of ours, which the tests encode
	}
	var keys []string
	for i := 0; i < len(n.Content); i += 2 {
		keys = append(keys, n.Content[i].Value)
	}
	return keys
}

// check returns the first key whose value makes no sense, with the reason and
// what to write instead.
func (c *Config) check() (key string, err error) {
	oneOf := func(value string, values ...string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return fmt.Errorf("%q is not one of %s", value, strings.Join(values, ", "))
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
		{"strategy", oneOf(c.Strategy, StrategyExhaustive)},
		{"model", c.checkModel()},
		{"modelfile", readable(c.Modelfile)},
		{"server_log", readable(c.ServerLog)},
		{"prompt", c.Prompt.check()},
		{"num_ctx", c.NumCtx.check()},
		{"num_batch", c.NumBatch.check()},
		{"num_predict", atLeast(c.NumPredict, 1)},
		{"repeat", atLeast(c.Repeat, 1)},
		{"order", oneOf(c.Order, OrderCell, OrderRound)},
		{"reference_every", atLeast(c.ReferenceEvery, 0)},
		{"confirm", atLeast(c.Confirm, ConfirmDefault)},
		{"cell_timeout", positiveDuration(c.CellTimeout)},
		{"server_wait", positiveDuration(c.ServerWait)},
		{"budget", c.checkBudget()},
		{"shard", c.Shard.check()},
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
	return nil
}

// Leaders returns how many leading cells are to be measured again.
func (c *Config) Leaders() int {
	switch {
	case c.Confirm != ConfirmDefault:
		return c.Confirm
	case c.Repeat > 1 || c.ReferenceEvery > 0:
		return 3
	}
	return 0
}

func (c *Config) checkBudget() error {
	if c.Budget == 0 {
		return nil
	}
	return positiveDuration(c.Budget)
}

func (c *Config) checkGrid() (key string, err error) {
	g := c.Grid()
	if n := len(g.Ctx) * len(g.Batch); n > MaxCells {
		return "num_ctx", fmt.Errorf("%d × %d are %d cells, and %d is the most: use larger steps", len(g.Ctx), len(g.Batch), n, MaxCells)
	}
	if least := g.Ctx[0]; least <= c.NumPredict {
		return "num_ctx", fmt.Errorf("%d leaves no room for a prompt beside num_predict %d", least, c.NumPredict)
	}
	if plan, _ := g.Cells(); len(plan) == 0 {
		return "num_batch", fmt.Errorf("every num_batch is above every num_ctx, so no cell is left")
	}
	if c.Prompt.Tokens+c.NumPredict > g.Ctx[0] {
		return "prompt", fmt.Errorf("%d tokens and num_predict %d do not fit the smallest num_ctx %d: use fewer, or {fill: 0.9}", c.Prompt.Tokens, c.NumPredict, g.Ctx[0])
	}
	return "", nil
}

// Grid returns the grid of the two axes.
func (c *Config) Grid() Grid {
	return Grid{Ctx: c.NumCtx.Values(), Batch: c.NumBatch.Values(), BatchFirst: c.TestRowFirst}
}

// Plan returns the cells to measure, in order, and those of the grid that are
// left out because they are not valid.
func (c *Config) Plan() (plan, leftOut []Cell) {
	g := c.Grid()
	plan, leftOut = g.Cells()
	if c.Shard == (Shard{}) {
		return plan, leftOut
	}
	columns := Grid{Ctx: g.Ctx, Batch: g.Batch}
	dealt, _ := columns.Cells() // whichever the order of measuring
	mine := make(map[Cell]bool)
	for _, cell := range c.Shard.of(dealt) {
		mine[cell] = true
	}
	return slices.DeleteFunc(plan, func(cell Cell) bool { return !mine[cell] }), leftOut
}

func positiveDuration(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%v is not a duration above zero, like 15m", d)
	}
	return nil
}

func readable(file string) error {
	if file == "" {
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a folder, not a file", file)
	}
	return nil
}
