package survives

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// serverAxes is a part of a config: eight cells, for a real engine, four of them on each of two processes.
const serverAxes = "engine: embedded\nprompt: {tokens: 100}\nnum_ctx: [512, 1024]\nnum_batch: [64]\noptions: {num_gpu: [auto, 0]}\nserver: {env: {GGML_X: [1, 2]}}\nrepeat: 1\nconfirm: 0\nbaseline: false\n"

// axesConfig writes a config of serverAxes whose server is a script. The script may use $command, the ollama
// command, and is called with its arguments.
func axesConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ollama")
	script.Write(t, file, "command="+sweeptest.Ollama(t)+"\n"+text+"\nexec $command \"$@\"\n")
	config := filepath.Join(t.TempDir(), "my.yaml")
	require.NoError(t, os.WriteFile(config, []byte(serverAxes+"retake: false\nollama: "+file+"\n"), 0o644))
	return config
}

// requireFailed requires that all cells are measured but those of a value of GGML_X, which have failed in this
// way. Detail is a pattern.
func requireFailed(t *testing.T, out, value string, class measurement.Class, detail string) {
	t.Helper()
	cp := sweeptest.Load(t, out)
	require.Len(t, cp.Results, 8)
	require.Len(t, cp.Plan(), 8)
	for _, r := range cp.Results {
		if v, _ := r.Cell().Settings.Value("GGML_X"); v != value {
			assert.False(t, r.Failed(), "%v: %s", r.Cell(), r.Detail)
			assert.Len(t, r.Samples, 1)
			continue
		}
		require.True(t, r.Failed(), "%v", r.Cell())
		assert.Equal(t, class, *r.Error)
		assert.Regexp(t, "^"+detail+"$", r.Detail)
	}
}

func requireNoneFailed(t *testing.T, out string) {
	t.Helper()
	requireFailed(t, out, "none", "", "")
}

// TestSurvivesAServerThatDoesNotStart: a server that does not start with one value of a setting, the first or
// the last. The cells with that value fail, and the others are measured.
func TestSurvivesAServerThatDoesNotStart(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	for _, value := range []string{"1", "2"} {
		t.Run(value, func(t *testing.T) {
			out := t.TempDir()
			config := axesConfig(t, `[ "$1$GGML_X" = serve`+value+` ] && { echo "Error: no backend for this"; exit 1; }`)
			printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
			require.Zero(t, code, printed)
			sweeptest.RequireEngineGone(t, out)
			requireNoScratch(t, out)
			requireFailed(t, out, value, measurement.ModelError, regexp.QuoteMeta("starting the engine with GGML_X="+value+": it exited at once: Error: no backend for this; its log is "+filepath.Join(out, ollamarun.EngineLog)))
			if value == "2" && !*long {
				return
			}
			printed, code = sweeptest.Start(t, "-config", axesConfig(t, ""), "-out", out, "-retry-failed").Wait()
			require.Zero(t, code, printed)
			requireNoneFailed(t, out)
		})
	}
	out := t.TempDir()
	printed, code := sweeptest.Start(t, "-config", axesConfig(t, `[ "$1" = serve ] && { echo "Error: no backend for this"; exit 1; }`), "-out", out).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "starting the engine with GGML_X=1: it exited at once: Error: no backend for this; its log is ")
	requireNoScratch(t, out)
}

// TestSurvivesTheEndOfARestartedServer: a server that ends right after it was started with other settings, or
// while it loads a model, is started again, and no cell fails.
func TestSurvivesTheEndOfARestartedServer(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	for name, line := range map[string]string{"at once": `| GET .*/api/version`, "in a load": "--port "} {
		t.Run(name, func(t *testing.T) {
			out, mark := t.TempDir(), filepath.Join(t.TempDir(), "mark")
			log := filepath.Join(out, ollamarun.EngineLog)
			config := axesConfig(t, `if [ "$1$GGML_X" = serve2 ] && [ ! -e `+mark+` ]; then
	touch `+mark+`
	from=$(wc -c <`+log+`)
	(until tail -c +$from `+log+` | grep -q -e '`+line+`'; do sleep 0.01; done; kill -KILL $$) &
fi`)
			printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
			require.Zero(t, code, printed)
			assert.FileExists(t, mark)
			assert.Contains(t, printed, "# warning: the server has ended by itself; its log is "+log)
			assert.Equal(t, 2, strings.Count(printed, "# starting the server with GGML_X=2\n"), printed)
			sweeptest.RequireEngineGone(t, out)
			requireNoScratch(t, out)
			requireNoneFailed(t, out)
		})
	}
}

