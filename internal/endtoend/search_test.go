package endtoend

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// searched is a grid of 20 × 16 cells of a simulated server.
const searched = "prompt: {tokens: 300}\nconfirm: 0\nnum_ctx: {start: 1024, end: 40960, step: 2048}\nnum_batch: {start: 64, end: 1024, step: 64}\n"

// TestSearches ends a search by its budget, goes on with it for a part of the
// grid only, to its end, and then measures every cell.
func TestSearches(t *testing.T) {
	for _, strategy := range []string{sweep.StrategyBest, sweep.StrategyFrontier} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			_, args := simulatedBy(t, 100, out, searched+"strategy: "+strategy+"\n")

			printed, code := startSweep(t, append(args, "-budget", "4cells")...).wait()
			require.Zero(t, code, printed)
			cp := load(t, out)
			require.Len(t, cp.Results, 4)
			assert.False(t, cp.Sweep.Search.Done)
			assert.Equal(t, "stopped: the budget is spent", cp.Sweep.Search.Why)
			assert.Contains(t, printed, "# to go on: the same command again goes on with the search")
			assert.Contains(t, printed, "# Verdict: the search recommends num_ctx=")

			printed, code = startSweep(t, append(args, "-test.run=Sweep/ctx=5120", "-budget", "3cells", "-test.v")...).wait()
			require.Zero(t, code, printed)
			cp = load(t, out)
			require.Len(t, cp.Results, 7)
			for _, r := range cp.Results[4:] {
				assert.Equal(t, 5120, r.NumCtx)
				assert.Contains(t, printed, "=== RUN   TestSweep/"+r.Cell().String()+"\n")
			}

			printed, code = startSweep(t, args...).wait()
			require.Zero(t, code, printed)
			cp = load(t, out)
			require.True(t, cp.Sweep.Search.Done)
			measured := len(cp.Results)
			assert.Less(t, measured, 160, "of 320")
			assert.Contains(t, printed, fmt.Sprintf("320 planned, %d measured, 0 failed, %d not measured by the search", measured, 320-measured))
			assert.Contains(t, printed, "# to measure the other cells too: -strategy exhaustive")
			for _, file := range []string{report.TableFile, report.StatsFile, report.HeatmapFile, report.BenchFile} {
				assert.FileExists(t, filepath.Join(out, file))
			}
			if strategy == sweep.StrategyFrontier {
				assert.Len(t, cp.Sweep.Search.Columns, 20)
				assert.Contains(t, printed, "fastest num_batch of each num_ctx")
			}

			printed, code = startSweep(t, args...).wait()
			require.Zero(t, code, printed)
			assert.Len(t, load(t, out).Results, measured, "a search that has ended measures nothing more")

			printed, code = startSweep(t, append(args, "-strategy", "exhaustive")...).wait()
			require.Zero(t, code, printed)
			whole := load(t, out)
			assert.Len(t, whole.Results, 320)
			assert.Equal(t, cp.Results, whole.Results[:measured])
			assert.Nil(t, whole.Sweep.Search)
		})
	}
}

// TestSurvivesKillInASearch kills a search again and again: it goes on from what
// it has, and ends.
func TestSurvivesKillInASearch(t *testing.T) {
	out := t.TempDir()
	_, args := simulatedBy(t, 100, out, searched+"strategy: frontier\ntolerance: 0.02%\nrepeat: 2\n")
	seen := make(map[sweep.Cell][]parse.Sample)
	var reported []string
	for range inFull(25, 6) {
		p := startSweep(t, args...)
		time.Sleep(time.Duration(rand.Int64N(int64(400 * time.Millisecond))))
		if err := p.cmd.Process.Kill(); errors.Is(err, os.ErrProcessDone) {
			break // the search has ended
		}
		p.wait()
		reported = append(reported, benchLines(p.printed())...)
		if len(reported) == 0 {
			continue
		}
		cp := load(t, out)
		requireSamples(t, cp, reported)
		for _, r := range cp.Results {
			for i, sample := range seen[r.Cell()] {
				assert.Equal(t, sample, r.Samples[i], "%v", r.Cell())
			}
			seen[r.Cell()] = r.Samples
		}
	}
	printed, code := startSweep(t, args...).wait()
	require.Zero(t, code, printed)
	cp := load(t, out)
	assert.True(t, cp.Sweep.Search.Done)
	requireSamples(t, cp, append(reported, benchLines(printed)...))
}

// TestSearchEmbedded searches on a real server.
func TestSearchEmbedded(t *testing.T) {
	needsEngine(t)
	out := t.TempDir()
	config := writeConfig(t, "engine: embedded\nprompt: {tokens: 400}\nconfirm: 2\nstrategy: best\nnum_ctx: {start: 512, end: 4096, step: 256}\nnum_batch: {start: 8, end: 512, step: 56}\n")
	printed, code := startSweep(t, "-config", config, "-out", out).wait()
	require.Zero(t, code, printed)
	cp := load(t, out)
	require.True(t, cp.Sweep.Search.Done)
	assert.Less(t, len(cp.Results), 75, "of 150")
	assert.NotNil(t, cp.Result(cp.Sweep.Search.Best))
	again := 0
	for _, r := range cp.Remeasured {
		if r.Purpose == sweep.Confirm {
			again++
		}
	}
	assert.GreaterOrEqual(t, again, 10, "the leaders are measured again once the search has ended")
	assert.Contains(t, strings.Join(strings.Fields(strings.ReplaceAll(printed, "\n# ", " ")), " "), "the chance that the likeliest of the cells not measured is faster by more than the tolerance is")
}
