package endtoend

import (
	"bytes"
	"flag"
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

	"github.com/ollama-sweep/ollama-sweep/internal/bench"
	"github.com/ollama-sweep/ollama-sweep/internal/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// long has the tests that are called Survives play their faults in full.
var long = flag.Bool("long", false, "play every fault as often as the README says, for many minutes")

// inFull returns how often something is done with -long, and without.
func inFull(full, reduced int) int {
	if *long {
		return full
	}
	return reduced
}

// simulated returns a server that reads prompts fast, and the flags of a sweep
// of it.
func simulated(t *testing.T, out, config string) (*ollamatest.Server, []string) {
	t.Helper()
	return simulatedBy(t, 1, out, config)
}

func simulatedBy(t *testing.T, clock int, out, config string) (*ollamatest.Server, []string) {
	t.Helper()
	s := ollamatest.New(t)
	s.Simulate(clock)
	file := writeConfig(t, "model: tiny\nhost: "+s.URL.String()+"\nserver_wait: 30s\n"+config)
	return s, []string{"-config", file, "-out", out}
}

// TestSurvivesKill kills a sweep again and again, at moments of chance, goes on
// with it, and compares what it comes to with a sweep that nobody disturbed.
func TestSurvivesKill(t *testing.T) {
	columns, kills := inFull(120, 12), inFull(220, 20)
	grid := fmt.Sprintf("prompt: {tokens: 300}\nnum_ctx: {start: 1024, end: %d, step: 16}\nnum_batch: {start: 64, end: 512, step: 64}\nrepeat: 2\nconfirm: 0\n", 1024+16*(columns-1))

	whole := t.TempDir()
	_, args := simulatedBy(t, 100, whole, grid)
	printed, code := startSweep(t, args...).wait()
	require.Zero(t, code, printed)

	out := t.TempDir()
	_, args = simulatedBy(t, 100, out, grid)
	var reported []string // every sample of which a sweep has told
	early := 0
	for kill := range kills {
		p := startSweep(t, args...)
		// Some moments lie before the first sample, some between file and rename.
		time.Sleep(time.Duration(rand.Int64N(int64(200 * time.Millisecond))))
		p.signal(t, syscall.SIGKILL)
		require.Equal(t, -1, p.cmd.ProcessState.ExitCode(), "kill %d came too late: the grid is too small\n%s", kill, p.printed())
		if _, err := os.Stat(filepath.Join(out, sweep.FileName)); os.IsNotExist(err) {
			early++
			continue
		}
		cp := load(t, out) // it parses
		reported = append(reported, benchLines(p.printed())...)
		requireSamples(t, cp, reported)
	}
	assert.Less(t, early, kills, "no sample was ever taken before the kill")
	t.Logf("%d kills, %d before the first sample; %d samples were told of until then", kills, early, len(reported))

	printed, code = startSweep(t, args...).wait()
	require.Zero(t, code, printed)
	hidden, err := filepath.Glob(filepath.Join(out, ".*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(out, bench.LockFile)}, hidden, "no unfinished save stays")
	assert.Equal(t, withoutTimes(t, whole, sweep.FileName), withoutTimes(t, out, sweep.FileName), "the finished file is that of a sweep that was never killed, but for times")
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

// benchLines returns the whole lines of benchmarks.
func benchLines(printed string) []string {
	return regexp.MustCompile(`(?m)^BenchmarkSweep/.* vram-bytes$`).FindAllString(printed, -1)
}

// requireSamples expects each of these lines of benchmarks to stand in the
// checkpoint.
func requireSamples(t *testing.T, cp *sweep.Checkpoint, reported []string) {
	t.Helper()
	var all strings.Builder
	require.NoError(t, report.WriteBench(&all, cp))
	have := make(map[string]int)
	for _, line := range benchLines(all.String()) {
		have[line]++
	}
	for _, line := range reported {
		have[line]--
		require.GreaterOrEqual(t, have[line], 0, "a sample that was told of is lost: %s", line)
	}
}

// withoutTimes returns a file's text without dates, times by our clock, and the
// command, whose config lies in another folder.
func withoutTimes(t *testing.T, out, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, file))
	require.NoError(t, err)
	return regexp.MustCompile(`"(wall_duration_ns|timestamp|started|command)": ?("[^"]*"|\d+)|and ([\d.]+(m|µ)?s) by the wall clock`).ReplaceAllString(string(text), `"$1": …`)
}

// TestSurvivesKillEmbedded does the same ten times on a real server, whose
// figures differ each time.
func TestSurvivesKillEmbedded(t *testing.T) {
	needsEngine(t)
	out := t.TempDir()
	args := []string{"-config", writeConfig(t, "engine: embedded\nconfirm: 0\nprompt: {tokens: 400}\nnum_ctx: {start: 512, end: 2048, step: 512}\nnum_batch: {start: 64, end: 512, step: 64}\nrepeat: 2\n"), "-out", out}
	seen := make(map[sweep.Cell][]parse.Sample)
	var reported []string
	for range inFull(10, 2) {
		p := startSweep(t, args...)
		p.await(t, "BenchmarkSweep/")
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Second))))
		p.signal(t, syscall.SIGKILL)
		requireEngineGone(t, out)
		cp := load(t, out)
		reported = append(reported, benchLines(p.printed())...)
		requireSamples(t, cp, reported)
		requireGrown(t, cp, seen)
	}
	printed, code := startSweep(t, args...).wait()
	require.Zero(t, code, printed)
	requireEngineGone(t, out)
	cp := load(t, out)
	requireGrown(t, cp, seen)
	require.Len(t, cp.Results, 4*8)
	for _, r := range cp.Results {
		assert.Len(t, r.Samples, 2)
		assert.False(t, r.Failed())
	}
}