// TestSurvivesAServerThatEndsInEachLoad: a server that ends in each load with one value of a setting, the first
// or the last. The cells with that value fail, and the others are measured.
func TestSurvivesAServerThatEndsInEachLoad(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	for _, value := range []string{"1", "2"} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			log := filepath.Join(out, ollamarun.EngineLog)
			config := axesConfig(t, `if [ "$1$GGML_X" = serve`+value+` ]; then
	from=$(wc -c <`+log+`)
	(until tail -c +$from `+log+` | grep -q -e '--port '; do sleep 0.01; done; kill -KILL $$) &
fi`)
			printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
			require.Zero(t, code, printed)
			sweeptest.RequireEngineGone(t, out)
			requireNoScratch(t, out)
			requireFailed(t, out, value, measurement.RunnerCrashed, "the server went away 3 times during this cell: .+")
		})
	}
}

// TestSurvivesKillInARestart kills a sweep while it starts its server with other settings. No process stays,
// and the same command resumes it.
func TestSurvivesKillInARestart(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out, config := t.TempDir(), axesConfig(t, "")
	seen := make(map[cell.Key][]measurement.Sample)
	var reported []string
	for i := range inFull(20, 2) {
		p := sweeptest.Start(t, "-config", config, "-out", out)
		p.Await(t, "# starting the server with GGML_X=2")
		time.Sleep(time.Duration(rand.Int64N(int64(time.Second))))
		signal := os.Signal(syscall.SIGKILL)
		if i%2 == 1 {
			signal = syscall.SIGINT
		}
		took := p.Signal(t, signal)
		sweeptest.RequireEngineGone(t, out)
		if i%2 == 1 {
			assert.Less(t, took, sweeptest.EndsWithin)
			requireNoScratch(t, out)
		}
		cp := sweeptest.Load(t, out)
		reported = append(reported, sweeptest.BenchLines(p.Printed())...)
		sweeptest.RequireReported(t, cp, reported)
		requireGrown(t, cp, seen)
		for _, r := range cp.Results {
			assert.False(t, r.Failed(), r.Detail)
		}
	}
	printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
	require.Zero(t, code, printed)
	requireNoScratch(t, out)
	requireNoneFailed(t, out)
	requireGrown(t, sweeptest.Load(t, out), seen)
}

// TestAxesBySubtest: -run names a cell by all of its settings, or all cells of some.
func TestAxesBySubtest(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	const grid = "prompt: {tokens: 300}\nnum_ctx: [512, 1024]\nnum_batch: [64, 128]\noptions: {num_thread: [1, 2, 12], num_gpu: [auto, 0]}\nrepeat: 1\nconfirm: 0\nbaseline: false\n"
	out := t.TempDir()
	_, args := sweeptest.Simulated(t, out, grid)
	measured := 0
	for _, test := range []struct {
		pattern string
		cells   int
	}{
		{"TestSweep/ctx=512/batch=64/num_gpu=0/num_thread=2$", 1},
		{"TestSweep/ctx=512/batch=64$/num_gpu=0/num_thread=1$", 1},
		{"TestSweep/ctx=1024/batch=128/.*/num_thread=1", 4}, // and 12
		{"TestSweep/ctx=1024/batch=64", 6},
	} {
		printed, code := sweeptest.Start(t, append([]string{"-test.run=" + test.pattern}, args...)...).Wait()
		require.Zero(t, code, printed)
		assert.Len(t, sweeptest.BenchLines(printed), test.cells, test.pattern)
		measured += test.cells
		assert.Len(t, sweeptest.Load(t, out).Results, measured)
		assert.Contains(t, printed, "to resume: run the same command with -run Sweep")
	}
	printed, code := sweeptest.Start(t, append([]string{"-test.run=TestSweep/ctx=512/batch=64/num_gpu=0/num_thread=3$"}, args...)...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, `no cell matches: num_ctx is one of 512, 1024, and num_batch one of 64, 128, num_gpu one of auto, 0, num_thread one of 1, 2, 12; the first cell is Sweep/ctx=512/batch=64/num_gpu=auto/num_thread=1`)

	printed, code = sweeptest.Start(t, append([]string{"-test.run=TestSweep/ctx=512/batch=64/num_gpu=0/num_thread=2$", "-redo"}, args...)...).Wait()
	require.Zero(t, code, printed)
	lines := sweeptest.BenchLines(printed)
	require.Len(t, lines, 1)
	assert.True(t, strings.HasPrefix(lines[0], "BenchmarkSweep/ctx=512/batch=64/num_gpu=0/num_thread=2 "), lines[0])

	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, fmt.Sprintf("# 24 cells: %d already measured, %d to measure\n", measured, 24-measured))
	assert.Len(t, sweeptest.Load(t, out).Results, 24)
}
