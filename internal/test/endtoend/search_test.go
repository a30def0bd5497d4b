package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	t.Parallel()
	for _, strategy := range []string{config.StrategyBest, config.StrategyFrontier} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			_, args := sweeptest.Simulated(t, out, sweeptest.SearchedGrid+"repeat: 1\nstrategy: "+strategy+"\n")

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

			if strategy == config.StrategyFrontier {
				return // the rest is the same
			}
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
	t.Parallel()
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

// TestSearchesProbe: a search on a server that keeps prompts takes probes, without a subtest or a sample
// for them, and none with -probe=false.
func TestSearchesProbe(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{config.StrategyBest, config.StrategyFrontier} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			server, args := sweeptest.Simulated(t, out, sweeptest.ProbedGrid+"strategy: "+strategy+"\n")
			server.KeepPrompts()
			printed, code := sweeptest.Start(t, append(args, "-test.v")...).Wait()
			require.Zero(t, code, printed)
			requireProbed(t, out, printed)

			plain := t.TempDir()
			printed, code = sweeptest.Start(t, append(args, "-out", plain, "-probe=false")...).Wait()
			require.Zero(t, code, printed)
			cp := sweeptest.Load(t, plain)
			assert.True(t, cp.Sweep.Search.Done)
			assert.Empty(t, cp.Sweep.Unprobeable)
			assert.NotContains(t, printed, "# probed ")
			text, err := os.ReadFile(filepath.Join(plain, checkpoint.FileName))
			require.NoError(t, err)
			assert.NotContains(t, string(text), `probe":`)
			assert.NotContains(t, string(text), `probes":`)
		})
	}
}

// TestSearchUnprobeable: a search says once that a server keeps no prompts, and does without probes, also
// when it is run again.
func TestSearchUnprobeable(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	_, args := sweeptest.Simulated(t, out, sweeptest.ProbedGrid+"strategy: best\n")
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Equal(t, 1, strings.Count(printed, "can't be probed"), printed)
	assert.Regexp(t, `(?m)^# the model can't be probed: .*: measuring without probes$`, printed)
	cp := sweeptest.Load(t, out)
	assert.True(t, cp.Sweep.Search.Done)
	assert.Contains(t, cp.Sweep.Unprobeable, "the server keeps no prompts")

	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.NotContains(t, printed, "can't be probed")
	assert.Equal(t, cp, sweeptest.Load(t, out), "it has ended")
}

// TestSearchesProbeEmbedded probes the loads of a real server.
func TestSearchesProbeEmbedded(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	for _, strategy := range []string{config.StrategyBest, config.StrategyFrontier} {
		t.Run(strategy, func(t *testing.T) {
			out := t.TempDir()
			config := sweeptest.WriteConfig(t, "engine: embedded\nprompt: {tokens: 4096}\nconfirm: 0\nbaseline: false\nstrategy: "+strategy+"\ntolerance: 10%\nnum_ctx: [6144, 8192]\nnum_batch: [64, 256]\n")
			args := []string{"-config", config, "-out", out}
			printed, code := sweeptest.Start(t, append(args, "-test.v")...).Wait()
			require.Zero(t, code, printed)
			cp := requireProbed(t, out, printed)
			for _, r := range cp.Results {
				for _, p := range r.Probes {
					assert.Equal(t, !sweeptest.Before(t, "0.30.0"), p.Verified)
				}
			}
			printed, code = sweeptest.Start(t, args...).Wait()
			require.Zero(t, code, printed)
			assert.Equal(t, cp.Results, sweeptest.Load(t, out).Results, "the search has ended")
		})
	}
}

// requireProbed requires that a search has ended and has probed its first cell, and that its probes are
// neither samples nor subtests.
func requireProbed(t *testing.T, out, printed string) *checkpoint.Checkpoint {
	t.Helper()
	cp := sweeptest.Load(t, out)
	require.True(t, cp.Sweep.Search.Done)
	require.NotEmpty(t, cp.Results[0].ProbeRates(), printed)
	samples := 0
	for _, r := range cp.Results {
		samples += len(r.Samples)
	}
	assert.Equal(t, samples, strings.Count(printed, "\nBenchmarkSweep/"))
	assert.Equal(t, samples, strings.Count(printed, "=== RUN   TestSweep/"))
	assert.Contains(t, printed, "# probed "+cp.Results[0].Cell().String()+": passes of ")
	page, err := os.ReadFile(filepath.Join(out, report.PageFile))
	require.NoError(t, err)
	for _, p := range cp.Results[0].ProbeRates() {
		label := "(probe)"
		if len(p.Rates) > 1 {
			label = "(probes)"
		}
		assert.Regexp(t, fmt.Sprintf(`passes of %d tokens: [0-9., ]+ tokens/s %s`, p.NumBatch, regexp.QuoteMeta(label)), string(page))
	}
	for _, file := range []string{report.TableFile, report.StatsFile, report.BenchFile} {
		text, err := os.ReadFile(filepath.Join(out, file))
		require.NoError(t, err)
		assert.NotContains(t, string(text), "probe")
	}
	return cp
}
