package endtoend

import (
	"bytes"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/benchstat"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// TestEndToEndEmbedded runs a sweep on the embedded engine, kills it in the middle so that it
// can't clean up, and resumes it.
func TestEndToEndEmbedded(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	config, out := sweeptest.WriteConfig(t, "engine: embedded\n"+sweeptest.RealGrid), t.TempDir()
	args := []string{"-config", config, "-out", out}

	p := sweeptest.StartWithRaceDetector(t, args...)
	p.Await(t, "# 3/6 ")
	p.Signal(t, syscall.SIGKILL)
	sweeptest.RequireEngineGone(t, out)
	before := sweeptest.Load(t, out)
	require.GreaterOrEqual(t, len(before.Results), 3)

	printed, code := sweeptest.StartWithRaceDetector(t, args...).Wait()
	require.Zero(t, code, printed)
	sweeptest.RequireEngineGone(t, out)
	requireWholeSweep(t, out, before, printed)

	printed, code = sweeptest.StartWithRaceDetector(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# 6 cells: 6 already measured, 0 to measure")
	assert.NotContains(t, printed, "BenchmarkSweep")

	printed, code = sweeptest.StartWithRaceDetector(t, append(args, "-test.run=Sweep/ctx=1024/batch=128$", "-fresh", "-repeat", "1", "-test.v")...).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "=== RUN   TestSweep/ctx=1024/batch=128\n")
	assert.NotContains(t, printed, "=== RUN   TestSweep/ctx=512", "one cell is selected")
	assert.Len(t, sweeptest.Load(t, out).Results, 1)
}

// TestEndToEndHost sweeps a server that already runs, as a user's does, with both runners, and
// stops them in every way. No model of the user may change, and no model of the sweep may stay.
func TestEndToEndHost(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	home := t.TempDir()
	engine := sweeptest.StartEngine(t, home)
	client := api.NewClient(engine.Server.URL, http.DefaultClient)
	for _, lookAlike := range []string{"ollama-sweep-tmp", "ollama-sweep-tmp-mine", "my-ollama-sweep-tmp-00000000-1-1"} {
		require.NoError(t, client.Copy(t.Context(), &api.CopyRequest{Source: ollamarun.TinyModel, Destination: lookAlike}))
	}
	users := sweeptest.Models(t, client)

	template := filepath.Join(t.TempDir(), "template")
	require.NoError(t, os.WriteFile(template, []byte("FROM tiny\nSYSTEM be brief\nPARAMETER num_batch 8\nPARAMETER top_k 5\n"), 0o644))
	rates := make(map[string][]float64)
	outs := t.TempDir()
	var benchFiles []string // of both runners
	for _, runner := range []string{config.RunnerAPI, config.RunnerCLI} {
		t.Run(runner, func(t *testing.T) {
			out := filepath.Join(outs, runner)
			config := sweeptest.WriteConfig(t, "model: tiny\nmodelfile: "+template+"\nrunner: "+runner+sweeptest.RealGrid)
			args := []string{"-config", config, "-out", out, "-host", engine.Server.URL.String(), "-ollama", engine.Ollama}
			logged := sweeptest.Size(t, filepath.Join(home, ollamarun.EngineLog))

			p := sweeptest.StartWithRaceDetector(t, args...)
			p.Await(t, "# 1/6 ")
			require.NoError(t, p.Command.Process.Signal(syscall.SIGINT))
			p.Await(t, "# everything is saved and cleaned up")
			printed, code := p.Wait()
			assert.Equal(t, 1, code, printed)
			assert.Contains(t, printed, "# stopped: interrupted by a signal (interrupt)\n# to resume: run the same command again")
			assert.Equal(t, users, sweeptest.Models(t, client), "an interrupted sweep deletes its models:\n%s", printed)
			sweeptest.RequireNothingLoaded(t, client)

			p = sweeptest.StartWithRaceDetector(t, args...)
			p.Await(t, "# 3/6 ")
			p.Signal(t, syscall.SIGKILL)
			before := sweeptest.Load(t, out)
			assert.Greater(t, len(sweeptest.Models(t, client)), len(users), "a killed sweep can't delete its models")

			printed, code = sweeptest.StartWithRaceDetector(t, args...).Wait()
			require.Zero(t, code, printed)
			assert.Contains(t, printed, "# deleted ollama-sweep-tmp-")
			assert.Equal(t, users, sweeptest.Models(t, client), "the next run deletes them")
			sweeptest.RequireNothingLoaded(t, client)
			requireWholeSweep(t, out, before, printed)
			requireColumnOrder(t, filepath.Join(home, ollamarun.EngineLog), logged)
			benchFiles = append(benchFiles, filepath.Join(out, report.BenchFile))
			for _, r := range sweeptest.Load(t, out).Results {
				rates[runner] = append(rates[runner], r.SampleRates()...)
			}
		})
	}

	table := benchstat.Rates(t, ".", "-row", "/ctx@num,/batch@num", "-col", ".file", benchFiles[0], benchFiles[1])
	assert.Regexp(t, `\n512 64 +[\d.]+k? ± ∞ ¹ +[\d.]+k? ± ∞ ¹ `, table, "both sweeps are side by side")
	assert.Regexp(t, `\n1024 192 `, table)
	table = benchstat.Rates(t, ".", "-row", "/ctx@num", "-col", "/batch@num", benchFiles[0])
	assert.Regexp(t, `│ +64 +│ +128 +│ +192 +│`, table)
	assert.Regexp(t, `\n512 +[\d.]+k? ± ∞ ¹ +[\d.]+k? ± ∞ ¹ `, table)

	require.Len(t, rates[config.RunnerAPI], 18)
	require.Len(t, rates[config.RunnerCLI], 18)
	// Another program may have used the machine during one of the two, so the first is measured
	// again after the second.
	out := filepath.Join(outs, "again")
	cfg := sweeptest.WriteConfig(t, "model: tiny\nmodelfile: "+template+"\nrunner: api"+sweeptest.RealGrid)
	printed, code := sweeptest.StartWithRaceDetector(t, "-config", cfg, "-out", out, "-host", engine.Server.URL.String()).Wait()
	require.Zero(t, code, printed)
	for _, r := range sweeptest.Load(t, out).Results {
		rates[config.RunnerAPI] = append(rates[config.RunnerAPI], r.SampleRates()...)
	}
	// Both are noisy, but measure the same: their medians differ by no more than the samples of
	// one of them.
	spread := func(v []float64) float64 { return slices.Max(v) - slices.Min(v) }
	viaAPI, viaCLI := verdict.Median(rates[config.RunnerAPI]), verdict.Median(rates[config.RunnerCLI])
	t.Logf("medians: api %.1f, cli %.1f tokens/s", viaAPI, viaCLI)
	assert.LessOrEqual(t, math.Abs(viaAPI-viaCLI), max(spread(rates[config.RunnerAPI]), spread(rates[config.RunnerCLI])))
}

// TestEndToEndFailure has a cell that exceeds cell_timeout: 59,000 tokens take the engine half
// a minute.
func TestEndToEndFailure(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	config := sweeptest.WriteConfig(t, "engine: embedded\nprompt: {fill: 0.9}\nnum_ctx: [512, 65536]\nnum_batch: [64]\ntest_row_first: true\ncell_timeout: 2s\n")
	printed, code := sweeptest.Start(t, "-config", config, "-out", out, "-test.v").Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "--- SKIP: TestSweep/ctx=65536/batch=64", "a failed cell is a skipped subtest")
	assert.Contains(t, printed, "# 2/2 ctx=65536/batch=64: Timeout or no output: not done within 2s (cell_timeout); best ")
	assert.Contains(t, printed, "# This run: 1 cells measured and 1 failed in ")
	cp := sweeptest.Load(t, out)
	require.Len(t, cp.Results, 2)
	assert.InDelta(t, 0.9*512, cp.Results[0].Samples[0].PromptEvalCount, 20)
	table, err := os.ReadFile(filepath.Join(out, report.TableFile))
	require.NoError(t, err)
	assert.Contains(t, string(table), ",Timeout or no output\n")

	printed, code = sweeptest.Start(t, "-config", config, "-out", out, "-model", "nosuchmodel").Wait()
	assert.Equal(t, 1, code)
	assert.Regexp(t, `model "nosuchmodel": requesting its description: Model error: model 'nosuchmodel(:latest)?' not found; `+"`ollama list` shows what the server has", printed)
	printed, code = sweeptest.Start(t, "-config", config, "-out", out, "-repeat", "2", "-runner", "cli").Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, `belongs to another sweep: runner is "api" there and "cli" here`)
	assert.Equal(t, cp, sweeptest.Load(t, out), "a checkpoint that is refused is left as it is")
	sweeptest.RequireEngineGone(t, out)
}

