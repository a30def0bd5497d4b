package endtoend

import (
	"bytes"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/bench"
	"github.com/ollama-sweep/ollama-sweep/internal/benchstat"
	"github.com/ollama-sweep/ollama-sweep/internal/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// smallGrid is a sweep of six cells with three samples each.
const smallGrid = `
prompt: {tokens: 400}
num_ctx: [512, 1024]
num_batch: {start: 64, end: 192, step: 64}
repeat: 3
confirm: 0
`

var smallPlan = []sweep.Cell{{Ctx: 512, Batch: 64}, {Ctx: 512, Batch: 128}, {Ctx: 512, Batch: 192}, {Ctx: 1024, Batch: 64}, {Ctx: 1024, Batch: 128}, {Ctx: 1024, Batch: 192}}

// TestEndToEndEmbedded runs a sweep with an engine of its own, kills it in the
// middle so that it can't clear up, and goes on.
func TestEndToEndEmbedded(t *testing.T) {
	needsEngine(t)
	config, out := writeConfig(t, "engine: embedded\n"+smallGrid), t.TempDir()
	args := []string{"-config", config, "-out", out}

	p := startRaced(t, args...)
	p.await(t, "# 3/6 ")
	p.signal(t, syscall.SIGKILL)
	requireEngineGone(t, out)
	before := load(t, out)
	require.GreaterOrEqual(t, len(before.Results), 3)

	printed, code := startRaced(t, args...).wait()
	require.Zero(t, code, printed)
	requireEngineGone(t, out)
	requireWholeSweep(t, out, before, printed)

	printed, code = startRaced(t, args...).wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# 6 cells: 6 stand in the checkpoint, 0 to measure")
	assert.NotContains(t, printed, "BenchmarkSweep")

	printed, code = startRaced(t, append(args, "-test.run=Sweep/ctx=1024/batch=128$", "-fresh", "-repeat", "1", "-test.v")...).wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "=== RUN   TestSweep/ctx=1024/batch=128\n")
	assert.NotContains(t, printed, "=== RUN   TestSweep/ctx=512", "one cell is asked for")
	assert.Len(t, load(t, out).Results, 1)
}

