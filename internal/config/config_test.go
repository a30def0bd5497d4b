package config

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// readConfig reads a config of this text, in a folder with a prompt file "p", with these
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
	c, err := Read(file, &o)
	if err != nil {
		return c, errorWithout(err, dir+string(filepath.Separator))
	}
	return c, nil
}

// relativeError is an error without the test's folder in its text.
type relativeError struct{ text string }

func (e relativeError) Error() string { return e.text }

func errorWithout(err error, dir string) error {
	return relativeError{strings.NewReplacer(dir, "", strings.TrimSuffix(dir, string(filepath.Separator)), "FOLDER").Replace(err.Error())}
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
	assert.Equal(t, cell.Grid{Ctx: []int{8192, 10240, 12288}, Batch: []int{128, 512}}, c.Grid(), "the range's end is included, the list sorted")
}

func TestConfigFlagsOverride(t *testing.T) {
	c, err := readConfig(t, wholeConfig, "-model", "other", "-host", "gpu:1", "-engine", "embedded", "-runner", "cli",
		"-ollama", "/bin/ollama", "-repeat", "6", "-strategy", "exhaustive", "-tolerance", "2%", "-prune", "-cell-timeout", "3m", "-budget", "2h",
		"-shard", "2/3", "-retry-failed", "-fresh", "-out", "there", "-ctx-start", "10240", "-ctx-step", "1024",
		"-batch-start", "64", "-batch-end", "256", "-batch-step", "64", "-prompt", "config_test.go", "-modelfile", "config_test.go")
	require.NoError(t, err)
	assert.Equal(t, Config{
		Model: "other", Modelfile: "config_test.go", Prompt: Prompt{File: "config_test.go"}, Runner: RunnerCLI, Engine: EngineEmbedded,
		Host: "gpu:1", Ollama: "/bin/ollama", Server: Settings{server: true},
		NumCtx: cell.Axis{Start: 10240, End: 12288, Step: 1024}, NumBatch: cell.Axis{Start: 64, End: 256, Step: 64},
		NumPredict: 2, Repeat: 6, Order: "cell", Confirm: -1, Retake: true, CellTimeout: 3 * time.Minute, ServerWait: 10 * time.Minute, Budget: Budget{Time: 2 * time.Hour}, Tolerance: 0.02, Probe: true, Prune: true,
		Strategy: StrategyExhaustive, Shard: cell.Shard{Index: 2, Count: 3}, Out: "there", RetryFailed: true, Fresh: checkpoint.FreshAlways,
	}, c)
}

func TestConfigShardHasItsOwnFolder(t *testing.T) {
	c, err := readConfig(t, wholeConfig+"shard: 2/3\n")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join("results", "my-2of3"), c.Out)

	t.Setenv("SWEEP_SHARD", "2/3")
	for _, tt := range []struct {
		config string
		flags  []string
		want   string
	}{
		{"out: /there/\nshard: 2/3\n", nil, "/there-2of3"},
		{"out: /there\n", []string{"-shard", "2/3"}, "/there-2of3"},
		{"", []string{"-out", "there", "-shard", "auto"}, "there-2of3"},
		{"", []string{"-out", "there-2of3", "-shard", "auto"}, "there-2of3"},
		{"", []string{"-out", "there", "-shard", "2/3"}, "there"},
	} {
		c, err := readConfig(t, wholeConfig+tt.config, tt.flags...)
		require.NoError(t, err)
		assert.Equal(t, tt.want, c.Out, "%s %v", tt.config, tt.flags)
	}
}

// TestCommand: the command has the flags that decide what is measured, and no others.
func TestCommand(t *testing.T) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	var o Overrides
	o.Register(flags)
	require.NoError(t, flags.Parse([]string{"-repeat", "6", "-baseline", "-ctx-start", "1024", "-prompt", "it's a file", "-tolerance", "2%",
		"-host", "http://me:secret@there", "-server-log", "/var/log/ollama", "-out", "o", "-shard", "1/2", "-fresh", "-redo", "-retry-failed", "-budget", "2h"}))
	assert.Equal(t, `-config 'my configs/a.yaml' -repeat=6 -baseline=true -ctx-start=1024 -prompt='it'\''s a file' -tolerance=2%`, o.Command("my configs/a.yaml"))
	assert.Equal(t, "-config my.yaml", new(Overrides).Command("my.yaml"))
}

