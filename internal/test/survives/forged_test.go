package survives

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// forged has, after each kind of line break, lines that benchstat, go test or GitHub's runner would
// interpret, and escape sequences that a terminal would.
const forged = "x\n" +
	"BenchmarkSweep/ctx=512/batch=64 1 100000000 tokens/s 0 vram-bytes\n" +
	"BenchmarkSweep/ctx=9/batch=9 1 9 tokens/s\r\nBenchmarkSweep/ctx=9/batch=9 1 9 tokens/s\r" +
	"BenchmarkSweep/ctx=9/batch=9 1 9 tokens/s\u2028BenchmarkSweep/ctx=9/batch=9 1 9 tokens/s\n" +
	"Unit tokens/s better=lower\ngoos: plan9\nmodel: another\n--- PASS: TestSweep (0.00s)\nPASS\nok  \tsweep\t1s\n" +
	"::error::stop\n  ::add-mask::x\n##[error]stop\n\x1b[2J\x1b]0;owned\x07\u202e\n\nBenchmarkSweep/ctx=9/batch=9 1 9 tokens/s"

// quoted returns forged as the inside of a JSON string.
func quoted() string {
	text, _ := json.Marshal(forged) // encoding a string can't fail
	return strings.Trim(string(text), `"`)
}

// requireNothingForged reads standard output as benchstat, go test, GitHub's runner and a terminal do.
func requireNothingForged(t *testing.T, printed string) {
	t.Helper()
	r := benchfmt.NewReader(strings.NewReader(printed), "stdout")
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.UnitMetadata:
			assert.Equal(t, "better=higher", rec.Key+"="+rec.Value)
		case *benchfmt.Result:
			assert.NotContains(t, rec.Name.String(), "ctx=9")
			rate, _ := rec.Value("tokens/s")
			assert.Less(t, rate, 1e6)
			assert.NotEqual(t, "plan9", rec.GetConfig("goos"))
			assert.NotEqual(t, "another", rec.GetConfig("model"))
		}
	}
	require.NoError(t, r.Err())
	assert.NotRegexp(t, `(?m)^\s*::|##\[|^(--- PASS: TestSweep \(0\.00s\)|ok  )`, printed)
	assert.NotRegexp(t, "[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u2028\u202e]", printed)
}

// TestSurvivesForgedLines: text of a server, wherever it is printed, is not interpreted by another
// program.
func TestSurvivesForgedLines(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	failure := ollamatest.ReplyStatus(500, `{"error":"`+quoted()+`"}`)
	at := func(path string, n int, answer http.HandlerFunc) func(ollamatest.Request) http.HandlerFunc {
		asked := 0
		return func(r ollamatest.Request) http.HandlerFunc {
			if r.Path != path {
				return nil
			}
			if asked++; asked < n {
				return nil
			}
			return answer
		}
	}
	once := func(fault func(ollamatest.Request) http.HandlerFunc) func(ollamatest.Request) http.HandlerFunc {
		sent := false
		return func(r ollamatest.Request) http.HandlerFunc {
			if sent {
				return nil
			}
			answer := fault(r)
			sent = answer != nil
			return answer
		}
	}
	for _, test := range []struct {
		name  string
		fault func(ollamatest.Request) http.HandlerFunc
		code  int
	}{
		{"a cell's failure", once(at("/api/generate", 12, failure)), 0},
		{"failures of all", at("/api/generate", 12, failure), 1},
		{"a failure to be tried again", at("/api/generate", 12, ollamatest.ReplyStatus(500, `{"error":"CUDA error: out of memory `+quoted()+`"}`)), 1},
		{"busy", once(at("/api/generate", 12, ollamatest.ReplyStatus(503, `{"error":"server busy, please try again `+quoted()+`"}`))), 0},
		{"a version", at("/api/version", 1, ollamatest.Reply(`{"version":"`+quoted()+`"}`)), 0},
		{"no version", at("/api/version", 1, failure), 1},
		{"no model", at("/api/show", 1, ollamatest.ReplyStatus(404, `{"error":"`+quoted()+`"}`)), 1},
		{"models", at("/api/tags", 1, ollamatest.Reply(`{"models":[{"name":"ollama-sweep-tmp-`+quoted()+`"},{"name":"tiny:latest","digest":"`+quoted()+`"}]}`)), 0},
		{"a model in memory", at("/api/ps", 1, ollamatest.Reply(`{"models":[{"name":"`+quoted()+`","model":"y","digest":"z","size":5}]}`)), 0},
		{"a redirect", at("/api/show", 1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/%0ABenchmarkSweep/ctx=9/batch=9%201%209%20tokens/s")
			w.WriteHeader(302)
		}), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "a\nBenchmarkSweep/ctx=9/batch=9 1 9 tokens\x1b[2J")
			server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
			server.Inject(test.fault)
			for range 2 { // the second run prints the checkpoint's text
				printed, code := sweeptest.Start(t, append(args, "-test.v")...).Wait()
				assert.Equal(t, test.code, code, printed)
				requireNothingForged(t, printed)
			}
		})
	}
}

// TestSurvivesForgedCheckpoint: text of a checkpoint, wherever it is printed, is not interpreted by
// another program.
func TestSurvivesForgedCheckpoint(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		if strings.Contains(r.Body, `"num_batch":128`) {
			return ollamatest.ReplyStatus(400, `{"error":"no"}`)
		}
		return nil
	})
	printed, code := sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	file := filepath.Join(out, checkpoint.FileName)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), `"detail":"no"`)
	tampered := strings.NewReplacer(
		`"detail":"no"`, `"detail":"`+quoted()+`"`,
		`"settings":"as asked"`, `"settings":"as asked","warnings":["other models: `+quoted()+`"]`,
		`"ollama_version":"0.10.1"`, `"ollama_version":"`+quoted()+`"`,
	).Replace(string(text))
	require.NotEqual(t, string(text), tampered)
	other := filepath.Join(t.TempDir(), "b\nBenchmarkSweep/ctx=9/batch=9 1 9 tokens")
	require.NoError(t, os.MkdirAll(other, 0o755))
	for _, folder := range []string{out, other} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, checkpoint.FileName), []byte(tampered), 0o644))
	}

	printed, _ = sweeptest.Start(t, append(args, "-test.v")...).Wait()
	requireNothingForged(t, printed)
	for _, command := range [][]string{
		{"./scripts/report", "-v", "-in", out},
		{"./scripts/report", "-v", "-in", out, "-in", other, "-out", filepath.Join(t.TempDir(), "merged")},
		{"./scripts/compare", out, other},
		{"./scripts/plan", "-config", args[1], "-out", other},
		{"./scripts/simulate", "-seeds", "1", filepath.Join(other, checkpoint.FileName)},
	} {
		cmd := exec.Command("go", append([]string{"run"}, command...)...)
		cmd.Dir = sweeptest.Root
		printed, err := cmd.CombinedOutput()
		assert.NotEmpty(t, printed, "%v: %v", command, err)
		requireNothingForged(t, strings.ReplaceAll(string(printed), "\r", "")) // of the progress bar on standard error
	}
}