// TestEndToEndHost sweeps a server that is there already, the way a user's is,
// with both runners, and ends them in every way. Nothing of the user's may
// change, and nothing of ours may stay.
func TestEndToEndHost(t *testing.T) {
	needsEngine(t)
	home := t.TempDir()
	engine, err := ollamarun.StartEngine(t.Context(), filepath.Join(root, "scripts/engine"), home, testLog{t})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, engine.Stop()) })
	client := api.NewClient(engine.Server.URL, http.DefaultClient)
	for _, lookAlike := range []string{"ollama-sweep-tmp", "ollama-sweep-tmp-mine", "my-ollama-sweep-tmp-00000000-1-1"} {
		require.NoError(t, client.Copy(t.Context(), &api.CopyRequest{Source: ollamarun.TinyModel, Destination: lookAlike}))
	}
	users := models(t, client)

	template := filepath.Join(t.TempDir(), "template")
	require.NoError(t, os.WriteFile(template, []byte("FROM tiny\nSYSTEM be brief\nPARAMETER num_batch 8\nPARAMETER top_k 5\n"), 0o644))
	rates := make(map[string][]float64)
	outs := t.TempDir()
	var lines []string // of benchmarks, the files of both
	for _, runner := range []string{sweep.RunnerAPI, sweep.RunnerCLI} {
		t.Run(runner, func(t *testing.T) {
			out := filepath.Join(outs, runner)
			config := writeConfig(t, "model: tiny\nmodelfile: "+template+"\nrunner: "+runner+smallGrid)
			args := []string{"-config", config, "-out", out, "-host", engine.Server.URL.String(), "-ollama", engine.Ollama}
			logged := size(t, filepath.Join(home, ollamarun.EngineLog))

			p := startRaced(t, args...)
			p.await(t, "# 1/6 ")
			begun := time.Now()
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
			p.await(t, "# all is saved and cleared up")
			assert.Less(t, time.Since(begun), endsWithin, "a picture follows, which takes seconds under the race detector")
			printed, code := p.wait()
			assert.Equal(t, 1, code, printed)
			assert.Contains(t, printed, "# stopped: interrupted by a signal (interrupt)\n# to go on: the same command again")
			assert.Equal(t, users, models(t, client), "an interrupt clears up:\n%s", printed)
			requireNothingLoaded(t, client)

			p = startRaced(t, args...)
			p.await(t, "# 3/6 ")
			p.signal(t, syscall.SIGKILL)
			before := load(t, out)
			assert.Greater(t, len(models(t, client)), len(users), "a killed sweep can't clear up")

			printed, code = startRaced(t, args...).wait()
			require.Zero(t, code, printed)
			assert.Contains(t, printed, "# deleted ollama-sweep-tmp-")
			assert.Equal(t, users, models(t, client), "the next one does")
			requireNothingLoaded(t, client)
			requireWholeSweep(t, out, before, printed)
			requireColumnOrder(t, filepath.Join(home, ollamarun.EngineLog), logged)
			lines = append(lines, filepath.Join(out, report.BenchFile))
			for _, r := range load(t, out).Results {
				rates[runner] = append(rates[runner], r.SampleRates()...)
			}
		})
	}

	table := benchstat.Rates(t, ".", "-row", "/ctx@num,/batch@num", "-col", ".file", lines[0], lines[1])
	assert.Regexp(t, `\n512 64 +[\d.]+k? ± ∞ ¹ +[\d.]+k? ± ∞ ¹ `, table, "both sweeps stand side by side")
	assert.Regexp(t, `\n1024 192 `, table)
	table = benchstat.Rates(t, ".", "-row", "/ctx@num", "-col", "/batch@num", lines[0])
	assert.Regexp(t, `│ +64 +│ +128 +│ +192 +│`, table)
	assert.Regexp(t, `\n512 +[\d.]+k? ± ∞ ¹ +[\d.]+k? ± ∞ ¹ `, table)

	require.Len(t, rates[sweep.RunnerAPI], 18)
	require.Len(t, rates[sweep.RunnerCLI], 18)
	// Something else may have been at work on the machine during one of the two, so
	// that the first is measured once more, after the second.
	out := filepath.Join(outs, "again")
	config := writeConfig(t, "model: tiny\nmodelfile: "+template+"\nrunner: api"+smallGrid)
	printed, code := startRaced(t, "-config", config, "-out", out, "-host", engine.Server.URL.String()).wait()
	require.Zero(t, code, printed)
	for _, r := range load(t, out).Results {
		rates[sweep.RunnerAPI] = append(rates[sweep.RunnerAPI], r.SampleRates()...)
	}
	// Both are noisy, and the same: their medians lie no further apart than the
	// samples of one of them do.
	spread := func(v []float64) float64 { return slices.Max(v) - slices.Min(v) }
	viaAPI, viaCLI := verdict.Median(rates[sweep.RunnerAPI]), verdict.Median(rates[sweep.RunnerCLI])
	t.Logf("medians: api %.1f, cli %.1f tokens/s", viaAPI, viaCLI)
	assert.LessOrEqual(t, math.Abs(viaAPI-viaCLI), max(spread(rates[sweep.RunnerAPI]), spread(rates[sweep.RunnerCLI])))
}

// TestEndToEndFailure has cells that can't be done in their time: 59,000 tokens
// take the engine half a minute.
func TestEndToEndFailure(t *testing.T) {
	needsEngine(t)
	out := t.TempDir()
	config := writeConfig(t, "engine: embedded\nprompt: {fill: 0.9}\nnum_ctx: [512, 65536]\nnum_batch: [64]\ntest_row_first: true\ncell_timeout: 6s\n")
	printed, code := startSweep(t, "-config", config, "-out", out, "-test.v").wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "--- SKIP: TestSweep/ctx=65536/batch=64", "a failed cell is a skip")
	assert.Contains(t, printed, "# 2/2 ctx=65536/batch=64: Timeout or no output: not done within 6s (cell_timeout); best ")
	assert.Contains(t, printed, "# 2 cells planned: 1 measured and 1 failed in this run")
	cp := load(t, out)
	require.Len(t, cp.Results, 2)
	assert.InDelta(t, 0.9*512, cp.Results[0].Samples[0].PromptEvalCount, 20)
	table, err := os.ReadFile(filepath.Join(out, report.TableFile))
	require.NoError(t, err)
	assert.Contains(t, string(table), ",Timeout or no output\n")

	printed, code = startSweep(t, "-config", config, "-out", out, "-model", "nosuchmodel").wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, `model "nosuchmodel": asking for it: Model error: model 'nosuchmodel' not found; `+"`ollama list` shows what the server has")
	printed, code = startSweep(t, "-config", config, "-out", out, "-repeat", "2", "-runner", "cli").wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, `belongs to another sweep: runner is "api" there and "cli" here`)
	assert.Equal(t, cp, load(t, out), "a checkpoint that is refused is left as it is")
	requireEngineGone(t, out)
}

