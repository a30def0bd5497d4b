package survives

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
	"github.com/ollama-sweep/ollama-sweep/internal/tinymodel"
)

// maxMemory is the memory that a sweep may use at most, whatever a server sends: well above that of
// a sweep without faults (60 MB), and far below the size of the endless answers.
const maxMemory = 300 << 20

// TestSurvivesServerFaults injects a fault into the second of six cells. The cells after the fault
// have to be measured, and no cell may fail for a fault that was not its own.
func TestSurvivesServerFaults(t *testing.T) {
	t.Parallel()
	const (
		firstOfPair = 1 // the load
		inPair      = 3
	)
	answer := ollamatest.Captured("generate.ndjson")
	firstLine, _, _ := strings.Cut(answer, "\n")
	figure := func(captured, instead string) http.HandlerFunc {
		return ollamatest.Reply(strings.Replace(answer, captured, instead, 1))
	}
	const none = measurement.Class("")
	for i, test := range []struct {
		name     string
		fault    http.HandlerFunc
		from, to int               // prompts of the cell that get the fault
		failed   measurement.Class // of the cell
		detail   string            // of the failure
		printed  string
	}{
		{"busy", ollamatest.ReplyStatus(503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`), inPair, inPair, none, "", "server busy"},
		{"loading for three prompts", ollamatest.ReplyStatus(503, `{"error":"{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}"}`), inPair, inPair + 2, none, "", "server busy: Loading model"},
		{"a proxy's page", ollamatest.ReplyPage(200, "<html>log in</html>"), inPair, inPair + 1, none, "", "the answer is a web page (200 OK), not Ollama's"},
		{"a proxy's error", ollamatest.ReplyPage(502, "<html>502 Bad Gateway</html>"), inPair, inPair + 1, none, "", "a proxy can't reach the server: 502 Bad Gateway"},
		{"closed before the header", ollamatest.BreakOff(""), inPair, inPair + 1, none, "", "EOF"},
		{"closed in the stream", ollamatest.BreakOff(firstLine + "\n"), inPair, inPair + 1, none, "", "the answer broke off: unexpected EOF"},
		{"closed in a line", ollamatest.BreakOff(firstLine[:30]), inPair, inPair + 1, none, "", "the answer broke off"},
		{"closed three times", ollamatest.BreakOff(firstLine), firstOfPair, firstOfPair + 2, measurement.RunnerCrashed, "the server went away 3 times during this cell: the answer broke off: unexpected EOF", ""},
		{"no end", ollamatest.Endless(strings.Replace(firstLine, `"H"`, `"`+strings.Repeat("H", 1<<16)+`"`, 1) + "\n"), inPair, inPair, none, "", "the answer is longer than 64 MB"},
		{"a line without end", ollamatest.Endless(strings.Repeat("x", 1<<16)), inPair, inPair, measurement.NoFigures, "not an answer of Ollama: bufio.Scanner: token too long", ""},
		{"invalid JSON", ollamatest.Reply(`{"model":"tiny","response":` + "\n"), inPair, inPair, measurement.NoFigures, "not an answer of Ollama", ""},
		{"hanging in the load", ollamatest.Hang(""), firstOfPair, firstOfPair, measurement.Timeout, "not done within 2s (cell_timeout)", ""},
		{"hanging before the header", ollamatest.Hang(""), inPair, inPair, measurement.Timeout, "not done within 2s (cell_timeout)", ""},
		{"hanging in the stream", ollamatest.Hang(firstLine + "\n"), inPair, inPair, measurement.Timeout, "not done within 2s (cell_timeout)", ""},
		{"negative", figure(`"prompt_eval_count":21`, `"prompt_eval_count":-21`), inPair, inPair, measurement.NoFigures, "a negative figure: prompt_eval_count is -21", ""},
		{"zero", figure(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":0`), inPair, inPair + 3, measurement.NoFigures, "without the message that holds the figures, for each of 4 prompts", ""},
		{"zero three times", figure(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":0`), inPair, inPair + 2, none, "", ""},
		{"no answer three times", ollamatest.Reply(""), inPair, inPair + 2, none, "", ""},
		{"NaN", figure(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":NaN`), inPair, inPair, measurement.NoFigures, "not an answer of Ollama", ""},
		{"1e308", figure(`"prompt_eval_count":21`, `"prompt_eval_count":1e308`), inPair, inPair, measurement.NoFigures, "cannot unmarshal number 1e308", ""},
		{"the longest duration", figure(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":9223372036854775807`), inPair, inPair, none, "", "a sample does not count: impossible figures"},
		{"the largest count", figure(`"prompt_eval_count":21`, `"prompt_eval_count":9223372036854775807`), inPair, inPair, none, "", "a sample does not count: prompt cache"},
		{"out of memory once", ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`), firstOfPair, firstOfPair, none, "", "waiting for the memory to be given back"},
		{"out of memory", ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`), firstOfPair, firstOfPair + 1, measurement.OutOfGPUMemory, "cudaMalloc failed: out of memory", ""},
	} {
		for which, sweep := range sweeptest.SmallSweeps {
			if !*long && which != i%len(sweeptest.SmallSweeps) {
				continue
			}
			t.Run(test.name+", "+sweep.Name, func(t *testing.T) {
				t.Parallel()
				out := t.TempDir()
				timeout := "1m" // a busy machine may take a while to read 64 MB
				if test.failed == measurement.Timeout {
					timeout = "2s"
				}
				server, args := sweeptest.Simulated(t, out, "cell_timeout: "+timeout+"\n"+sweep.Config)
				second := sweeptest.PromptCounter{Cell: sweep.Plan[1]}
				server.Inject(func(r ollamatest.Request) http.HandlerFunc {
					if !second.Next(r) || second.N < test.from || second.N > test.to {
						return nil
					}
					return test.fault
				})
				p := sweeptest.Start(t, args...)
				p.WatchMemory()
				printed, code := p.Wait()
				require.Zero(t, code, printed)
				server.Inject(nil)
				assert.GreaterOrEqual(t, second.N, test.to, "the fault was injected")
				assert.Contains(t, printed, test.printed)
				cp := sweeptest.Load(t, out)
				require.Len(t, cp.Results, len(sweep.Plan))
				for i, r := range cp.Results {
					assert.Equal(t, sweep.Plan[i], r.Cell())
					if test.failed != none && r.Cell() == second.Cell {
						require.NotNil(t, r.Error, printed)
						assert.Equal(t, test.failed, *r.Error, r.Detail)
						assert.Contains(t, r.Detail, test.detail)
						continue
					}
					assert.False(t, r.Failed(), "%v %s", r.Cell(), r.Detail)
					assert.Len(t, r.Samples, 3)
				}
				requireLittleMemory(t, p)
			})
		}
	}
}

func requireLittleMemory(t *testing.T, p *sweeptest.Process) {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err == nil {
		require.Positive(t, p.PeakMemory())
	}
	t.Logf("at most %d MB", p.PeakMemory()>>20)
	require.Less(t, p.PeakMemory(), int64(maxMemory))
}

// TestSurvivesServerThatStops has faults that waiting can't fix: the sweep stops, no cell has failed,
// and the same command resumes it.
func TestSurvivesServerThatStops(t *testing.T) {
	t.Parallel()
	missing := ollamatest.ReplyStatus(404, strings.Replace(ollamatest.Captured("generate-missing.json"), "nosuch", "tiny", 1))
	for _, test := range []struct {
		name  string
		fault http.HandlerFunc
		want  string
	}{
		{"the model is deleted", missing, `model "tiny" is not on the server any more (model 'tiny' not found): restore it and run the same command again to resume`},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		}, "the server redirects to https://elsewhere.example/ (307 Temporary Redirect): name Ollama's own address with -host"},
		{"a password", ollamatest.ReplyPage(401, ""), "the server refuses the request (401 Unauthorized)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := t.TempDir()
			server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
			second := sweeptest.PromptCounter{Cell: sweeptest.SmallPlan[1]}
			server.Inject(func(r ollamatest.Request) http.HandlerFunc {
				second.Next(r)
				if second.N >= 3 && (r.Path == "/api/generate" || r.Path == "/api/show") {
					return test.fault
				}
				return nil
			})
			printed, code := sweeptest.Start(t, args...).Wait()
			assert.Equal(t, 1, code)
			assert.Contains(t, printed, "# stopped: ")
			assert.Contains(t, printed, test.want)
			before := sweeptest.Load(t, out)
			require.Len(t, before.Results, 2)
			for _, r := range before.Results {
				assert.False(t, r.Failed())
			}

			server.Inject(nil)
			printed, code = sweeptest.Start(t, args...).Wait()
			require.Zero(t, code, printed)
			assert.Len(t, sweeptest.Load(t, out).Results, len(sweeptest.SmallPlan))
		})
	}
}

// TestSurvivesServerAway stops the server in the middle of a cell: for a moment, and for longer than
// server_wait.
func TestSurvivesServerAway(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	server, args := sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	p := sweeptest.Start(t, args...)
	p.Await(t, "# 2/6 ")
	server.Stop()
	p.Await(t, "# waiting up to 30s for the Ollama server at "+server.URL.String()+": ")
	require.NoError(t, server.Start())
	printed, code := p.Wait()
	require.Zero(t, code, printed)
	for _, r := range sweeptest.Load(t, out).Results {
		assert.False(t, r.Failed(), r.Detail)
		assert.Len(t, r.Samples, 3)
	}

	out = t.TempDir()
	server, args = sweeptest.Simulated(t, out, sweeptest.SmallGrid)
	args = append(args, "-config", sweeptest.WriteConfig(t, "model: tiny\nhost: "+server.URL.String()+"\nserver_wait: 2s\n"+sweeptest.SmallGrid))
	p = sweeptest.Start(t, args...)
	p.Await(t, "# 2/6 ")
	server.Stop()
	printed, code = p.Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "stayed away for 2s (server_wait): ")
	assert.Contains(t, printed, "# to resume: run the same command again")
	cp := sweeptest.Load(t, out)
	sweeptest.RequireReported(t, cp, sweeptest.BenchLines(printed))
	require.NoError(t, server.Start())
	printed, code = sweeptest.Start(t, args...).Wait()
	require.Zero(t, code, printed)
	assert.Len(t, sweeptest.Load(t, out).Results, len(sweeptest.SmallPlan))
}

// TestSurvivesOddServers starts sweeps on servers that are not an Ollama or answer nonsense.
func TestSurvivesOddServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, path string
		fault      http.HandlerFunc
		code       int
		want       string
	}{
		{"a version that makes no sense", "/api/version", ollamatest.Reply(`{"version":"banana\nBenchmarkSweep/ctx=1/batch=1 1 9 tokens/s"}`), 0, "\nollama: banana BenchmarkSweep/ctx=1/batch=1 1 9 tokens/s\n"},
		{"a page", "/api/version", ollamatest.ReplyPage(200, "<html>welcome</html>"), 1, "stayed away for 1s (server_wait): the answer is a web page (200 OK), not Ollama's"},
		{"another server", "/api/version", http.NotFound, 1, "the server has no /api/version (404 Not Found): is Ollama at that address?"},
		{"a redirect", "/api/version", http.RedirectHandler("/login", http.StatusFound).ServeHTTP, 1, "/login (302 Found): name Ollama's own address with -host"},
		{"a version without end", "/api/version", ollamatest.Endless(strings.Repeat("x", 1<<16)), 1, "the answer is longer than 64 MB"},
		{"a list without end", "/api/tags", ollamatest.Endless(strings.Repeat("x", 1<<16)), 1, "the answer is longer than 64 MB"},
		{"no JSON", "/api/ps", ollamatest.Reply("what"), 1, "listing loaded models: Parse error: not an answer of Ollama: invalid character 'w'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, _ := sweeptest.Simulated(t, "", "")
			server.Inject(func(r ollamatest.Request) http.HandlerFunc {
				if r.Path == test.path {
					return test.fault
				}
				return nil
			})
			config := sweeptest.WriteConfig(t, "model: tiny\nhost: "+server.URL.String()+"\nserver_wait: 1s\n"+sweeptest.SmallGrid)
			p := sweeptest.Start(t, "-config", config, "-out", t.TempDir())
			p.WatchMemory()
			printed, code := p.Wait()
			assert.Equal(t, test.code, code, printed)
			assert.Contains(t, printed, test.want)
			requireLittleMemory(t, p)
		})
	}
}

