package survives

import (
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// thirtyCells is a grid of thirty cells.
const thirtyCells = "prompt: {tokens: 300}\nnum_ctx: {start: 1024, end: 1424, step: 80}\nnum_batch: {start: 64, end: 320, step: 64}\nrepeat: 1\nconfirm: 0\nbaseline: false\n"

// failFrom makes a server fail at every prompt from the n-th on, until repair is called.
func failFrom(server *ollamatest.Server, n int32, fault http.HandlerFunc) (repair func()) {
	var prompts atomic.Int32
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		if strings.Contains(r.Body, `"num_ctx"`) && prompts.Add(1) >= n {
			return fault
		}
		return nil
	})
	return func() { server.Inject(nil) }
}

// failedIn returns the number of failed cells in a checkpoint.
func failedIn(cp *checkpoint.Checkpoint) (failed int) {
	for _, r := range cp.Results {
		if r.Failed() {
			failed++
		}
	}
	return failed
}

// TestSurvivesABrokenServer: from the thirtieth prompt on every cell would fail. The sweep stops, no
// cell counts as failed, and the same command measures the rest.
func TestSurvivesABrokenServer(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault http.HandlerFunc
		says  string
	}{
		{"a missing driver", ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: CUDA error: no CUDA-capable device is detected"}`), "Runner crashed: llama runner process has terminated: CUDA error: no CUDA-capable device is detected"},
		{"memory used by another program", ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`), "CUDA OOM: llama runner process has terminated: cudaMalloc failed: out of memory"},
		{"missing weights", ollamatest.ReplyStatus(500, `{"error":"unable to load model: /models/blobs/sha256-5258"}`), "Model error: unable to load model"},
		{"a proxy that resets each prompt", ollamatest.BreakOff(""), "Runner crashed: the server went away 3 times during this cell: "},
		{"answers of another program", ollamatest.Reply("what?\n"), "Model error: what?"},
		{"wrong figures", ollamatest.Reply(strings.Replace(ollamatest.Captured("generate.ndjson"), `"eval_count":2`, `"eval_count":3`, 1)), "Parse error: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := t.TempDir()
			server, args := sweeptest.Simulated(t, out, thirtyCells)
			repair := failFrom(server, 30, test.fault)
			printed, code := sweeptest.Start(t, args...).Wait()
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, "# 3 cells in a row failed: loading ctx=")
			assert.Contains(t, printed, "# stopped: 3 cells in a row failed, and then ctx=")
			assert.Contains(t, printed, "which worked before: the server does not work, so the failed cells count as not measured; ")
			assert.Contains(t, printed, "; its error: "+test.says)
			assert.Contains(t, printed, "# to resume: run the same command again")
			cp := sweeptest.Load(t, out)
			measured := len(cp.Results)
			assert.Greater(t, measured, 5)
			assert.Less(t, measured, 30)
			assert.Zero(t, failedIn(cp))
			sweeptest.RequireReported(t, cp, sweeptest.BenchLines(printed))
			assert.Len(t, sweeptest.BenchLines(printed), measured)

			repair()
			printed, code = sweeptest.Start(t, args...).Wait()
			require.Zero(t, code, printed)
			cp = sweeptest.Load(t, out)
			assert.Len(t, cp.Results, 30)
			assert.Zero(t, failedIn(cp))
		})
	}
}

// TestSurvivesKillOfABrokenSweep kills a sweep before it has detected that its server is broken: no
// failure is saved, and the next run detects it.
func TestSurvivesKillOfABrokenSweep(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, thirtyCells)
	repair := failFrom(server, 30, ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: exit status 2"}`))
	for range 2 {
		p := sweeptest.Start(t, args...)
		p.Await(t, "# 14/30 ") // the second of the three failures before the check
		p.Signal(t, syscall.SIGKILL)
		assert.Zero(t, failedIn(sweeptest.Load(t, out)))
	}
	_, code := sweeptest.Start(t, args...).Wait()
	assert.Equal(t, 1, code)
	assert.Zero(t, failedIn(sweeptest.Load(t, out)))
	repair()
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	assert.Len(t, cp.Results, 30)
	assert.Zero(t, failedIn(cp))
}

// TestSurvivesABrokenServerFromTheStart: the sweep stops at once, and saves no failure.
func TestSurvivesABrokenServerFromTheStart(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, thirtyCells)
	repair := failFrom(server, 1, ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: exit status 2"}`))
	printed, code := sweeptest.Start(t, args...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "# stopped: 3 cells in a row failed, and then ctx=1024 and the server's own num_batch: the server does not work, so the failed cells")
	repair()
	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Zero(t, failedIn(sweeptest.Load(t, out)))
}

// TestSurvivesSizesThatDoNotFit: cells that fail because of their settings stay failed, also when
// they are the last in a row.
func TestSurvivesSizesThatDoNotFit(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, thirtyCells)
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		for _, tooLarge := range []string{`"num_ctx":1264`, `"num_ctx":1344`, `"num_ctx":1424`} {
			if strings.Contains(r.Body, tooLarge) {
				return ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`)
			}
		}
		return nil
	})
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	assert.Len(t, cp.Results, 30)
	assert.Equal(t, 15, failedIn(cp))
	assert.Contains(t, printed, "# the server works: the failures belong to their cells\n")
	sweeptest.RequireReported(t, cp, sweeptest.BenchLines(printed))
	assert.Len(t, sweeptest.BenchLines(printed), 15, "the check of the server is not a sample")
}