// TestBadInputIsRefusedFirst expects bad input to end the sweep before the first request to a
// server.
func TestBadInputIsRefusedFirst(t *testing.T) {
	t.Parallel()
	server := ollamatest.New(t)
	const listed = "`go test -run Sweep -args -h` lists the flags\n"
	good := "model: m\nhost: " + server.URL.String() + sweeptest.SmallGrid
	empty, binary := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "binary")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o644))
	require.NoError(t, os.WriteFile(binary, []byte("once \xff upon"), 0o644))
	template := filepath.Join(t.TempDir(), "template")
	require.NoError(t, os.WriteFile(template, []byte("FROM ./none.gguf\n"), 0o644))
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
		{"template's file missing", good, []string{"-modelfile", template}, "modelfile " + template + ": FROM: there is no file "},
		{"empty prompt", good, []string{"-prompt", empty}, "prompt " + empty + " is empty: put a long text in it, or use {tokens: 8192}"},
		{"prompt not text", good, []string{"-prompt", binary}, "prompt " + binary + " is not text in UTF-8, so the server would read something else: convert it, or use {tokens: 8192}"},
		{"flag", good, []string{"-shard", "9/4"}, "invalid value \"9/4\" for flag -shard: 9/4: the first number must be between 1 and the second\n" + listed},
		{"redo without cells", good, []string{"-redo"}, "redo: name the cells to measure again, like -run 'Sweep/ctx=512/batch=64$'; to measure all again, use -fresh, which keeps the old checkpoint under another name"},
		{"redo with -skip only", good, []string{"-redo", "-test.run=Sweep", "-test.skip=Sweep/ctx=512"}, "redo: name the cells to measure again"},
		{"unknown flag", good, []string{"-num-ctx", "9"}, "flag provided but not defined: -num-ctx\n" + listed},
		{"boolean value without =", good, []string{"-fresh", "false", "-repeat", "2"}, `unexpected argument "false": flags after it are ignored; write boolean flags like -fresh=false` + "\n" + listed},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := t.TempDir()
			printed, code := sweeptest.Start(t, append([]string{"-config", sweeptest.WriteConfig(t, test.config), "-out", out}, test.flags...)...).Wait()
			assert.NotZero(t, code)
			assert.Contains(t, printed, test.want)
			assert.NotContains(t, printed, "-ctx-start", "only the message, not the list of flags")
			assert.NoFileExists(t, filepath.Join(out, checkpoint.FileName))
			assert.Empty(t, server.Requests(), "requests to the server")
		})
	}
	printed, code := sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "model: m\nhost: 127.0.0.1:1\nserver_wait: 1ms"+sweeptest.SmallGrid), "-out", t.TempDir()).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "the Ollama server at http://127.0.0.1:1 stayed away for 1ms (server_wait)")
}