// requireGrown expects all samples that were seen before, and notes the new ones.
func requireGrown(t *testing.T, cp *sweep.Checkpoint, seen map[sweep.Cell][]parse.Sample) {
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
	require.Equal(t, total, have, "none is lost")
}

// TestSurvivesAnotherSweep: two in one folder can't be, two on one server are
// told of.
func TestSurvivesAnotherSweep(t *testing.T) {
	out := t.TempDir()
	template := filepath.Join(t.TempDir(), "template")
	require.NoError(t, os.WriteFile(template, []byte("FROM tiny\n"), 0o644))
	_, args := simulated(t, out, "modelfile: "+template+"\n"+manyCells)
	first := startSweep(t, args...)
	first.await(t, "# 1/")

	printed, code := startSweep(t, args...).wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "another sweep is at work in "+out+": wait for it, or use another folder with -out")

	args[3] = t.TempDir()
	second := startSweep(t, args...)
	second.await(t, "# warning: other models: another sweep is at work on this server (ollama-sweep-tmp-")
	second.await(t, "# 1/")
	second.signal(t, syscall.SIGINT)
	assert.Contains(t, load(t, args[3]).Sweep.Warnings[0], "other models: another sweep is at work on this server (ollama-sweep-tmp-")
	printed, code = startSweep(t, append(args, "-exclusive")...).wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "wait for it, or leave -exclusive out")

	first.signal(t, syscall.SIGKILL) // its lock dies with it
	p := startSweep(t, append(args, "-out", out)...)
	p.await(t, "# deleted ollama-sweep-tmp-")
	p.await(t, "BenchmarkSweep/")
	p.signal(t, syscall.SIGINT)
}

// TestReadmeNamesItsTests: each promise has a test that is there.
func TestReadmeNamesItsTests(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(readme), "\n## What a sweep survives\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var tests strings.Builder
	for _, pattern := range []string{"internal/*/*_test.go", "ollamarun/*_test.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			tests.Write(text)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| [A-Z].* \\| (`.*`) \\|$").FindAllStringSubmatch(section, -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		for name := range strings.FieldsFuncSeq(row[1], func(r rune) bool { return r == '`' || r == ' ' }) {
			assert.Contains(t, tests.String(), "func Test"+name+"(")
		}
	}
}