// TestBadInputIsRefusedFirst ends before a server is asked for anything.
func TestBadInputIsRefusedFirst(t *testing.T) {
	server := ollamatest.New(t)
	good := "model: m\nhost: " + server.URL.String() + smallGrid
	empty, binary := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "binary")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o644))
	require.NoError(t, os.WriteFile(binary, []byte("once \xff upon"), 0o644))
	for _, test := range []struct {
		name, config string
		flags        []string
		want         string
	}{
		{"config", good + "num_ctxx: 1\n", nil, `unknown key "num_ctxx"`},
		{"no config", "", []string{"-config", "nowhere.yaml"}, "reading config: open nowhere.yaml: no such file or directory (name one with -config FILE)"},
		{"host", good, []string{"-host", "ftp://x"}, `host "ftp://x": the scheme must be http or https`},
		{"template", good, []string{"-modelfile", "go.sum"}, "modelfile go.sum: "},
		{"template without FROM", good, []string{"-modelfile", empty}, "modelfile " + empty + ": no FROM line: a template needs a line like `FROM llama3.1:8b`"},
		{"empty prompt", good, []string{"-prompt", empty}, "prompt " + empty + " is empty: put a long text in it, or use {tokens: 8192}"},
		{"prompt is no text", good, []string{"-prompt", binary}, "prompt " + binary + " is not a text in UTF-8, and a server would be sent another: convert it, or use {tokens: 8192}"},
		{"flag", good, []string{"-shard", "9/4"}, `invalid value "9/4" for flag -shard: 9/4: the first number counts from 1 to the second`},
		{"unknown flag", good, []string{"-num-ctx", "9"}, "flag provided but not defined: -num-ctx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := t.TempDir()
			printed, code := startSweep(t, append([]string{"-config", writeConfig(t, test.config), "-out", out}, test.flags...)...).wait()
			assert.NotZero(t, code)
			assert.Contains(t, printed, test.want)
			assert.NoFileExists(t, filepath.Join(out, sweep.FileName))
			assert.Empty(t, server.Asked(), "nothing is asked of the server")
		})
	}
	printed, code := startSweep(t, "-config", writeConfig(t, "model: m\nhost: 127.0.0.1:1\nserver_wait: 1ms"+smallGrid), "-out", t.TempDir()).wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "the Ollama server at http://127.0.0.1:1 stayed away for 1ms (server_wait)")
}

func TestOneAtATimeInAFolder(t *testing.T) {
	out := t.TempDir()
	require.NoError(t, flock.New(filepath.Join(out, bench.LockFile)).Lock())
	printed, code := startSweep(t, "-config", writeConfig(t, "model: m\n"+smallGrid), "-out", out).wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "another sweep is at work in "+out+": wait for it, or use another folder with -out")
}

// TestOnlyByName: a plain `go test` does not start a sweep.
func TestOnlyByName(t *testing.T) {
	printed, code := startSweep(t, "-test.run=", "-test.v").wait()
	assert.Zero(t, code, printed)
	assert.Contains(t, printed, "start it with go test -run Sweep -timeout 0")
}

func needsEngine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the embedded engine")
	}
}