func TestFlagsAreListed(t *testing.T) {
	t.Parallel()
	printed, code := sweeptest.Start(t, "-h").Wait()
	assert.Zero(t, code)
	assert.Contains(t, printed, "  -ctx-start num_ctx\n")
	assert.NotContains(t, printed, "-test.", "go test lists its own flags")
}

func TestLockedOutFolder(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	lock := flock.New(filepath.Join(out, checkpoint.LockFile))
	require.NoError(t, lock.Lock())
	defer lock.Unlock() // a lock that nothing refers to ends with a garbage collection
	printed, code := sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "model: m\n"+sweeptest.SmallGrid), "-out", out).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "another sweep is using "+out+": wait for it, or use another folder with -out")
}

// TestPlainGoTest: without -run Sweep, `go test` does not start a sweep.
func TestPlainGoTest(t *testing.T) {
	t.Parallel()
	printed, code := sweeptest.Start(t, "-test.run=", "-test.v").Wait()
	assert.Zero(t, code, printed)
	assert.Contains(t, printed, "start it with go test -run Sweep -timeout 0")
}

// TestRunMatchesNoCell: a -run pattern that matches no cell fails with a message that names
// the cells, and writes no reports.
func TestRunMatchesNoCell(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	_, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	const names = "no cell matches: num_ctx is one of 512, 1024, and num_batch one of 64, 128, 192; the first cell is Sweep/ctx=512/batch=64\n"
	printed, code := sweeptest.Start(t, append(args, "-test.run=Sweep/ctx=1024/batch=63$")...).Wait()
	assert.Equal(t, 1, code, printed)
	assert.Contains(t, printed, `-run "Sweep/ctx=1024/batch=63$": `+names)
	assert.NotContains(t, printed, "files in ")
	assert.NoFileExists(t, filepath.Join(out, report.TableFile))
	assert.NoFileExists(t, filepath.Join(out, checkpoint.FileName))

	printed, code = sweeptest.Start(t, append(args, "-test.run=Sweep", "-test.skip=Sweep/ctx=(512|1024)")...).Wait()
	assert.Equal(t, 1, code, printed)
	assert.Contains(t, printed, `-run "Sweep" -skip "Sweep/ctx=(512|1024)": `+names)

	for range 2 { // the second run finds the cell in the checkpoint
		printed, code = sweeptest.Start(t, append(args, "-test.run=Sweep/ctx=1024/batch=64$")...).Wait()
		assert.Zero(t, code, printed)
		assert.Contains(t, printed, "# to resume: run the same command with -run Sweep, and without -skip and -fresh; it measures the missing cells\n")
	}
	assert.Len(t, sweeptest.Load(t, out).Results, 1)
}

