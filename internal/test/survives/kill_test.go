package survives

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// killedGrid is a part of a config for a simulated server, with as many num_ctx as its end says.
const killedGrid = "prompt: {tokens: 300}\nnum_ctx: {start: 1024, end: %d, step: 16}\nnum_batch: {start: 64, end: 512, step: 64}\nrepeat: 2\nconfirm: 0\nbaseline: false\n"

// TestSurvivesKill kills a sweep again and again, at random times, resumes it, and compares its
// final files with those of a sweep that was never killed.
func TestSurvivesKill(t *testing.T) {
	t.Parallel()
	requireKillsSurvived(t, fmt.Sprintf(killedGrid, 1024+16*(inFull(120, 24)-1)), inFull(220, 12))
}

// TestSurvivesKillOverFourAxes does the same over settings too.
func TestSurvivesKillOverFourAxes(t *testing.T) {
	t.Parallel()
	requireKillsSurvived(t, fmt.Sprintf(killedGrid, 1024+16*(inFull(30, 5)-1))+"options: {num_thread: [1, 2], num_gpu: [auto, 0]}\n", inFull(60, 4))
}

// requireKillsSurvived kills a sweep of a grid so often.
func requireKillsSurvived(t *testing.T, grid string, kills int) {
	t.Helper()
	whole := t.TempDir()
	_, args := sweeptest.Simulated(t, whole, grid)
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)

	out := t.TempDir()
	_, args = sweeptest.Simulated(t, out, grid)
	var reported []string // benchmark lines of all samples that were printed
	early := 0
	journals := 0
	for kill := range kills {
		if kill == kills/2 { // make the checkpoint large enough for a journal
			printed, code := sweeptest.Start(t, append(args, "-budget", "100cells")...).Wait()
			require.Zero(t, code, printed)
			reported = append(reported, sweeptest.BenchLines(printed)...)
		}
		p := sweeptest.Start(t, args...)
		// Some kills come before the first sample, some between write and rename. Without waiting for
		// a sample, a slow machine would test only the former.
		within := 200 * time.Millisecond
		if kill%2 == 1 {
			p.Await(t, "BenchmarkSweep/")
			if kill > kills/2 { // the first save rewrites the checkpoint, later ones append to the journal
				p.Await(t, "BenchmarkSweep/")
				p.Await(t, "BenchmarkSweep/")
			}
			within = 50 * time.Millisecond
		}
		time.Sleep(time.Duration(rand.Int64N(int64(within))))
		p.Signal(t, syscall.SIGKILL)
		require.Equal(t, -1, p.Command.ProcessState.ExitCode(), "kill %d came too late: the grid is too small\n%s", kill, p.Printed())
		if _, err := os.Stat(filepath.Join(out, checkpoint.FileName)); os.IsNotExist(err) {
			early++
			continue
		}
		if _, err := os.Stat(filepath.Join(out, checkpoint.JournalName)); err == nil {
			journals++
		}
		cp := sweeptest.Load(t, out)
		reported = append(reported, sweeptest.BenchLines(p.Printed())...)
		sweeptest.RequireReported(t, cp, reported)
	}
	assert.Less(t, early, kills, "every kill came before the first sample")
	assert.Positive(t, journals, "no kill left a journal: the grid is too small")
	t.Logf("%d kills, %d before the first sample, %d with a journal; %d samples reported until then", kills, early, journals, len(reported))

	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	hidden, err := filepath.Glob(filepath.Join(out, ".*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(out, checkpoint.LockFile), filepath.Join(out, outdir.RecordFile)}, hidden, "unfinished saves")
	assert.Equal(t, withoutTimes(t, whole, checkpoint.FileName), withoutTimes(t, out, checkpoint.FileName), "except for times, the final file is that of a sweep that was never killed")
	assert.Equal(t, withoutTimes(t, whole, report.BenchFile), withoutTimes(t, out, report.BenchFile))
	assert.Equal(t, withoutTimes(t, whole, report.StatsFile), withoutTimes(t, out, report.StatsFile))
	for _, file := range []string{report.TableFile, report.HeatmapFile} {
		want, err := os.ReadFile(filepath.Join(whole, file))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(out, file))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), file)
	}
}

// withoutTimes returns a file's text without dates, times by this machine's clock, its load, the command and
// the host, which differ.
func withoutTimes(t *testing.T, out, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, file))
	require.NoError(t, err)
	text = regexp.MustCompile(`,"cpu":\{[^}]*\}`).ReplaceAll(text, nil)
	return regexp.MustCompile(`"(wall_duration_ns|timestamp|started|command|host)": ?("[^"]*"|\d+)|and ([\d.]+(m|µ)?s) by the wall clock`).ReplaceAllString(string(text), `"$1": …`)
}

