package endtoend

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// TestTrapPromptCache sends a real server the same prompt twice, which no sweep does, and
// expects the checks to find the second answer cached.
func TestTrapPromptCache(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	engine := sweeptest.StartEngine(t, t.TempDir())
	runner, err := ollamarun.NewAPI(t.Context(), &engine.Server, ollamarun.TinyModel, nil, 2)
	require.NoError(t, err)
	loaded, err := runner.Load(t.Context(), 2048, 128, ollamatest.Constant("the old mill by the river had stood empty"))
	require.NoError(t, err)
	warm, _ := loaded.Warmup.PromptEvalRate()
	version, err := engine.Server.Version(t.Context())
	require.NoError(t, err)
	var accepted []check.AcceptedRate
	evidence := func(sample measurement.Sample) check.Evidence {
		return check.Evidence{
			Version: version, NumCtx: 2048, NumBatch: 128, PromptTokens: sample.PromptEvalCount, Loaded: loaded, Sample: sample,
			Ceiling: check.Ceiling(128, accepted, check.AcceptedRate{Rate: warm, Batch: min(128, loaded.Warmup.PromptEvalCount)}),
		}
	}
	prompt := strings.Repeat("many years later ", 75)
	first, err := runner.Sample(t.Context(), ollamatest.Constant(prompt))
	require.NoError(t, err)
	e := evidence(first)
	assert.Empty(t, check.Sample(&e))
	rate, _ := first.PromptEvalRate()
	accepted = append(accepted, check.AcceptedRate{Rate: rate, Batch: 128})
	second, err := runner.Sample(t.Context(), ollamatest.Constant(prompt))
	require.NoError(t, err)
	assert.Equal(t, first.PromptEvalCount, second.PromptEvalCount, "cached tokens are counted too")
	e = evidence(second)
	found := check.Sample(&e)
	require.Len(t, found, 1)
	assert.Equal(t, "prompt cache", found[0].Check, "whichever of its signs is found first")
}

// TestTrapTruncation has a prompt file that does not fit the smallest num_ctx: once before the
// sweep knows its size in tokens, and once after a sweep of larger num_ctx has measured it.
func TestTrapTruncation(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	prompt := filepath.Join(t.TempDir(), "p")
	require.NoError(t, os.WriteFile(prompt, []byte(strings.Repeat("once upon a time ", 45)), 0o644))
	config := sweeptest.WriteConfig(t, "engine: embedded\nprompt: "+prompt+"\nnum_ctx: [1024, 2048]\nnum_batch: [64, 128]\nrepeat: 1\nbaseline: false\n")
	printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
	assert.Equal(t, 1, code)
	// 45 times 13 letters and 4 spaces, of which the last is trimmed; a nonce of 16 digits and
	// spaces; and two tokens of the model's own: 45·25 - 3 + 64 + …
	assert.Regexp(t, `prompt .*/p has 11[89]\d tokens, which with num_predict 2 do not fit the smallest num_ctx 1024`, printed)
	assert.NoFileExists(t, filepath.Join(out, checkpoint.FileName))
	assert.NotContains(t, printed, "Benchmark")

	printed, code = sweeptest.Start(t, "-config", config, "-out", out, "-ctx-start", "2048", "-ctx-end", "4096", "-ctx-step", "2048").Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	require.Len(t, cp.Results, 4)
	count := cp.Results[0].Samples[0].PromptEvalCount
	assert.InDelta(t, cp.Sweep.Sizing.FileTokens, count, 4, "the count measured in parts is right")
	for _, r := range cp.Results {
		assert.Equal(t, count, r.Samples[0].PromptEvalCount, "and the same in every cell")
	}
	printed, code = sweeptest.Start(t, "-config", config, "-out", out).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "do not fit the smallest num_ctx 1024", "the size is known without a load")
	assert.Len(t, sweeptest.Load(t, out).Results, 4)
}

// TestTrapSettings requests more than the model and some versions support: they lower num_ctx
// and num_batch, which /api/ps does not report in every version.
func TestTrapSettings(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	config := sweeptest.WriteConfig(t, "engine: embedded\nprompt: {tokens: 600}\nnum_ctx: [2048, 131080]\nnum_batch: [64, 512, 1024, 2048]\nrepeat: 1\nbaseline: false\n")
	printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	require.Len(t, cp.Results, 8)
	most := 2048 // tokens per pass
	if sweeptest.Before(t, "0.13.3") {
		most = 512
	}
	for _, r := range cp.Results {
		if r.NumCtx == 131080 {
			require.NotNil(t, r.Error, r.Cell())
			assert.Equal(t, measurement.ContextClamped, *r.Error)
			assert.Regexp(t, "requested num_ctx=131080, .* 131072", r.Detail)
			continue
		}
		assert.Nil(t, r.Error, r.Detail)
		assert.Equal(t, checkpoint.SettingsVerified, r.Settings)
		assert.Equal(t, min(most, r.NumBatch), r.Effective.NumBatch)
		assert.Equal(t, r.NumBatch > most, strings.Contains(strings.Join(r.Warnings, "|"), "effective is 512 (the server's log)"), r.Warnings)
	}
	assert.Contains(t, printed, "# warning: num_ctx=2048, 131080 with num_batch=1024, 2048: effective num_batch: num_batch is above the prompt's")
	assert.NotContains(t, printed, "spill", "there is no GPU to spill from")
	table, err := os.ReadFile(filepath.Join(out, report.TableFile))
	require.NoError(t, err)
	assert.Contains(t, string(table), "Context clamped")
}