// TestRedo measures two cells of a finished sweep again. All files are then as if only the new
// samples had been measured.
func TestRedo(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	_, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	before := sweeptest.Load(t, out)

	printed, code = sweeptest.Start(t, append(args, "-redo", "-test.run=Sweep/ctx=1024/batch=(64|192)$", "-test.v")...).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "--- PASS: TestSweep/ctx=1024/batch=192 (")
	assert.NotContains(t, printed, "=== RUN   TestSweep/ctx=512")
	assert.Contains(t, printed, "# This run: 2 cells measured and 0 failed in ")
	assert.Contains(t, printed, "# to measure again: some cells with -redo and -run")
	cp := sweeptest.Load(t, out)
	for i, r := range cp.Results {
		if redone := r.NumCtx == 1024 && r.NumBatch != 128; !redone {
			assert.Equal(t, before.Results[i], r)
			continue
		}
		assert.Len(t, r.Samples, 3)
		assert.NotEqual(t, before.Results[i].Samples, r.Samples)
	}
	lines := sweeptest.BenchLines(printed)
	assert.Len(t, lines, 6)
	sweeptest.RequireReported(t, cp, lines)
	var bench bytes.Buffer
	require.NoError(t, report.WriteBench(&bench, cp))
	file, err := os.ReadFile(filepath.Join(out, report.BenchFile))
	require.NoError(t, err)
	assert.Equal(t, bench.String(), string(file))

	kept := regexp.MustCompile(`# the checkpoint with the old samples is kept as (.*)\n`).FindStringSubmatch(printed)
	require.Len(t, kept, 2, printed)
	old, err := checkpoint.Load(kept[1])
	require.NoError(t, err)
	assert.Equal(t, before, old)
}

// requireWholeSweep checks a finished sweep against the checkpoint that it had before it was
// resumed.
func requireWholeSweep(t *testing.T, out string, before *checkpoint.Checkpoint, printed string) {
	t.Helper()
	cp := sweeptest.Load(t, out)
	require.Len(t, cp.Results, len(sweeptest.SmallPlan), "no cell is lost")
	for i, r := range cp.Results {
		assert.Equal(t, sweeptest.SmallPlan[i], r.Cell(), "column order")
		assert.Len(t, r.Samples, 3, r.Detail)
		assert.Equal(t, sweeptest.ShownCtx(t, r.NumCtx), r.ContextLength)
		assert.Positive(t, r.Size)
		assert.Positive(t, r.LoadDuration())
		least := r.LoadDuration()
		for _, s := range r.Samples {
			least = min(least, s.LoadDuration)
			assert.InDelta(t, 200, s.PromptEvalCount, 40)
			assert.Positive(t, s.EvalCount)
			assert.Positive(t, s.TotalDuration)
		}
		assert.Less(t, least, r.LoadDuration(), "the load is not part of the samples")
		assert.Greater(t, r.LoadDuration(), 100*time.Millisecond, "the model was really loaded, also where a killed sweep had left the cell loaded")
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
	assert.Contains(t, printed, "# This run: ")
	for line := range strings.Lines(printed) {
		if strings.HasPrefix(line, "Benchmark") {
			assert.Contains(t, string(want), line, "printed lines are in the file")
		}
	}
}

// requireColumnOrder reads the loads from the server's log, from an offset on: each cell of the
// plan once, in column order. Only the cells in which the sweep was stopped are loaded again.
func requireColumnOrder(t *testing.T, log string, offset int64) {
	t.Helper()
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	var loads []cell.Key
	for _, load := range bytes.Split(data[offset:], []byte(`msg="starting `))[1:] {
		if s, ok := parse.ServerLog(append([]byte(`msg="starting `), load...)); ok {
			loads = append(loads, cell.Key{Ctx: s.NumCtx, Batch: s.NumBatch})
		}
	}
	assert.LessOrEqual(t, len(loads), len(sweeptest.SmallPlan)+2, "stopped twice, so at most two cells are loaded again")
	assert.Equal(t, sweeptest.SmallPlan, slices.Compact(loads))
}