// TestSurvivesKillEmbedded kills a sweep on a real server, whose figures differ each time, and
// requires that it keeps each sample.
func TestSurvivesKillEmbedded(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	out, batches := t.TempDir(), inFull(8, 6)
	grid := fmt.Sprintf("num_ctx: {start: 512, end: 2048, step: 512}\nnum_batch: {start: 64, end: %d, step: 64}\n", 64*batches)
	args := []string{"-config", sweeptest.WriteConfig(t, "engine: embedded\nconfirm: 0\nbaseline: false\nprompt: {tokens: 200}\nrepeat: 2\n"+grid), "-out", out}
	seen := make(map[cell.Key][]measurement.Sample)
	var reported []string
	for range inFull(10, 2) {
		p := sweeptest.Start(t, args...)
		p.Await(t, "BenchmarkSweep/")
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Second))))
		p.Signal(t, syscall.SIGKILL)
		sweeptest.RequireEngineGone(t, out)
		cp := sweeptest.Load(t, out)
		reported = append(reported, sweeptest.BenchLines(p.Printed())...)
		sweeptest.RequireReported(t, cp, reported)
		requireGrown(t, cp, seen)
	}
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	sweeptest.RequireEngineGone(t, out)
	cp := sweeptest.Load(t, out)
	requireGrown(t, cp, seen)
	require.Len(t, cp.Results, 4*batches)
	for _, r := range cp.Results {
		assert.Len(t, r.Samples, 2)
		assert.False(t, r.Failed())
	}
}

// requireGrown requires that the checkpoint has all samples in seen, and adds its new ones to seen.
func requireGrown(t *testing.T, cp *checkpoint.Checkpoint, seen map[cell.Key][]measurement.Sample) {
	t.Helper()
	for _, r := range cp.Results {
		before := seen[r.Cell()]
		require.GreaterOrEqual(t, len(r.Samples), len(before))
		for i, sample := range before {
			assert.Equal(t, sample, r.Samples[i], "%v", r.Cell())
		}
		seen[r.Cell()] = r.Samples
	}
	total := 0
	for _, samples := range seen {
		total += len(samples)
	}
	have := 0
	for _, r := range cp.Results {
		have += len(r.Samples)
	}
	require.Equal(t, total, have, "no sample is lost")
}

// TestSurvivesKillInASearch kills a search again and again: it resumes from its samples, and comes
// to its end.
func TestSurvivesKillInASearch(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	_, args := sweeptest.Simulated(t, out, sweeptest.SearchedGrid+"strategy: frontier\ntolerance: 0.02%\nrepeat: 2\n")
	requireSearchSurvives(t, out, args)
	if !*long {
		return
	}
	out = t.TempDir()
	_, args = sweeptest.Simulated(t, out, sweeptest.SearchedGrid+"options: {num_thread: [1, 2]}\nstrategy: best\nrepeat: 2\n")
	requireSearchSurvives(t, out, args)
}

// TestSurvivesKillInProbes does the same on a server that can be probed. No probe is lost, and a search
// that has ended takes no more.
func TestSurvivesKillInProbes(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, sweeptest.ProbedGrid+"strategy: best\n")
	server.KeepPrompts()
	p := sweeptest.Start(t, args...)
	p.Await(t, "# probed ")
	p.Signal(t, syscall.SIGKILL)
	first := sweeptest.Load(t, out).Results[0].Probes
	require.NotEmpty(t, first)
	requireSearchSurvives(t, out, args)
	cp := sweeptest.Load(t, out)
	assert.Empty(t, cp.Sweep.Unprobeable)
	assert.Equal(t, first, cp.Results[0].Probes[:len(first)])
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Equal(t, cp, sweeptest.Load(t, out))
}

// requireSearchSurvives kills a search at random times, resumes it to its end, and requires that it keeps
// each sample and each probe.
func requireSearchSurvives(t *testing.T, out string, args []string) {
	t.Helper()
	seen := make(map[cell.Key][]measurement.Sample)
	probes := make(map[cell.Key][]measurement.Probe)
	var reported []string
	for range inFull(25, 4) {
		p := sweeptest.Start(t, args...)
		time.Sleep(time.Duration(rand.Int64N(int64(400 * time.Millisecond))))
		if err := p.Command.Process.Kill(); errors.Is(err, os.ErrProcessDone) {
			break // the search has ended
		}
		p.Wait()
		reported = append(reported, sweeptest.BenchLines(p.Printed())...)
		if len(reported) == 0 {
			continue
		}
		cp := sweeptest.Load(t, out)
		sweeptest.RequireReported(t, cp, reported)
		requireGrown(t, cp, seen)
		requireProbes(t, cp, probes)
	}
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	cp := sweeptest.Load(t, out)
	assert.True(t, cp.Sweep.Search.Done)
	requireProbes(t, cp, probes)
	sweeptest.RequireReported(t, cp, append(reported, sweeptest.BenchLines(printed)...))
}

// requireProbes requires that the checkpoint has all probes in seen, and adds its new ones to seen.
func requireProbes(t *testing.T, cp *checkpoint.Checkpoint, seen map[cell.Key][]measurement.Probe) {
	t.Helper()
	for c, probes := range seen {
		require.NotNil(t, cp.Result(c), c)
		require.GreaterOrEqual(t, len(cp.Result(c).Probes), len(probes), c)
		require.Equal(t, probes, cp.Result(c).Probes[:len(probes)], c)
	}
	for i := range cp.Results {
		if r := &cp.Results[i]; len(r.Probes) > 0 {
			seen[r.Cell()] = r.Probes
		}
	}
}
