package sweep

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readConfig reads a config of this text, beside a prompt file "p", with these
// flags.
func readConfig(t *testing.T, text string, flags ...string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p"), []byte("once upon a time"), 0o644))
	file := filepath.Join(dir, "my.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	var o Overrides
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	o.Register(set)
	if err := set.Parse(flags); err != nil {
		return Config{}, err
	}
	c, err := ReadConfig(file, &o)
	if err != nil {
		return c, errorWithout(err, dir+string(filepath.Separator))
	}
	return c, nil
}

// errorWithout leaves the test's folder out of an error's text.
type relativeError struct{ text string }

func (e relativeError) Error() string { return e.text }

func errorWithout(err error, dir string) error {
	return relativeError{strings.ReplaceAll(err.Error(), dir, "")}
}

const wholeConfig = `model: nemotron_f
prompt: p
num_ctx: {start: 8192, end: 12288, step: 2048}
num_batch: [512, 128, 512]
`

func TestConfigDefaults(t *testing.T) {
	c, err := readConfig(t, wholeConfig)
	require.NoError(t, err)
	assert.Equal(t, RunnerAPI, c.Runner)
	assert.Equal(t, EngineHost, c.Engine)
	assert.Equal(t, StrategyExhaustive, c.Strategy)
	assert.Equal(t, 2, c.NumPredict)
	assert.Equal(t, 1, c.Repeat)
	assert.Equal(t, 15*time.Minute, c.CellTimeout)
	assert.Equal(t, 10*time.Minute, c.ServerWait)
	assert.Equal(t, filepath.Join("results", "my"), c.Out)
	assert.True(t, filepath.IsAbs(c.Prompt.File), "a file is relative to the config")
	assert.Equal(t, Grid{Ctx: []int{8192, 10240, 12288}, Batch: []int{128, 512}}, c.Grid(), "the range's end is included, the list sorted")
}

func TestConfigFlagsOverride(t *testing.T) {
	c, err := readConfig(t, wholeConfig, "-model", "other", "-host", "gpu:1", "-engine", "embedded", "-runner", "cli",
		"-ollama", "/bin/ollama", "-repeat", "6", "-strategy", "exhaustive", "-cell-timeout", "3m", "-budget", "2h",
		"-shard", "2/3", "-retry-failed", "-fresh", "-out", "there", "-ctx-start", "10240", "-ctx-step", "1024",
		"-batch-start", "64", "-batch-end", "256", "-batch-step", "64", "-prompt", "config_test.go", "-modelfile", "grid_test.go")
	require.NoError(t, err)
	assert.Equal(t, Config{
		Model: "other", Modelfile: "grid_test.go", Prompt: Prompt{File: "config_test.go"}, Runner: RunnerCLI, Engine: EngineEmbedded,
		Host: "gpu:1", Ollama: "/bin/ollama",
		NumCtx: Axis{Start: 10240, End: 12288, Step: 1024}, NumBatch: Axis{Start: 64, End: 256, Step: 64},
		NumPredict: 2, Repeat: 6, Order: "cell", Confirm: -1, CellTimeout: 3 * time.Minute, ServerWait: 10 * time.Minute, Budget: 2 * time.Hour,
		Strategy: StrategyExhaustive, Shard: Shard{2, 3}, Out: "there", RetryFailed: true, Fresh: true,
	}, c)
}

func TestConfigShardHasItsOwnFolder(t *testing.T) {
	c, err := readConfig(t, wholeConfig+"shard: 2/3\n")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join("results", "my-2of3"), c.Out)
}

