package config

import (
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// table returns the keys of the config, in the order in which errors list them. YAML decoding,
// the flags, the checks and the command that a checkpoint keeps follow from it, and a test compares
// docs/config.md with it.
func table() []key {
	return []key{
		text("model", "model to sweep, as `ollama list` shows it", func(c *Config) *string { return &c.Model }).checkedBy((*Config).checkModel),
		file("modelfile", "`file` of the Modelfile template", func(c *Config) *string { return &c.Modelfile }),
		newKey("prompt", "`file` of the prompt", func(c *Config) *Prompt { return &c.Prompt }, func(s string) (Prompt, error) { return Prompt{File: s}, nil }).
			relative(func(c *Config) *string { return &c.Prompt.File }).checkedBy(func(c *Config) error { return c.Prompt.check() }),
		choice("runner", "`api` for options with each request, cli for ollama create and ollama run", func(c *Config) *string { return &c.Runner }, RunnerAPI, RunnerCLI),
		choice("engine", "`host` for the server at -host, own for a server that the sweep starts with your models, embedded for one with a tiny model", func(c *Config) *string { return &c.Engine }, EngineHost, EngineOwn, EngineEmbedded),
		text("host", "`URL` of the Ollama server (default OLLAMA_HOST, else http://127.0.0.1:11434)", func(c *Config) *string { return &c.Host }).ofMachine(), // can hold a password
		text("ollama", "`file` of the ollama command, for the cli runner and the engines own and embedded", func(c *Config) *string { return &c.Ollama }),
		file("server_log", "`file` that the server writes its log to, which shows the effective num_batch", func(c *Config) *string { return &c.ServerLog }).ofMachine(),

		axis("num_ctx", "ctx", func(c *Config) *cell.Axis { return &c.NumCtx }),
		axis("num_batch", "batch", func(c *Config) *cell.Axis { return &c.NumBatch }),
		boolean("test_row_first", "", func(c *Config) *bool { return &c.TestRowFirst }),
		settingsKey("options", "option", "load option of each request, `NAME=VALUE` or NAME=VALUE,VALUE,… for an axis, like num_gpu=auto,40; can be repeated", func(c *Config) *Settings { return &c.Options }),
		settingsKey("server", "server", "setting of a server that the sweep starts, `NAME=VALUE` or NAME=VALUE,VALUE,… for an axis, like flash_attention=on,off; can be repeated", func(c *Config) *Settings { return &c.Server }).
			checkedBy((*Config).checkServer),

		number("num_predict", "", func(c *Config) *int { return &c.NumPredict }, 1),
		number("repeat", "measured prompts per `cell` (default 1, and more until the advice is clear, for two minutes in all)", func(c *Config) *int { return &c.Repeat }, 1),
		choice("order", "`cell`: all samples of a cell after one load; round: one sample of every cell, then the next", func(c *Config) *string { return &c.Order }, OrderCell, OrderRound).
			checkedBy((*Config).checkOrder),

		number("reference_every", "`cells` between two measurements of the reference cell, 0 for none", func(c *Config) *int { return &c.ReferenceEvery }, 0),
		number("confirm", "`number` of leading cells to measure again", func(c *Config) *int { return &c.Confirm }, ConfirmDefault),
		newKey("baseline", "measure the server's own num_batch too; -baseline=24 in that many rounds (default: where that is cheap, and in a search)", func(c *Config) *Baseline { return &c.Baseline }, parseBaseline).withoutValue(),
		boolean("retake", "measure disturbed cells again at the end (default true)", func(c *Config) *bool { return &c.Retake }),
		boolean("exclusive", "unload other models, and refuse a busy GPU", func(c *Config) *bool { return &c.Exclusive }),

		duration("cell_timeout", "longest `time` for a cell", func(c *Config) *time.Duration { return &c.CellTimeout }),
		duration("server_wait", "", func(c *Config) *time.Duration { return &c.ServerWait }),
		newKey("budget", "`2h or 40cells`, after which no cell is started", func(c *Config) *Budget { return &c.Budget }, ParseBudget).
			ofMachine().checkedBy(func(c *Config) error { return c.Budget.Check() }),

		choice("strategy", "`exhaustive` for every cell, best to search for the fastest, frontier for the fastest num_batch of every num_ctx", func(c *Config) *string { return &c.Strategy }, Strategies...).
			checkedBy((*Config).checkSearch),
		newKey("tolerance", "difference in rate for which a search measures no further cell, like `1%`", func(c *Config) *Tolerance { return &c.Tolerance }, ParseTolerance).
			checkedBy(func(c *Config) error { return c.Tolerance.Check() }),
		boolean("probe", "in a search, time passes of other num_batch while a cell is loaded (default true)", func(c *Config) *bool { return &c.Probe }),
		boolean("prune", "skip cells that need more memory than one that ran out of it", func(c *Config) *bool { return &c.Prune }),
		newKey("shard", "measure part `I/N` of the grid, or auto to read it from the environment", func(c *Config) *cell.Shard { return &c.Shard }, flagShard).
			ofMachine().checkedBy(func(c *Config) error { return c.Shard.Check() }),
		text("out", "`folder` of checkpoint and reports (default results/ and the config's base name)", func(c *Config) *string { return &c.Out }).
			ofMachine().relative(func(c *Config) *string { return &c.Out }),

		boolean("retry_failed", "measure failed cells again", func(c *Config) *bool { return &c.RetryFailed }).ofMachine(),
		boolean("redo", "measure again the cells that -run selects", func(c *Config) *bool { return &c.Redo }).ofMachine().checkedBy((*Config).checkRedo),
		newKey("fresh", "move an existing checkpoint aside and start anew; =changed: only where it belongs to another sweep", func(c *Config) *checkpoint.Fresh { return &c.Fresh }, checkpoint.ParseFresh).
			withoutValue().ofMachine(),
	}
}