// testLog passes lines on to the test's log.
type testLog struct{ *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func load(t *testing.T, out string) *sweep.Checkpoint {
	t.Helper()
	cp, err := sweep.Load(filepath.Join(out, sweep.FileName))
	require.NoError(t, err)
	return cp
}

// models returns the server's models with their digests.
func models(t *testing.T, client *api.Client) map[string]string {
	t.Helper()
	list, err := client.List(t.Context())
	require.NoError(t, err)
	digests := make(map[string]string)
	for _, m := range list.Models {
		digests[m.Name] = m.Digest
	}
	return digests
}

func requireNothingLoaded(t *testing.T, client *api.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		ps, err := client.ListRunning(t.Context())
		return err == nil && len(ps.Models) == 0
	}, 5*time.Second, 50*time.Millisecond, "the model is unloaded when the sweep ends")
}

// requireEngineGone waits for the port that the engine's log names to be free.
func requireEngineGone(t *testing.T, out string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(out, ollamarun.EngineLog))
	require.NoError(t, err)
	all := regexp.MustCompile(`Listening on (127\.0\.0\.1:\d+)`).FindAllSubmatch(log, -1)
	require.NotEmpty(t, all)
	for _, m := range all {
		require.Eventually(t, func() bool {
			c, err := net.Dial("tcp", string(m[1]))
			if err == nil {
				c.Close()
			}
			return err != nil
		}, 10*time.Second, 20*time.Millisecond, "no engine is left")
	}
}

// requireWholeSweep checks a finished sweep against what stood in its
// checkpoint before it was gone on with.
func requireWholeSweep(t *testing.T, out string, before *sweep.Checkpoint, printed string) {
	t.Helper()
	cp := load(t, out)
	require.Len(t, cp.Results, len(smallPlan), "none is lost")
	for i, r := range cp.Results {
		assert.Equal(t, smallPlan[i], r.Cell(), "column order")
		assert.Len(t, r.Samples, 3)
		assert.Equal(t, r.NumCtx, r.ContextLength)
		assert.Positive(t, r.Size)
		assert.Positive(t, r.LoadDuration())
		least := r.LoadDuration()
		for _, s := range r.Samples {
			least = min(least, s.LoadDuration)
			assert.InDelta(t, 400, s.PromptEvalCount, 40)
			assert.Positive(t, s.EvalCount)
			assert.Positive(t, s.TotalDuration)
		}
		assert.Less(t, least, r.LoadDuration(), "the load is not part of the samples")
		assert.Greater(t, r.LoadDuration(), 100*time.Millisecond, "it is a real load, also where a killed sweep left the cell loaded")
	}
	for i, r := range before.Results {
		assert.Equal(t, r.Samples, cp.Results[i].Samples[:len(r.Samples)], "no sample is measured twice")
	}
	assert.Equal(t, before.Sweep.Started, cp.Sweep.Started)

	want, err := os.ReadFile(filepath.Join(out, report.BenchFile))
	require.NoError(t, err)
	var again bytes.Buffer
	require.NoError(t, report.WriteBench(&again, cp))
	assert.Equal(t, again.String(), string(want), "a report is a function of the checkpoint")
	for _, file := range []string{report.TableFile, report.HeatmapFile} {
		assert.FileExists(t, filepath.Join(out, file))
	}
	assert.Contains(t, printed, "# 6 cells planned: ")
	for line := range strings.Lines(printed) {
		if strings.HasPrefix(line, "Benchmark") {
			assert.Contains(t, string(want), line, "what is printed stands in the file")
		}
	}
}

// requireColumnOrder reads from the server's log, from an offset on, what was
// loaded: each cell of the plan once, but for the cell during which the sweep
// was ended, which is loaded again.
func requireColumnOrder(t *testing.T, log string, offset int64) {
	t.Helper()
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	var loads []sweep.Cell
	for _, m := range regexp.MustCompile(`--ctx-size (\d+) --batch-size (\d+)`).FindAllSubmatch(data[offset:], -1) {
		ctx, _ := strconv.Atoi(string(m[1]))
		batch, _ := strconv.Atoi(string(m[2]))
		loads = append(loads, sweep.Cell{Ctx: ctx, Batch: batch})
	}
	assert.LessOrEqual(t, len(loads), len(smallPlan)+2, "two ends, so two cells at most are loaded again")
	assert.Equal(t, smallPlan, slices.Compact(loads))
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return info.Size()
}
