package sweeptest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

const smallAxes = `
num_ctx: [512, 1024]
num_batch: {start: 64, end: 192, step: 64}
repeat: 3
confirm: 0
baseline: false
`

// SmallGrid is a part of a config: six cells with three samples each.
const SmallGrid = "\nprompt: {tokens: 400}" + smallAxes

// RealGrid is SmallGrid for a real engine, which takes a second to read 400 tokens.
const RealGrid = "\nprompt: {tokens: 200}" + smallAxes

// SmallPlan is the expected cells of SmallGrid, in the order in which they are measured.
var SmallPlan = []cell.Key{{Ctx: 512, Batch: 64}, {Ctx: 512, Batch: 128}, {Ctx: 512, Batch: 192}, {Ctx: 1024, Batch: 64}, {Ctx: 1024, Batch: 128}, {Ctx: 1024, Batch: 192}}

// SmallSweeps are sweeps of six cells with three samples each, over two and over three axes.
var SmallSweeps = []struct {
	Name, Config string
	Plan         []cell.Key // the expected cells, in the order in which they are measured
}{
	{"two axes", SmallGrid, SmallPlan},
	{"three axes", strings.Replace(SmallGrid, "[512, 1024]", "[512]\noptions: {num_gpu: [auto, 0]}", 1), []cell.Key{
		{Ctx: 512, Batch: 64, Settings: "num_gpu=auto"}, {Ctx: 512, Batch: 64, Settings: "num_gpu=0"},
		{Ctx: 512, Batch: 128, Settings: "num_gpu=auto"}, {Ctx: 512, Batch: 128, Settings: "num_gpu=0"},
		{Ctx: 512, Batch: 192, Settings: "num_gpu=auto"}, {Ctx: 512, Batch: 192, Settings: "num_gpu=0"},
	}},
}

// SearchedGrid is a part of a config: 20 × 16 cells, for a simulated server.
const SearchedGrid = "prompt: {tokens: 300}\nconfirm: 0\nbaseline: false\nnum_ctx: {start: 1024, end: 40960, step: 2048}\nnum_batch: {start: 64, end: 1024, step: 64}\n"

// ProbedGrid is SearchedGrid with prompts that are long enough for probes.
const ProbedGrid = "prompt: {tokens: 1024}\nconfirm: 0\nbaseline: false\nnum_ctx: {start: 2048, end: 40960, step: 2048}\nnum_batch: {start: 64, end: 1024, step: 64}\n"

// Simulated returns a simulated server and the flags of a sweep on it. The server reports a hundred
// times the real durations (see ollamatest.Server.Simulate): other tests keep the machine busy.
func Simulated(t *testing.T, out, config string) (*ollamatest.Server, []string) {
	t.Helper()
	return SimulatedBy(t, 100, out, config)
}

// SimulatedBy is Simulated with a server that reports clock times the real durations.
func SimulatedBy(t *testing.T, clock int, out, config string) (*ollamatest.Server, []string) {
	t.Helper()
	s := ollamatest.New(t)
	s.Simulate(clock)
	file := WriteConfig(t, "model: tiny\nhost: "+s.URL.String()+"\nserver_wait: 30s\n"+config)
	return s, []string{"-config", file, "-out", out}
}

// InProcess returns a sweep to run in this process, with its checkpoint in dir and prompts of
// this many tokens. The caller sets its Plan.
func InProcess(t testing.TB, dir string, runner sweep.Runner, tokens int) *sweep.Sweep {
	t.Helper()
	store, err := checkpoint.OpenStore(dir, checkpoint.Header{}, false, time.Now())
	require.NoError(t, err)
	lines, err := report.OpenBenchLog(dir, store.Checkpoint())
	require.NoError(t, err)
	t.Cleanup(func() { lines.Close() })
	prompter, err := sweep.NewPrompter(config.Prompt{Tokens: tokens}, 2)
	require.NoError(t, err)
	return &sweep.Sweep{
		Runner: runner, Store: store, Prompter: prompter, Repeat: 1, CellTimeout: time.Minute,
		OnSample: lines.Sample, Log: io.Discard, Now: time.Now,
	}
}

// Load reads the checkpoint in an out folder.
func Load(t *testing.T, out string) *checkpoint.Checkpoint {
	t.Helper()
	cp, err := checkpoint.Load(filepath.Join(out, checkpoint.FileName))
	require.NoError(t, err)
	return cp
}

// Size returns the size of a file in bytes.
func Size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.Size()
}

// BenchLines returns the complete benchmark lines of an output.
func BenchLines(printed string) []string {
	return regexp.MustCompile(`(?m)^BenchmarkSweep/.* vram-bytes$`).FindAllString(printed, -1)
}

// RequireReported requires that the checkpoint has the sample of each of these benchmark lines.
func RequireReported(t *testing.T, cp *checkpoint.Checkpoint, reported []string) {
	t.Helper()
	var all strings.Builder
	require.NoError(t, report.WriteBench(&all, cp))
	have := make(map[string]int)
	for _, line := range BenchLines(all.String()) {
		have[line]++
	}
	for _, line := range reported {
		have[line]--
		require.GreaterOrEqual(t, have[line], 0, "a reported sample is lost: %s", line)
	}
}

// PromptCounter counts the prompts for one cell that a server receives, the load included. Tests use it
// to inject a fault at a certain prompt. The prompts of all cells would not do: on a busy machine
// a sample may be refused and measured again.
type PromptCounter struct {
	Cell cell.Key
	N    int // so far
}

// Next reports whether the request is one of these prompts, and counts it.
func (p *PromptCounter) Next(r ollamatest.Request) bool {
	var asked struct {
		Prompt  string
		Options map[string]any
	}
	json.Unmarshal([]byte(r.Body), &asked) // other requests have no such fields
	if asked.Prompt == "" || !requests(asked.Options, cell.NumCtx, p.Cell) || !requests(asked.Options, cell.NumBatch, p.Cell) {
		return false
	}
	for option := range p.Cell.Settings.Options().All() {
		if !requests(asked.Options, option, p.Cell) {
			return false
		}
	}
	p.N++
	return true
}

// requests reports whether the options of a request have the cell's value of an axis.
func requests(options map[string]any, axis string, c cell.Key) bool {
	want, _ := c.Value(axis)
	asked, ok := options[axis]
	if !ok {
		return want == cell.Auto
	}
	return fmt.Sprint(asked) == want
}