// TestTrapOptions has options that change nothing: a num_gpu without a GPU, and a num_thread that the model
// has too. The server takes several of the cells for the same load, and each is loaded all the same.
func TestTrapOptions(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	config := sweeptest.WriteConfig(t, "engine: embedded\nprompt: {tokens: 400}\nnum_ctx: [1024]\nnum_batch: [64]\noptions: {num_gpu: [auto, 99], num_thread: [auto, 1]}\nrepeat: 1\nbaseline: false\nretake: false\n")
	printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	require.Len(t, cp.Results, 4)
	for _, r := range cp.Results {
		assert.Equal(t, checkpoint.SettingsVerified, r.Settings, r.Cell())
		assert.Equal(t, 1, r.Effective.NumThread, r.Cell())
		require.NotNil(t, r.Effective.NumGPU, r.Cell())
		value, _ := r.Cell().Settings.Value("num_gpu")
		ignored := value == "99" && r.SizeVRAM == 0
		assert.Equal(t, ignored, slices.ContainsFunc(r.Warnings, func(w string) bool {
			return strings.HasPrefix(w, "effective settings: requested num_gpu=99, effective is num_gpu=0 (the server's log), since the server has put the model on no GPU")
		}), "%v: %v", r.Cell(), r.Warnings)
	}
	log, err := os.ReadFile(filepath.Join(out, ollamarun.EngineLog))
	require.NoError(t, err)
	assert.Len(t, regexp.MustCompile(`msg="starting (?:llama[ -]server|runner)" cmd="[^"]* --model `).FindAll(log, -1), 4, "loads")
}

// TestAuxiliaryMeasurements has confirmations, the baseline and the reference cell, in a sweep
// in rounds that is interrupted between them.
func TestAuxiliaryMeasurements(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	config := sweeptest.WriteConfig(t, "engine: embedded\nprompt: {tokens: 200}\nnum_ctx: [1024, 2048]\nnum_batch: [8, 64, 512]\nrepeat: 2\norder: round\nreference_every: 4\nconfirm: 2\nbaseline: true\n")
	args := []string{"-config", config, "-out", out}
	p := sweeptest.Start(t, args...)
	p.Await(t, "# confirm, round 2")
	p.Signal(t, os.Interrupt)
	before := sweeptest.Load(t, out)
	printed, code := sweeptest.Start(t, append(args, "-test.v")...).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "=== RUN   TestSweep/ctx=1024/batch=8/round=2")
	cp := sweeptest.Load(t, out)
	assert.Equal(t, before.Results, cp.Results)
	assert.Equal(t, before.Auxiliary, cp.Auxiliary[:len(before.Auxiliary)], "nothing is measured twice")
	count := make(map[checkpoint.Purpose]int)
	for _, r := range cp.Auxiliary {
		count[r.Purpose]++
		assert.Greater(t, r.LoadDuration(), 100*time.Millisecond, "%s %v has a load of its own", r.Purpose, r.Cell())
	}
	assert.Equal(t, 3, count[checkpoint.Reference], "after four of twelve measurements each")
	assert.GreaterOrEqual(t, count[checkpoint.Confirm], 2*5)
	turns := make(map[cell.Key]int)
	for _, r := range cp.Auxiliary {
		if r.Purpose == checkpoint.Baseline {
			turns[r.Cell()]++
		}
	}
	var chosen, own int
	for cell, rounds := range turns {
		assert.Equal(t, sweep.MostRounds, rounds, cell)
		if cell.Batch == 0 {
			own++
		} else {
			chosen++
		}
	}
	// The baseline's rounds can make another cell the recommended one, at the same num_ctx or another.
	assert.Contains(t, []int{1, 2}, chosen)
	assert.Contains(t, []int{1, chosen}, own)
	for _, text := range []string{
		"# Advice: ", "# Best: num_ctx=", "a sample scatters by",
	} {
		assert.Contains(t, strings.Join(strings.Fields(strings.ReplaceAll(printed, "\n# ", " ")), " "), strings.Join(strings.Fields(strings.TrimPrefix(text, "# ")), " "))
	}
	f, err := os.Open(filepath.Join(out, report.StatsFile))
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 7)
	assert.Equal(t, "num_ctx,num_batch,n,median,low,high,spread,warnings", strings.Join(rows[0][:8], ","))
	assert.Equal(t, "2", rows[1][2])
}