func TestConfigErrors(t *testing.T) {
	const grid = "num_ctx: [4096]\nnum_batch: [512]\n"
	for _, test := range []struct {
		name, text string
		flags      []string
		want       string
	}{
		{name: "empty", want: "config my.yaml: the file is empty"},
		{name: "not a mapping", text: "- 1\n", want: "config my.yaml: line 1: expected `key: value` lines"},
		{name: "two documents", text: wholeConfig + "---\nmodel: x\n", want: "config my.yaml: more than one YAML document"},
		{name: "unknown key", text: "model: m\nnum_ctxx: 3\n", want: `config my.yaml: line 2: unknown key "num_ctxx"; known are model, modelfile,`},
		{name: "unknown key of a range", text: "model: m\nnum_ctx: {start: 1, stop: 2}\n", want: `line 2: unknown key "stop"; known are [start end step]`},
		{name: "unknown key of the prompt", text: "prompt: {token: 1}\n", want: `line 1: unknown key "token"; known are [tokens fill]`},
		{name: "wrong type", text: "model: m\nrepeat: many\n", want: "line 2: cannot unmarshal !!str `many` into int"},
		{name: "bad duration", text: "cell_timeout: 15x\n", want: "line 1: cannot unmarshal !!str `15x` into time.Duration"},
		{name: "no model", text: "prompt: p\n" + grid, want: "config my.yaml: model: missing: name the model to sweep"},
		{name: "no prompt", text: "model: m\n" + grid, want: "config my.yaml: prompt: missing: name a file, or {tokens: 8192}"},
		{name: "prompt file is missing", text: "model: m\nprompt: nowhere\n" + grid, want: "config my.yaml:2: prompt: stat nowhere: no such file"},
		{name: "fill is one", text: "model: m\nprompt: {fill: 1}\n" + grid, want: "config my.yaml:2: prompt: fill 1 must lie above 0 and below 1"},
		{name: "fill is not a number", text: "model: m\nprompt: {fill: .nan}\n" + grid, want: "config my.yaml:2: prompt: fill NaN must lie"},
		{name: "prompt too long", text: "model: m\nprompt: {tokens: 4095}\n" + grid, want: "config my.yaml:2: prompt: 4095 tokens and num_predict 2 do not fit the smallest num_ctx 4096"},
		{name: "no num_batch", text: "model: m\nprompt: p\nnum_ctx: 4096\n", want: "config my.yaml: num_batch: missing: write {start: N, end: N, step: N} or a list"},
		{name: "step zero", text: "model: m\nprompt: p\nnum_ctx: {start: 1024, end: 2048}\nnum_batch: 8\n", want: "config my.yaml:3: num_ctx: step 0 must be 1 or more"},
		{name: "start above end", text: "model: m\nprompt: p\nnum_ctx: {start: 4096, end: 2048, step: 1}\nnum_batch: 8\n", want: "config my.yaml:3: num_ctx: end 2048 is below start 4096"},
		{name: "negative in a list", text: "model: m\nprompt: p\nnum_ctx: [4096, -1]\nnum_batch: 8\n", want: "config my.yaml:3: num_ctx: -1 is not a value that a server takes"},
		{name: "too many values", text: "model: m\nprompt: p\nnum_ctx: {start: 1, end: 1000001, step: 1}\nnum_batch: 8\n", want: "num_ctx: step 1 makes more than 1000000 values"},
		{name: "too many cells", text: "model: m\nprompt: p\nnum_ctx: {start: 3, end: 2003, step: 1}\nnum_batch: {start: 1, end: 1000, step: 1}\n", want: "config my.yaml:3: num_ctx: 2001 × 1000 are 2001000 cells, and 1000000 is the most"},
		{name: "no valid cell", text: "model: m\nprompt: p\nnum_ctx: 64\nnum_batch: 128\n", want: "config my.yaml:4: num_batch: every num_batch is above every num_ctx"},
		{name: "no room", text: "model: m\nprompt: p\nnum_ctx: 2\nnum_batch: 1\n", want: "config my.yaml:3: num_ctx: 2 leaves no room for a prompt beside num_predict 2"},
		{name: "runner", text: wholeConfig + "runner: curl\n", want: `config my.yaml:5: runner: "curl" is not one of api, cli`},
		{name: "strategy", text: wholeConfig, flags: []string{"-strategy", "best"}, want: `config my.yaml: strategy: "best" is not one of exhaustive`},
		{name: "num_predict", text: wholeConfig + "num_predict: 0\n", want: "config my.yaml:5: num_predict: 0 is too small, the least is 1"},
		{name: "repeat", text: wholeConfig, flags: []string{"-repeat", "0"}, want: "config my.yaml: repeat: 0 is too small, the least is 1"},
		{name: "cell_timeout", text: wholeConfig + "cell_timeout: -1s\n", want: "config my.yaml:5: cell_timeout: -1s is not a duration above zero"},
		{name: "budget", text: wholeConfig + "budget: -1s\n", want: "config my.yaml:5: budget: -1s is not a duration above zero"},
		{name: "shard", text: wholeConfig + "shard: 5/4\n", want: "line 5: shard: 5/4: the first number counts from 1 to the second"},
		{name: "modelfile is a folder", text: wholeConfig + "modelfile: .\n", want: "is a folder, not a file"},
		{name: "flag of a list", text: "model: m\nprompt: p\n" + grid, flags: []string{"-ctx-start", "1"}, want: "-ctx-start: num_ctx is a list in the config: to use a range, give start, end and step together"},
		{name: "flag no number", text: wholeConfig, flags: []string{"-repeat", "x"}, want: `invalid value "x" for flag -repeat`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readConfig(t, test.text, test.flags...)
			assert.ErrorContains(t, err, test.want)
		})
	}
	_, err := ReadConfig(filepath.Join(t.TempDir(), "none.yaml"), new(Overrides))
	assert.ErrorContains(t, err, "name one with -config FILE")
}

// TestShippedConfigs reads the configs that users start from.
func TestShippedConfigs(t *testing.T) {
	for file, want := range map[string][2]int{
		"demo.yaml":              {4, 7},
		"benchmark_config.yaml":  {47, 17},
		"config_quick_test.yaml": {3, 4},
	} {
		c, err := ReadConfig(filepath.Join("..", "..", "testdata", file), new(Overrides))
		require.NoError(t, err, file)
		g := c.Grid()
		assert.Equal(t, want, [2]int{len(g.Ctx), len(g.Batch)}, file)
	}
}
