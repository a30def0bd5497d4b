package survives

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/internal/tinymodel"
)

// otherVersion and otherDigest are answers of a server that has replaced the captured one.
var (
	otherVersion = strings.Replace(ollamatest.Captured("version.json"), "0.10.1", "0.32.5", 1)
	otherDigest  = strings.Replace(ollamatest.Captured("tags.json"), "0df5935b", "deadbeef", 1)
)

// serverStart returns the log of a server's start.
func serverStart(cacheType, device string) string {
	return `msg="server config" env="map[OLLAMA_FLASH_ATTENTION:true OLLAMA_KV_CACHE_TYPE:` + cacheType + `]"` + "\n" +
		`msg="Listening on 127.0.0.1:11434 (version 0.10.1)"` + "\n" +
		`msg="inference compute" library=cuda driver=12.3 name="` + device + `" total="1 GiB"` + "\n"
}

// appendTo appends to a file, and creates it if needed.
func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// TestSurvivesAnotherServer replaces the server or the model during a sweep. None of its samples or
// failures is saved, and the sweep stops and reports the difference.
func TestSurvivesAnotherServer(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	// The prompts of the first cell are a warm-up, those that size the prompt, and three samples;
	// those of each other cell a warm-up and three samples.
	type at struct {
		cell   cell.Key
		prompt int
	}
	var (
		sizing      = at{sweeptest.SmallPlan[0], 3}
		firstSample = at{sweeptest.SmallPlan[0], 7}
		secondPair  = at{sweeptest.SmallPlan[1], 1} // its load
		inPair      = at{sweeptest.SmallPlan[1], 3}
	)
	const out500 = `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`
	for _, test := range []struct {
		name    string
		at      at                // the prompt from which on the other server answers
		answers map[string]string // of the other server, by path
		fails   bool              // the other server's prompts fail
		log     string            // of the other server
		first   bool              // no sample was saved before
		want    string
	}{
		{"version between samples", inPair, map[string]string{"/api/version": otherVersion}, false, "", false,
			`ollama_version was "0.10.1" and is now "0.32.5": what would be measured now belongs to another sweep: start a new sweep in another -out folder, or restore "0.10.1" and run the same command again`},
		{"version with a load", secondPair, map[string]string{"/api/version": otherVersion}, false, "", false, `ollama_version was "0.10.1" and is now "0.32.5"`},
		{"version while the prompt is sized", sizing, map[string]string{"/api/version": otherVersion}, false, "", true, `ollama_version was "0.10.1" and is now "0.32.5"`},
		{"version with the first sample", firstSample, map[string]string{"/api/version": otherVersion}, false, "", true, `ollama_version was "0.10.1" and is now "0.32.5"`},
		{"model between samples", inPair, map[string]string{"/api/tags": otherDigest}, false, "", false, `digest was "0df5935b21`},
		{"model with a load", secondPair, map[string]string{"/api/tags": otherDigest}, false, "", false, `" and is now "deadbeef`},
		{"a failure of the other server", secondPair, map[string]string{"/api/version": otherVersion}, true, "", false, `ollama_version was "0.10.1" and is now "0.32.5"`},
		{"settings", inPair, nil, false, serverStart("q8_0", "NVIDIA A"), false, `settings.OLLAMA_KV_CACHE_TYPE was "f16" and is now "q8_0"`},
		{"settings with a load", secondPair, nil, false, strings.Replace(serverStart("f16", "NVIDIA A"), "true", "false", 1), false, `settings.OLLAMA_FLASH_ATTENTION was "true" and is now "false"`},
		{"GPU", inPair, nil, false, serverStart("f16", "NVIDIA B"), false, `devices was "NVIDIA A (driver 12.3)" and is now "NVIDIA B (driver 12.3)"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, log := t.TempDir(), filepath.Join(t.TempDir(), "server.log")
			appendTo(t, log, serverStart("f16", "NVIDIA A"))
			server, args := sweeptest.Simulated(t, out, "server_log: "+log+"\n"+sweeptest.SmallGrid)
			generate := server.Answers["/api/generate"]
			prompts := sweeptest.PromptCounter{Cell: test.at.cell}
			server.Inject(func(r ollamatest.Request) http.HandlerFunc {
				if prompts.Next(r) && prompts.N == test.at.prompt && test.log != "" {
					appendTo(t, log, test.log)
				}
				other := prompts.N >= test.at.prompt
				if strings.Contains(r.Body, `"num_ctx"`) {
					if test.fails && other {
						return ollamatest.ReplyStatus(500, out500)
					}
					if other {
						return slower(generate)
					}
				}
				if answer, ok := test.answers[r.Path]; ok && other {
					return ollamatest.Reply(answer)
				}
				return nil
			})
			printed, code := sweeptest.Start(t, args...).Wait()
			assert.Equal(t, 1, code, printed)
			assert.Contains(t, printed, test.want)
			assert.Contains(t, printed, "# to resume: restore the old state and run the same command again, or start a new sweep in another -out folder")
			kept := len(sweeptest.BenchLines(printed))
			if test.first {
				assert.Zero(t, kept)
				assert.NoFileExists(t, filepath.Join(out, "benchmark_results.json"))
			} else {
				assert.NotZero(t, kept)
				cp := sweeptest.Load(t, out)
				sweeptest.RequireReported(t, cp, sweeptest.BenchLines(printed))
				for _, r := range cp.Results {
					assert.False(t, r.Failed(), "%v %s", r.Cell(), r.Detail)
					for _, sample := range r.Samples {
						assert.Equal(t, ownEval, sample.EvalDuration, "a sample of the first server")
					}
				}
			}

			if !test.first {
				printed, code = sweeptest.Start(t, args...).Wait()
				assert.Equal(t, 1, code, "it is still the other server")
				assert.Contains(t, printed, "belongs to another sweep")
			}
			server.Inject(nil)
			appendTo(t, log, serverStart("f16", "NVIDIA A"))
			printed, code = sweeptest.Start(t, args...).Wait()
			assert.Zero(t, code, printed)
			assert.Len(t, sweeptest.BenchLines(printed), 18-kept, "the sweep resumes once the first server is back")
		})
	}
}

// ownEval is the eval_duration in the answers of a simulated server with a clock of 100, otherEval that of the other server.
const ownEval, otherEval = 62919400 * time.Nanosecond, 125838800 * time.Nanosecond

// slower answers as the server that has replaced the first one.
func slower(generate http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		generate(answer, r)
		io.WriteString(w, strings.Replace(answer.Body.String(), strconv.Itoa(int(ownEval)), strconv.Itoa(int(otherEval)), 1))
	}
}

func benchText(t *testing.T, out string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "bench.txt"))
	require.NoError(t, err)
	return string(text)
}

// TestSurvivesAnotherServerAfterAnAbsence: a server that comes back is checked before a cell is
// loaded on it.
func TestSurvivesAnotherServerAfterAnAbsence(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	var mu sync.Mutex
	second, otherPrompts := sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[1]}, 0
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		mu.Lock()
		defer mu.Unlock()
		if second.Next(r) && second.N == 3 {
			return ollamatest.BreakOff("")
		}
		if second.N < 3 {
			return nil
		}
		if strings.Contains(r.Body, `"num_ctx"`) {
			otherPrompts++
		}
		if r.Path == "/api/version" {
			return ollamatest.Reply(otherVersion)
		}
		return nil
	})
	printed, code := sweeptest.Start(t, args...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, `ollama_version was "0.10.1" and is now "0.32.5"`)
	assert.NotEmpty(t, sweeptest.BenchLines(printed))
	assert.Zero(t, otherPrompts, "prompts to the other server")
}

// TestSurvivesAnotherPlace: a sweep is resumed only on the server and the machine on which it began,
// under any of their names; a shard is resumed anywhere.
func TestSurvivesAnotherPlace(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	const grid = "prompt: {tokens: 200}\nnum_ctx: [512]\nnum_batch: [64, 128]\nbaseline: false\nconfirm: 0\n"
	local := func(s *ollamatest.Server, host string) string { return "http://" + host + ":" + s.URL.Port() }
	for _, test := range []struct {
		name           string
		machine, after string // SWEEP_HOST
		host           func(was, other *ollamatest.Server) string
		flags          []string
		want           string // empty if the sweep is resumed
	}{
		{"another host", "", "", func(_, s *ollamatest.Server) string { return s.URL.String() }, nil, "belongs to another sweep: host is "},
		{"another name of the host", "", "", func(s, _ *ollamatest.Server) string { return local(s, "localhost") }, nil, ""},
		{"a user for the host", "", "", func(s, _ *ollamatest.Server) string { return "http://me:secret@" + s.URL.Host + "/" }, nil, ""},
		{"another host with the same SWEEP_HOST", "a", "a", func(_, s *ollamatest.Server) string { return s.URL.String() }, nil, ""},
		{"another machine", "a", "b", func(s, _ *ollamatest.Server) string { return s.URL.String() }, nil, `belongs to another sweep: machine is "a" there and "b" here`},
		{"a shard on another machine and host", "a", "b", func(_, s *ollamatest.Server) string { return s.URL.String() }, []string{"-shard=1/2"}, ""},
		{"another name of the model", "", "", func(s, _ *ollamatest.Server) string { return s.URL.String() }, []string{"-model=tiny:latest"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			was, args := sweeptest.Simulated(t, out, grid)
			other, _ := sweeptest.Simulated(t, out, grid)
			first := append(args, "-budget=1cells")
			if strings.HasPrefix(strings.Join(test.flags, ""), "-shard") {
				first = append(first, test.flags...)
			}
			printed, code := sweeptest.StartWithEnv(t, []string{"SWEEP_HOST=" + test.machine}, first...).Wait()
			require.Zero(t, code, printed)
			assert.NotContains(t, benchText(t, out), was.URL.Host)

			again := append(args, append(test.flags, "-host="+test.host(was, other))...)
			printed, code = sweeptest.StartWithEnv(t, []string{"SWEEP_HOST=" + test.after}, again...).Wait()
			if test.want != "" {
				assert.Equal(t, 1, code)
				assert.Contains(t, printed, test.want)
				return
			}
			assert.Zero(t, code, printed)
			assert.NotContains(t, printed, "secret")
		})
	}
}

// TestSurvivesOtherWeights: a template's weights file is identified by its content. The ollama
// command reads it for each load, so replacing it stops a sweep that runs. Over the API it is
// uploaded once, and only the next start detects another one.
func TestSurvivesOtherWeights(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	sweeptest.NeedsEngine(t)
	for _, runner := range []string{"cli", "api"} {
		t.Run(runner, func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			weights, aside := filepath.Join(dir, "weights.gguf"), filepath.Join(dir, "aside.gguf")
			require.NoError(t, tinymodel.Write(weights))
			template := filepath.Join(dir, "Modelfile")
			require.NoError(t, os.WriteFile(template, []byte("FROM ./weights.gguf\nPARAMETER num_thread 1\n"), 0o644))
			config := sweeptest.WriteConfig(t, "engine: embedded\nrunner: "+runner+"\nmodelfile: "+template+"\n"+sweeptest.RealGrid)
			// The ollama command replaces them, and so not while the sweep hashes them.
			replace, command := filepath.Join(dir, "replace"), filepath.Join(t.TempDir(), "ollama")
			script.Write(t, command, fmt.Sprintf(`mv %q %q 2>/dev/null; exec %q "$@"`, replace, weights, sweeptest.Ollama(t)))
			args := []string{"-config", config, "-out", out, "-ollama", command}
			text, err := os.ReadFile(weights)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(aside, text, 0o644))
			text[len(text)-1] ^= 1
			replacement := filepath.Join(dir, "replacement.gguf")
			require.NoError(t, os.WriteFile(replacement, text, 0o644))
			p := sweeptest.Start(t, args...)
			p.Await(t, "# 1/6")
			if runner == "cli" {
				require.NoError(t, os.Rename(replacement, replace))
			} else {
				require.NoError(t, os.Rename(replacement, weights))
			}
			printed, code := p.Wait()
			if runner == "cli" {
				assert.Equal(t, 1, code, printed)
				assert.Contains(t, printed, `weights was "weights.gguf (sha256 `)
				assert.Less(t, len(sweeptest.BenchLines(printed)), 18)
			} else {
				assert.Zero(t, code, printed)
			}
			kept := len(sweeptest.BenchLines(printed))

			printed, code = sweeptest.Start(t, args...).Wait()
			assert.Equal(t, 1, code, printed)
			assert.Contains(t, printed, `belongs to another sweep: weights is "weights.gguf (sha256 `)
			require.NoError(t, os.Rename(aside, weights))
			printed, code = sweeptest.Start(t, args...).Wait()
			assert.Zero(t, code, printed)
			assert.Len(t, sweeptest.BenchLines(printed), 18-kept)
		})
	}
}