// TestThermal has a GPU that is hot, and throttled, and busy before the sweep. The GPU is a script
// that prints what the documentation of nvidia-smi says; the server is real, and runs on the CPU.
func TestThermal(t *testing.T) {
	sweeptest.NeedsEngine(t)
	engine := sweeptest.StartEngine(t, t.TempDir())
	bin := t.TempDir()
	script.Write(t, filepath.Join(bin, "nvidia-smi"), `case "$1" in *name*) echo "NVIDIA H100 80GB HBM3, 550.54.14"; exit;; esac
while :; do echo "0, 93, 1095, 699.80, 70000, 87, 0x0000000000000040"; sleep 0.05; done
`)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out := t.TempDir()
	config := sweeptest.WriteConfig(t, "model: tiny\nprompt: {tokens: 200}\nnum_ctx: [1024]\nnum_batch: [64, 128]\nrepeat: 1\nbaseline: false\n")
	args := []string{"-config", config, "-out", out, "-host", engine.Server.URL.String()}

	printed, code := sweeptest.Start(t, append(args, "-exclusive")...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "GPU 0 is busy before the sweep starts (87 %, 70000 MiB in use): rates will be too low; stop what uses it, or leave -exclusive out")
	assert.NotContains(t, printed, "Benchmark")

	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# warning: other models: GPU 0 is busy before the sweep starts")
	assert.Contains(t, printed, "gpu: NVIDIA H100 80GB HBM3\ndriver: 550.54.14\n")
	cp := sweeptest.Load(t, out)
	require.Len(t, cp.Results, 2)
	assert.Len(t, cp.Sweep.Warnings, 1)
	for _, r := range cp.Results {
		require.Len(t, r.Samples[0].GPU, 1)
		gpu := r.Samples[0].GPU[0]
		gpu.Others = 0 // or 87, where the load was long enough to measure it
		assert.Equal(t, measurement.GPU{TemperatureC: 93, SMClockMHz: 1095, PowerW: 699.8, MemoryMiB: 70000, Utilization: 87, Throttle: []string{"HW thermal slowdown"}}, gpu)
		require.Len(t, r.Warnings, 2)
		assert.Contains(t, r.Warnings[0], "spill: 0.0 of 0.0 GB of the model are in GPU memory", "the engine seems to be on the CPU of a machine with a GPU")
		assert.Contains(t, r.Warnings[1], "thermal and power: GPU 0 was throttled (HW thermal slowdown) at 93 °C, 700 W, SM clock down to 1095 MHz")
		assert.Equal(t, checkpoint.SettingsRequested, r.Settings, "without -server-log")
	}
	assert.Contains(t, printed, "# Warning: thermal and power: GPU 0 was throttled")
	table, err := os.ReadFile(filepath.Join(out, report.TableFile))
	require.NoError(t, err)
	assert.Contains(t, string(table), " spill\n")
}

// TestServerLog reads the log of a server that the sweep did not start.
func TestServerLog(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	home := t.TempDir()
	engine := sweeptest.StartEngine(t, home)
	out := t.TempDir()
	config := sweeptest.WriteConfig(t, "model: tiny\nprompt: {tokens: 200}\nnum_ctx: [1024]\nnum_batch: [64, 128]\nrepeat: 1\nbaseline: false\n")
	printed, code := sweeptest.Start(t, "-config", config, "-out", out, "-host", engine.Server.URL.String(), "-server-log", filepath.Join(home, ollamarun.EngineLog)).Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	assert.Equal(t, []string{parse.CPU}, cp.Sweep.Devices)
	for _, r := range cp.Results {
		assert.Equal(t, checkpoint.SettingsVerified, r.Settings)
		assert.Equal(t, measurement.Effective{NumCtx: r.NumCtx, NumBatch: r.NumBatch, Parallel: 1}, r.Effective)
		require.NotNil(t, r.Memory)
		require.Len(t, r.Memory.Devices, 1)
		assert.Equal(t, measurement.DeviceMemory{Name: measurement.Host, ModelMiB: 1.88, ContextMiB: 1, ComputeMiB: r.Memory.Devices[0].ComputeMiB}, r.Memory.Devices[0])
		assert.Positive(t, r.Memory.Devices[0].ComputeMiB)
	}
}
