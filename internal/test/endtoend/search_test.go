package endtoend

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestSearches stops a search by its budget, resumes it for a part of the grid only, then to
// its end, and finally measures every cell.
func TestSearches(t *testing.T) {
	for _, strategy := range []string{config.StrategyBest, config.StrategyFrontier} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			_, args := sweeptest.SimulatedBy(t, 100, out, sweeptest.SearchedGrid+"repeat: 1\nstrategy: "+strategy+"\n")

			printed, code := sweeptest.Start(t, append(args, "-budget", "4cells")...).Wait()
			require.Zero(t, code, printed)
			cp := sweeptest.Load(t, out)
			require.Len(t, cp.Results, 4)
			assert.False(t, cp.Sweep.Search.Done)
			assert.Equal(t, "stopped: the budget is spent", cp.Sweep.Search.Why)
			assert.Contains(t, printed, "# to resume: run the same command again; it continues the search")
			assert.Contains(t, printed, "can't tell yet: the search has not ended")

			printed, code = sweeptest.Start(t, append(args, "-test.run=Sweep/ctx=5120", "-budget", "3cells", "-test.v")...).Wait()
			require.Zero(t, code, printed)
			cp = sweeptest.Load(t, out)
			require.Len(t, cp.Results, 7)
			for _, r := range cp.Results[4:] {
				assert.Equal(t, 5120, r.NumCtx)
				assert.Contains(t, printed, "=== RUN   TestSweep/"+r.Cell().String()+"\n")
			}

			printed, code = sweeptest.Start(t, args...).Wait()
			require.Zero(t, code, printed)
			cp = sweeptest.Load(t, out)
			require.True(t, cp.Sweep.Search.Done)
			measured := len(cp.Results)
			assert.Less(t, measured, 160, "of 320")
			assert.Contains(t, printed, fmt.Sprintf("320 planned, %d measured, 0 failed, %d not measured by the search", measured, 320-measured))
			assert.Contains(t, strings.Join(strings.Fields(strings.ReplaceAll(printed, "\n# ", " ")), " "), "the search has ended: the chance that an unmeasured cell is faster")
			assert.Contains(t, printed, "# to measure the other cells too: -strategy exhaustive")
			for _, file := range []string{report.TableFile, report.StatsFile, report.HeatmapFile, report.BenchFile} {
				assert.FileExists(t, filepath.Join(out, file))
			}
			if strategy == config.StrategyFrontier {
				assert.Len(t, cp.Sweep.Search.Columns, 20)
				assert.FileExists(t, filepath.Join(out, report.FrontierFile))
			}

			printed, code = sweeptest.Start(t, args...).Wait()
			require.Zero(t, code, printed)
			assert.Len(t, sweeptest.Load(t, out).Results, measured, "a search that has ended measures nothing more")

			printed, code = sweeptest.Start(t, append(args, "-strategy", "exhaustive")...).Wait()
			require.Zero(t, code, printed)
			whole := sweeptest.Load(t, out)
			assert.Len(t, whole.Results, 320)
			assert.Equal(t, cp.Results, whole.Results[:measured])
			assert.Nil(t, whole.Sweep.Search)
		})
	}
}

// TestSearchEmbedded runs a search on a real server.
func TestSearchEmbedded(t *testing.T) {
	sweeptest.NeedsEngine(t)
	out := t.TempDir()
	config := sweeptest.WriteConfig(t, "engine: embedded\nprompt: {tokens: 200}\nconfirm: 2\nbaseline: false\nstrategy: best\nnum_ctx: {start: 512, end: 4096, step: 256}\nnum_batch: {start: 8, end: 512, step: 56}\n")
	printed, code := sweeptest.Start(t, "-config", config, "-out", out).Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	require.True(t, cp.Sweep.Search.Done)
	assert.Less(t, len(cp.Results), 75, "of 150")
	assert.NotNil(t, cp.Result(cp.Sweep.Search.Best))
	again := 0
	for _, r := range cp.Auxiliary {
		if r.Purpose == checkpoint.Confirm {
			again++
		}
	}
	assert.GreaterOrEqual(t, again, 10, "the leaders are measured again once the search has ended")
	assert.Contains(t, strings.Join(strings.Fields(strings.ReplaceAll(printed, "\n# ", " ")), " "), "the search has ended: the chance that an unmeasured cell is faster by more than the tolerance is")
}