// TestConfigErrors has the whole text of each error: what is wrong, where, and what to write
// instead.
func TestConfigErrors(t *testing.T) {
	const good = "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n"
	for _, test := range []struct {
		name, text string
		flags      []string
		want       string
	}{
		{"empty", "", nil, `config my.yaml: the file is empty: see testdata/demo.yaml for an example`},
		{"only a comment", "# nothing\n", nil, `config my.yaml: the file is empty: see testdata/demo.yaml for an example`},
		{"a list", "- a\n", nil, "config my.yaml:1: expected lines like `model: llama3.1:8b`"},
		{"a text", "just text\n", nil, "config my.yaml:1: expected lines like `model: llama3.1:8b`"},
		{"two colons", "a: b: c\n", nil, "config my.yaml:1: not YAML: mapping values are not allowed in this context; expected lines like `model: llama3.1:8b`"},
		{"a tab", "model: m\n\tprompt: p\n", nil, `config my.yaml:2: a tab at the start of the line: YAML requires spaces`},
		{"two documents", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n---\nmodel: n\n", nil, `config my.yaml:5: more than one YAML document: remove the line ---`},
		{"binary", "\x00\x01\xff", nil, "config my.yaml:1: not YAML: control characters are not allowed; expected lines like `model: llama3.1:8b`"},
		{"not closed", "model: [m\n", nil, "config my.yaml:1: not YAML: did not find expected ',' or ']'; expected lines like `model: llama3.1:8b`"},
		{"unknown key", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nnum_ctxx: 1\n", nil, `config my.yaml:5: unknown key "num_ctxx"; the keys are model, modelfile, prompt, runner, engine, host, ollama, server_log, num_ctx, num_batch, test_row_first, options, server, num_predict, repeat, order, reference_every, confirm, baseline, retake, exclusive, cell_timeout, server_wait, budget, strategy, tolerance, probe, prune, shard, out, retry_failed, redo, fresh`},
		{"key twice", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nmodel: n\n", nil, `config my.yaml:5: model: already set in line 1`},
		{"no value", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat:\n", nil, `config my.yaml:5: repeat: has no value: give one, or leave the key out`},
		{"null", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nhost: ~\n", nil, `config my.yaml:5: host: has no value: give one, or leave the key out`},
		{"text for a number", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: many\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got "many"`},
		{"part of a number", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: 1.5\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got "1.5"`},
		{"exponent", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: 1e9\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got "1e9"`},
		{"number in quotes", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: '3'\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got the string "3": remove the quotes`},
		{"true for a number", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: true\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got "true"`},
		{"list for a number", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: [1]\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got a list`},
		{"mapping for a number", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: {a: 1}\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got a mapping`},
		{"too large for any number", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: 99999999999999999999\n", nil, `config my.yaml:5: repeat: expected a whole number like 8, got "99999999999999999999"`},
		{"repeat zero", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: 0\n", nil, `config my.yaml:5: repeat: 0 is below the minimum 1`},
		{"repeat negative", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: -1\n", nil, `config my.yaml:5: repeat: -1 is below the minimum 1`},
		{"repeat huge", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrepeat: 1000000000\n", nil, `config my.yaml:5: repeat: 1000000000 samples of 1 cells are too many, the maximum is 10000000 in all`},
		{"list for a text", "model: [m]\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:1: model: expected a string, got a list`},
		{"mapping for a text", "model: {a: 1}\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:1: model: expected a string, got a mapping`},
		{"a path for a model", "model: ../../etc/passwd\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, "config my.yaml:1: model: \"../../etc/passwd\" is not a model name: write it as `ollama list` shows it, like llama3.1:8b; to use a file, name it in the FROM line of a modelfile"},
		{"an absolute path for a model", "model: /models/m.gguf\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, "config my.yaml:1: model: \"/models/m.gguf\" is not a model name: write it as `ollama list` shows it, like llama3.1:8b; to use a file, name it in the FROM line of a modelfile"},
		{"a space in a model", "model: llama 3\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, "config my.yaml:1: model: \"llama 3\" is not a model name: write it as `ollama list` shows it, like llama3.1:8b; to use a file, name it in the FROM line of a modelfile"},
		{"no model", "prompt: p\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, "config my.yaml: model: missing: name the model to sweep, as `ollama list` shows it"},
		{"no num_ctx", "model: m\nprompt: p\nnum_batch: [512]\n", nil, `config my.yaml: num_ctx: missing: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"no num_batch", "model: m\nprompt: p\nnum_ctx: 4096\n", nil, `config my.yaml: num_batch: missing: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"empty list", "model: m\nprompt: p\nnum_ctx: []\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: missing: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"zero in a list", "model: m\nprompt: p\nnum_ctx: [0]\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: 0 is below the minimum 1`},
		{"negative in a list", "model: m\nprompt: p\nnum_ctx: [4096, -1]\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: -1 is below the minimum 1`},
		{"text in a list", "model: m\nprompt: p\nnum_ctx: [4096, a]\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: value 2: expected a whole number like 8, got "a"`},
		{"list in a list", "model: m\nprompt: p\nnum_ctx: [[4096]]\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: value 1: expected a whole number like 8, got a list`},
		{"text for a range", "model: m\nprompt: p\nnum_ctx: all\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: expected {start: N, end: N, step: N} or a list [N, N, …], got "all"`},
		{"unknown key of a range", "model: m\nprompt: p\nnum_ctx: {start: 1024, end: 2048, stop: 3}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: unknown key "stop": expected {start: N, end: N, step: N} or a list [N, N, …]`},
		{"key of a range twice", "model: m\nprompt: p\nnum_ctx: {start: 1024, start: 2048, step: 3}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: start: already set in line 3`},
		{"text in a range", "model: m\nprompt: p\nnum_ctx: {start: a, end: 2048, step: 3}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: start: expected a whole number like 8, got "a"`},
		{"no step", "model: m\nprompt: p\nnum_ctx: {start: 1024, end: 2048}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: step 0 must be 1 or more: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"step zero", "model: m\nprompt: p\nnum_ctx: {start: 1024, end: 2048, step: 0}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: step 0 must be 1 or more: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"step negative", "model: m\nprompt: p\nnum_ctx: {start: 1024, end: 2048, step: -5}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: step -5 must be 1 or more: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"no start", "model: m\nprompt: p\nnum_ctx: {end: 2048, step: 5}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: start 0 is below the minimum 1: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"start above end", "model: m\nprompt: p\nnum_ctx: {start: 4096, end: 2048, step: 1}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: end 2048 is below start 4096: write the smaller one first`},
		{"end huge", "model: m\nprompt: p\nnum_ctx: {start: 1024, end: 9223372036854775807, step: 1}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: 9223372036854775807 is above the maximum 2147483647`},
		{"start and step huge", "model: m\nprompt: p\nnum_ctx: {start: 4611686018427387904, end: 9223372036854775807, step: 4611686018427387903}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: 9223372036854775807 is above the maximum 2147483647`},
		{"too large for a server", "model: m\nprompt: p\nnum_ctx: [2147483648]\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: 2147483648 is above the maximum 2147483647`},
		{"too many values", "model: m\nprompt: p\nnum_ctx: {start: 4096, end: 2147483647, step: 1}\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: 2147479552 values by 1 of num_batch are 2147479552 cells, the maximum is 1000000: use larger steps`},
		{"too many cells", "model: m\nprompt: p\nnum_ctx: {start: 3, end: 2003, step: 1}\nnum_batch: {start: 1, end: 1000, step: 1}\n", nil, `config my.yaml:3: num_ctx: 2001 values by 1000 of num_batch are 2001000 cells, the maximum is 1000000: use larger steps`},
		{"prompt huge", "model: m\nprompt: {tokens: 200000000}\nnum_ctx: [2147483647]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: a prompt of 200000000 tokens is too long, the maximum is 100000000 tokens`},
		{"fill huge", "model: m\nprompt: {fill: 0.5}\nnum_ctx: [4096, 2147483647]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: a prompt of 1073741824 tokens is too long, the maximum is 100000000 tokens`},
		{"no cell", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [8192]\n", nil, `config my.yaml:4: num_batch: every num_batch is above every num_ctx, so no cell is left: use a num_batch of at most 4096`},
		{"no room", "model: m\nprompt: p\nnum_ctx: 2\nnum_batch: [512]\n", nil, `config my.yaml:3: num_ctx: 2 leaves no room for a prompt with num_predict 2: use a larger num_ctx`},
		{"num_ctx below num_predict", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nnum_predict: 5000\n", nil, `config my.yaml:3: num_ctx: 4096 leaves no room for a prompt with num_predict 5000: use a larger num_ctx`},
		{"no prompt", "model: m\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml: prompt: missing: write a file's name, {tokens: 8192}, or {fill: 0.9} of num_ctx`},
		{"prompt file is missing", "model: m\nprompt: nowhere\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: file nowhere does not exist: names in a config are relative to its folder, names in flags to the current folder`},
		{"prompt is a folder", "model: m\nprompt: .\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: FOLDER is a folder, not a file`},
		{"no tokens", "model: m\nprompt: {tokens: 0}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: missing: write a file's name, {tokens: 8192}, or {fill: 0.9} of num_ctx`},
		{"negative tokens", "model: m\nprompt: {tokens: -5}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: tokens -5 must be 1 or more, like 8192`},
		{"part of a token", "model: m\nprompt: {tokens: 7.5}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: tokens: expected a whole number like 8, got "7.5"`},
		{"fill above one", "model: m\nprompt: {fill: 1.5}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: fill 1.5 must be above 0 and below 1, like 0.9`},
		{"fill is one", "model: m\nprompt: {fill: 1}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: fill 1 must be above 0 and below 1, like 0.9`},
		{"fill is no number", "model: m\nprompt: {fill: .nan}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: fill NaN must be above 0 and below 1, like 0.9`},
		{"fill without end", "model: m\nprompt: {fill: .inf}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: fill +Inf must be above 0 and below 1, like 0.9`},
		{"fill is a text", "model: m\nprompt: {fill: much}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: fill: expected a number like 0.9, got "much"`},
		{"tokens and fill", "model: m\nprompt: {tokens: 5, fill: 0.5}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: tokens and fill exclude each other: leave one out`},
		{"unknown key of a prompt", "model: m\nprompt: {words: 5}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: unknown key "words": expected a file's name, {tokens: 8192}, or {fill: 0.9} of num_ctx`},
		{"list for a prompt", "model: m\nprompt: [p]\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: expected a file's name, {tokens: 8192}, or {fill: 0.9} of num_ctx, got a list`},
		{"prompt too long", "model: m\nprompt: {tokens: 4095}\nnum_ctx: [4096]\nnum_batch: [512]\n", nil, `config my.yaml:2: prompt: 4095 tokens and num_predict 2 do not fit the smallest num_ctx 4096: use fewer, or {fill: 0.9}`},
		{"modelfile is missing", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nmodelfile: nowhere\n", nil, `config my.yaml:5: modelfile: file nowhere does not exist: names in a config are relative to its folder, names in flags to the current folder`},
		{"server_log is a folder", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nserver_log: .\n", nil, `config my.yaml:5: server_log: FOLDER is a folder, not a file`},
		{"num_predict", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nnum_predict: 0\n", nil, `config my.yaml:5: num_predict: 0 is below the minimum 1`},
		{"duration without a unit", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\ncell_timeout: 15\n", nil, `config my.yaml:5: cell_timeout: expected a duration like 15m or 90s, got "15"`},
		{"no duration", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\ncell_timeout: soon\n", nil, `config my.yaml:5: cell_timeout: expected a duration like 15m or 90s, got "soon"`},
		{"duration is a list", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\ncell_timeout: [15m]\n", nil, `config my.yaml:5: cell_timeout: expected a duration like 15m or 90s, got a list`},
		{"negative duration", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\ncell_timeout: -1m\n", nil, `config my.yaml:5: cell_timeout: -1m0s is not positive: write a duration like 15m`},
		{"zero duration", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nserver_wait: 0s\n", nil, `config my.yaml:5: server_wait: 0s is not positive: write a duration like 15m`},
		{"negative budget", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbudget: -1h\n", nil, `config my.yaml:5: budget: -1h0m0s is not positive: write a duration like 15m`},
		{"budget huge", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbudget: 9999999999h\n", nil, `config my.yaml:5: budget: expected a duration like 2h, or a number of cells like 40cells, got "9999999999h"`},
		{"shard 5/4", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nshard: 5/4\n", nil, `config my.yaml:5: shard: 5/4: the first number must be between 1 and the second`},
		{"shard 0/4", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nshard: 0/4\n", nil, `config my.yaml:5: shard: 0/4: the first number must be between 1 and the second`},
		{"shard x", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nshard: x\n", nil, `config my.yaml:5: shard: "x" is not of the form I/N, like 2/4`},
		{"shard -1/2", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nshard: -1/2\n", nil, `config my.yaml:5: shard: -1/2: the first number must be between 1 and the second`},
		{"shard a list", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nshard: [1, 2]\n", nil, `config my.yaml:5: shard: expected a string like 2/4, got a list`},
		{"runner", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nrunner: curl\n", nil, `config my.yaml:5: runner: unknown value "curl": write api or cli`},
		{"engine", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nengine: cloud\n", nil, `config my.yaml:5: engine: unknown value "cloud": write host or own or embedded`},
		{"strategy", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nstrategy: guess\n", nil, `config my.yaml:5: strategy: unknown value "guess": write exhaustive or best or frontier`},
		{"strategy with rounds", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\norder: round\nstrategy: best\n", nil, `config my.yaml:5: order: order round measures every cell, but strategy best only a few: use order: cell, or strategy: exhaustive`},
		{"budget of no cells", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbudget: 0cells\n", nil, `config my.yaml:5: budget: expected a number of cells like 40cells, got "0cells"`},
		{"budget a list", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbudget: [2h]\n", nil, `config my.yaml:5: budget: expected a duration like 2h, or a number of cells like 40cells, got a list`},
		{"tolerance of words", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\ntolerance: some\n", nil, `config my.yaml:5: tolerance: expected a percentage like 1%, got "some"`},
		{"tolerance of nothing", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\ntolerance: 0\n", nil, `config my.yaml:5: tolerance: must be between 0.01% and 50%, like 1%`},
		{"tolerance not in percent", good, []string{"-tolerance", "1"}, `-tolerance: must be between 0.01% and 50%, like 1%`},
		{"order", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\norder: random\n", nil, `config my.yaml:5: order: unknown value "random": write cell or round`},
		{"confirm", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nconfirm: -2\n", nil, `config my.yaml:5: confirm: -2 is below the minimum -1`},
		{"reference_every", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nreference_every: -1\n", nil, `config my.yaml:5: reference_every: -1 is below the minimum 0`},
		{"yes for true", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nexclusive: yes\n", nil, `config my.yaml:5: exclusive: expected true or false, got "yes"`},
		{"number for true", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbaseline: 1\n", nil, `config my.yaml:5: baseline: expected true, false or a number of rounds from 6 to 768, got "1"`},
		{"too many rounds", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbaseline: 769\n", nil, `config my.yaml:5: baseline: expected true, false or a number of rounds from 6 to 768, got "769"`},
		{"half a round", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbaseline: 6.5\n", nil, `config my.yaml:5: baseline: expected true, false or a number of rounds from 6 to 768, got "6.5"`},
		{"list of rounds", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nbaseline: [6]\n", nil, `config my.yaml:5: baseline: expected true, false or a number of rounds from 6 to 768, got a list`},
		{"flag rounds", good, []string{"-baseline=5"}, `invalid boolean value "5" for -baseline: expected true, false or a number of rounds from 6 to 768, got "5"`},
		{"list for true", "model: m\nprompt: p\nnum_ctx: [4096]\nnum_batch: [512]\nfresh: [true]\n", nil, `config my.yaml:5: fresh: expected true, false or changed, got a list`},
		{"redo and fresh", good + "redo: true\nfresh: true\n", nil, `config my.yaml:5: redo: fresh moves all results aside, so nothing is left to measure again: use only one of the two`},
		{"flags redo and fresh", good, []string{"-redo", "-fresh"}, `-redo: fresh moves all results aside, so nothing is left to measure again: use only one of the two`},
		{"flag no number", good, []string{"-repeat", "x"}, `invalid value "x" for flag -repeat: expected a whole number like 8, got "x"`},
		{"flag out of range", good, []string{"-repeat", "0"}, `-repeat: 0 is below the minimum 1`},
		{"flag of a list", good, []string{"-ctx-start", "1"}, `-ctx-start: num_ctx is a list in the config: to use a range, give start, end and step together`},
		{"flag step zero", good, []string{"-batch-start", "1", "-batch-end", "9", "-batch-step", "0"}, `-batch-start -batch-end -batch-step: step 0 must be 1 or more: write {start: N, end: N, step: N} or a list [N, N, …]`},
		{"flag shard", good, []string{"-shard", "5/4"}, `invalid value "5/4" for flag -shard: 5/4: the first number must be between 1 and the second`},
		{"flag duration", good, []string{"-cell-timeout", "15"}, `invalid value "15" for flag -cell-timeout: expected a duration like 15m or 90s, got "15"`},
		{"flag negative duration", good, []string{"-budget", "-1s"}, `-budget: -1s is not positive: write a duration like 15m`},
		{"flag for true", good, []string{"-fresh=maybe"}, `invalid boolean value "maybe" for -fresh: expected true, false or changed, got "maybe"`},
		{"flag modelfile", good, []string{"-modelfile", "nowhere"}, `-modelfile: file nowhere does not exist: names in a config are relative to its folder, names in flags to the current folder`},
		{"flag prompt", good, []string{"-prompt", "nowhere"}, `-prompt: file nowhere does not exist: names in a config are relative to its folder, names in flags to the current folder`},
		{"flag engine", good, []string{"-engine", "x"}, `-engine: unknown value "x": write host or own or embedded`},
		{"flag model", good, []string{"-model", "a b"}, "-model: \"a b\" is not a model name: write it as `ollama list` shows it, like llama3.1:8b; to use a file, name it in the FROM line of a modelfile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readConfig(t, test.text, test.flags...)
			assert.EqualError(t, err, test.want)
		})
	}
	_, err := Read(filepath.Join(t.TempDir(), "none.yaml"), new(Overrides))
	assert.ErrorContains(t, err, "name one with -config FILE")
	for _, name := range []string{".yaml", "..yaml", "...yaml"} {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte("model: m\nprompt: {fill: 0.5}\nnum_ctx: [4096]\nnum_batch: [512]\n"), 0o644))
		_, err := Read(file, new(Overrides))
		assert.ErrorContains(t, err, "the file's name gives no name for the out folder: rename it, for example to my.yaml, or name the folder with -out")
	}
}

// TestConfigForms reads values for which YAML has several forms.
func TestConfigForms(t *testing.T) {
	c, err := readConfig(t, "model: &name 7b\nprompt: \"p\"\nnum_ctx: 4096\nnum_batch:\n  - 8\n  - 16\nhost: *name\nfresh: True\nbaseline: FALSE\nbudget: 1h30m\n")
	require.NoError(t, err)
	assert.Equal(t, "7b", c.Model)
	assert.Equal(t, "7b", c.Host)
	assert.Equal(t, []int{8, 16}, c.NumBatch.Values())
	assert.Equal(t, checkpoint.FreshAlways, c.Fresh)
	assert.Equal(t, BaselineOff, c.Baseline)
	assert.Equal(t, Budget{Time: 90 * time.Minute}, c.Budget)
}

// TestConfigErrorLines: an error names the exact line, whatever the lines around it.
func TestConfigErrorLines(t *testing.T) {
	const rest = "num_batch: 64\nprompt: {tokens: 40}\n"
	for _, test := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"wrong type in a range, after comments and blank lines", "# c\n\nmodel: m\nnum_ctx:\n  start: 512\n  # c\n\n  end: x\n  step: 8\n" + rest, 8, "num_ctx: end: expected a whole number"},
		{"wrong type in a list", "model: m\nnum_ctx:\n  - 512\n\n  # c\n  - x\n" + rest, 6, "num_ctx: value 2: expected"},
		{"wrong type in a list over lines", "model: m\nnum_ctx: [512,\n  1024,\n  x]\n" + rest, 4, "num_ctx: value 3: expected"},
		{"no value in a range", "model: m\nnum_ctx:\n  start: 512\n  end:\n  step: 8\n" + rest, 4, "num_ctx: end: has no value"},
		{"unknown key in a range", "model: m\nnum_ctx:\n  start: 512\n  end: 1024\n  stepp: 8\n" + rest, 5, `num_ctx: unknown key "stepp"`},
		{"key twice in a range", "model: m\nnum_ctx:\n  start: 512\n  end: 1024\n  step: 8\n  start: 8\n" + rest, 6, "num_ctx: start: already set in line 3"},
		{"end below start", "model: m\nnum_ctx:\n  start: 512\n  end: 256\n  step: 8\n" + rest, 4, "num_ctx: end 256 is below start 512"},
		{"start zero", "model: m\nnum_ctx:\n  end: 256\n  start: 0\n  step: 8\n" + rest, 4, "num_ctx: start 0"},
		{"step missing", "model: m\nnum_ctx:\n  start: 512\n  end: 1024\n" + rest, 2, "num_ctx: step 0 must be 1 or more"},
		{"zero in a list", "model: m\nnum_ctx:\n  - 512\n  - 0\n" + rest, 4, "num_ctx: 0 is below the minimum"},
		{"zero in an anchored list", "model: m\nnum_ctx: 4096\nprompt: {tokens: 40}\nnum_batch:\n  &b\n  - 64\n  - 0\n", 7, "num_batch: 0 is below the minimum"},
		{"fill", "model: m\nnum_ctx: 4096\nnum_batch: 64\nprompt:\n  # c\n  fill: 1.5\n", 6, "prompt: fill 1.5"},
		{"prompt too long", "model: m\nnum_ctx: 4096\nnum_batch: 64\nprompt:\n\n  tokens: 9000\n", 6, "prompt: 9000 tokens"},
		{"key twice", "model: m\nrepeat: 2\n# c\n\nrepeat: 3\n" + rest, 5, "repeat: already set in line 2"},
		{"indented key, of a mapping that begins in line 1", "model: m\nnum_ctx: 512\n repeat: 2\n" + rest, 3, "not YAML: "},
		{"indented key, of one that begins later", "# c\n\nmodel: m\nnum_ctx: 512\n repeat: 2\n" + rest, 5, "not YAML: "},
		{"indented key of a prompt", "model: m\nprompt:\n  tokens: 40\n    fill: 3\nnum_ctx: 512\n", 4, "not YAML: "},
		{"item to the left", "# c\nmodel: m\nnum_ctx:\n  - 512\n - 1024\n" + rest, 5, "not YAML: "},
		{"list that is not closed", "# c\nmodel: m\nnum_ctx: [512, 1024\n" + rest, 3, "not YAML: "},
		{"mapping that is not closed", "model: m\n\nprompt: {tokens: 40\nrepeat: 2\n", 3, "not YAML: "},
		{"quote that is not closed in line 1", "model: 'm\nnum_ctx: 512\n" + rest, 1, "not YAML: "},
		{"quote that another one closes", "model: m\nhost: \"a\nnum_ctx: 512\nollama: \"b\"\n" + rest, 2, "not YAML: "},
		{"escape", "model: m\nhost: \"a\\qd\"\n" + rest, 2, "not YAML: "},
		{"line without a colon", "model: m\nnum_ctx: 512\nfoo bar\nrepeat: 2\n" + rest, 3, "not YAML: "},
		{"two colons", "# c\nmodel: m: x\nnum_ctx: 512\n" + rest, 2, "not YAML: "},
		{"anchor that is not known", "model: m\n\nnum_ctx: *x\n" + rest, 3, "not YAML: unknown anchor"},
		{"tab", "model: m\nprompt:\n  tokens: 3\n\tfill: 2\n", 4, "a tab at the start of the line"},
		{"tab behind spaces", "model: m\nprompt:\n \ttokens: 3\n", 3, "a tab at the start of the line"},
		{"second document", "---\nmodel: m\n\n---\nmodel: n\n", 4, "more than one YAML document"},
		{"lines that end as on Windows", "model: m\r\n\r\nnum_ctx: [512\r\nrepeat: 2\r\n", 3, "not YAML: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "my.yaml")
			require.NoError(t, os.WriteFile(file, []byte(test.text), 0o644))
			_, err := Read(file, new(Overrides))
			require.Error(t, err)
			assert.Contains(t, err.Error(), fmt.Sprintf("config %s:%d: %s", file, test.line, test.want))
		})
	}
	// A large file that is no config is not parsed line by line, which would take hours.
	file := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("- a\n", 100_000)+"b: [\n"), 0o644))
	_, err := Read(file, new(Overrides))
	require.ErrorContains(t, err, "not YAML: ")
}

// FuzzReadConfig: an error has one line, and an accepted config has a plan.
func FuzzReadConfig(f *testing.F) {
	f.Add([]byte(wholeConfig))
	f.Add([]byte("model: m\nprompt: {fill: 0.5}\nnum_ctx: {start: 8192, end: 12288, step: 2048}\nnum_batch: 512\nbudget: 3h\nshard: 2/3\nfresh: true\n"))
	f.Add([]byte("a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(dir, "my.yaml")
		require.NoError(t, os.WriteFile(file, text, 0o644))
		c, err := Read(file, new(Overrides))
		if err != nil {
			if strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Fatalf("%q", err)
			}
			return
		}
		plan, _ := c.Plan()
		if len(plan) > cell.MaxCells || len(plan) == 0 && c.Shard == (cell.Shard{}) {
			t.Fatalf("%d cells", len(plan))
		}
		for _, cell := range plan {
			if cell.Ctx < 1 || cell.Batch < 1 || !cell.Valid() {
				t.Fatalf("%v", cell)
			}
		}
	})
}

// TestModelNames: names that servers accept are accepted.
func TestModelNames(t *testing.T) {
	for _, name := range []string{"llama3.1:8b", "nemotron_f", "hf.co/user/model-GGUF:Q4_K_M", "registry.example:5000/team/model:tag", "Qwen3-30B"} {
		_, err := readConfig(t, wholeConfig, "-model", name)
		assert.NoError(t, err)
	}
}

// TestShippedConfigs reads the example configs.
func TestShippedConfigs(t *testing.T) {
	for file, want := range map[string][2]int{
		"demo.yaml":              {4, 7},
		"benchmark_config.yaml":  {47, 17},
		"config_quick_test.yaml": {3, 4},
	} {
		c, err := Read(filepath.Join("..", "..", "testdata", file), new(Overrides))
		require.NoError(t, err, file)
		g := c.Grid()
		assert.Equal(t, want, [2]int{len(g.Ctx), len(g.Batch)}, file)
	}
}

func TestFreshIsRead(t *testing.T) {
	const config = "model: m\nprompt: {fill: 0.5}\nnum_ctx: [4096]\nnum_batch: [512]\n"
	for _, tt := range []struct {
		config string
		flags  []string
		want   checkpoint.Fresh
	}{
		{"", nil, checkpoint.FreshNever},
		{"", []string{"-fresh"}, checkpoint.FreshAlways},
		{"", []string{"-fresh=changed"}, checkpoint.FreshChanged},
		{"fresh: changed\n", nil, checkpoint.FreshChanged},
		{"fresh: true\n", nil, checkpoint.FreshAlways},
		{"fresh: false\n", nil, checkpoint.FreshNever},
		{"fresh: changed\n", []string{"-fresh=false"}, checkpoint.FreshNever},
		{"fresh: changed\n", []string{"-fresh"}, checkpoint.FreshAlways},
	} {
		c, err := readConfig(t, config+tt.config, tt.flags...)
		require.NoError(t, err)
		assert.Equal(t, tt.want, c.Fresh, "%q %v", tt.config, tt.flags)
	}
	for _, value := range []string{`"true"`, "1", "sometimes", "[changed]", "''"} {
		_, err := readConfig(t, config+"fresh: "+value+"\n")
		assert.ErrorContains(t, err, "config my.yaml:5: fresh: expected true, false or changed", value)
	}
}

func TestConfigAutomatic(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		flags        []string
		repeats      bool
		baseline     Baseline
	}{
		{"nothing is set", "", nil, true, BaselineAuto},
		{"one sample is requested", "repeat: 1\n", nil, false, BaselineAuto},
		{"one sample, by a flag", "", []string{"-repeat", "1"}, false, BaselineAuto},
		{"rounds", "order: round\n", nil, false, BaselineAuto},
		{"a shard", "shard: 1/2\n", nil, false, BaselineOff},
		{"a shard with a baseline", "shard: 1/2\nbaseline: true\n", nil, false, BaselineOn},
		{"a baseline", "baseline: true\n", nil, true, BaselineOn},
		{"none", "baseline: false\n", nil, true, BaselineOff},
		{"a flag against the config", "baseline: true\n", []string{"-baseline=false"}, true, BaselineOff},
		{"a flag without a value", "", []string{"-baseline"}, true, BaselineOn},
		{"rounds of a baseline", "baseline: 6\n", nil, true, BaselineOn},
		{"rounds that are doubled until they suffice", "baseline: 13\n", nil, true, 24},
		{"a flag with rounds", "baseline: true\n", []string{"-baseline=48"}, true, 48},
		{"most rounds", "", []string{"-baseline=768"}, true, BaselineMost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := readConfig(t, wholeConfig+tt.config, tt.flags...)
			require.NoError(t, err)
			assert.Equal(t, tt.repeats, c.RepeatUntilClear)
			assert.Equal(t, tt.baseline, c.Baseline)
		})
	}
	_, err := readConfig(t, wholeConfig+"baseline: auto\n")
	assert.EqualError(t, err, `config my.yaml:5: baseline: expected true, false or a number of rounds from 6 to 768, got "auto"`)
}