// TestSurvivesEndOfARealServer kills a real server in the middle of a cell and restarts it, as
// systemd does.
func TestSurvivesEndOfARealServer(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	home := t.TempDir()
	engine := sweeptest.StartEngine(t, home)
	u, command := engine.Server.URL, engine.Ollama
	gguf := filepath.Join(home, "tiny.gguf")
	require.NoError(t, tinymodel.Write(gguf))
	require.NoError(t, engine.Stop()) // its port is free now
	serve := func() *exec.Cmd {
		cmd := exec.Command(command, "serve")
		cmd.Env = append(os.Environ(), "HOME="+home, "OLLAMA_MODELS="+filepath.Join(home, "models"), "OLLAMA_HOST="+u.Host)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() })
		return cmd
	}
	server := serve()
	client := api.NewClient(u, http.DefaultClient)
	require.Eventually(t, func() bool { return client.Heartbeat(t.Context()) == nil }, 20*time.Second, 50*time.Millisecond)
	modelfile := filepath.Join(home, "Modelfile")
	require.NoError(t, os.WriteFile(modelfile, []byte("FROM "+gguf+"\nPARAMETER num_thread 1\n"), 0o644))
	create := exec.Command(command, "create", "tiny", "-f", modelfile)
	create.Env = append(os.Environ(), "HOME="+home, "OLLAMA_HOST="+u.Host)
	require.NoError(t, create.Run())

	for _, sweep := range sweeptest.SmallSweeps {
		t.Run(sweep.Name, func(t *testing.T) {
			out := t.TempDir()
			p := sweeptest.Start(t, "-config", sweeptest.WriteConfig(t, "model: tiny\nhost: "+u.String()+"\n"+sweep.Config), "-out", out)
			for _, cell := range []int{2, 4} {
				p.Await(t, fmt.Sprintf("# %d/6 ", cell))
				require.NoError(t, syscall.Kill(-server.Process.Pid, syscall.SIGKILL))
				server.Wait()
				server = serve()
			}
			printed, code := p.Wait()
			require.Zero(t, code, printed)
			assert.Contains(t, printed, ": waiting for it, then measuring the cell again\n")
			cp := sweeptest.Load(t, out)
			require.Len(t, cp.Results, len(sweep.Plan))
			for i, r := range cp.Results {
				assert.Equal(t, sweep.Plan[i], r.Cell())
				assert.False(t, r.Failed(), r.Detail)
				assert.Len(t, r.Samples, 3)
			}
		})
	}
}
