package survives

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// chatAround makes another client send a request before a sweep's n-th prompt, counting warm-ups, and
// another request after it. It returns the number of these requests.
func chatAround(t *testing.T, server *ollamatest.Server, body string, n int32) *atomic.Int32 {
	var prompts, chats atomic.Int32
	generate := server.Answers["/api/generate"]
	server.Inject(func(r ollamatest.Request) http.HandlerFunc {
		if r.Path != "/api/generate" || !strings.Contains(r.Body, `"num_batch"`) || prompts.Add(1) != n {
			return nil
		}
		return func(w http.ResponseWriter, r *http.Request) {
			chat := func() {
				answer, err := http.Post(server.URL.String()+"/api/generate", "application/json", bytes.NewBufferString(body))
				if assert.NoError(t, err) {
					answer.Body.Close()
					chats.Add(1)
				}
			}
			chat()
			generate(w, r)
			chat()
		}
	})
	return &chats
}

// chatConstantly makes several clients repeat a request until the test ends.
func chatConstantly(t *testing.T, server *ollamatest.Server, body string) {
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	t.Cleanup(func() { stop(); clients.Wait() })
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL.String()+"/api/generate", strings.NewReader(body))
				if !assert.NoError(t, err) {
					return
				}
				if answer, err := http.DefaultClient.Do(request); err == nil {
					answer.Body.Close()
				}
			}
		})
	}
}

// TestSurvivesAChat: another client uses the model between two prompts of a sweep. A sample for which
// the model was reloaded does not count, and one next to a chat with the same settings is marked.
func TestSurvivesAChat(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	const grid = "prompt: {tokens: 300}\nnum_ctx: [1024]\nnum_batch: [64, 128]\nrepeat: 4\nconfirm: 0\nbaseline: false\n"
	for name, test := range map[string]struct {
		body   string
		marked int
	}{
		"other settings":    {`{"model":"tiny","prompt":"hello","options":{"num_ctx":512}}`, 0},
		"the same settings": {`{"model":"tiny","prompt":"hello","keep_alive":"1h","options":{"num_ctx":1024,"num_batch":64}}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			server, args := sweeptest.Simulated(t, out, grid)
			const sizing = 6 // prompts before the first sample
			chats := chatAround(t, server, test.body, sizing+3)
			printed, code := sweeptest.Start(t, args...).Wait()
			require.Zero(t, code, printed)
			require.Equal(t, int32(2), chats.Load())
			marked := 0
			for _, r := range sweeptest.Load(t, out).Results {
				assert.Len(t, r.Samples, 4)
				for _, s := range r.Samples {
					assert.Less(t, s.LoadDuration, r.Warmup.LoadDuration/2, "no sample is the first prompt after a load")
					if s.OtherClient {
						marked++
					}
				}
			}
			assert.Equal(t, test.marked, marked, printed)
		})
	}
}

// TestSurvivesConstantCompany: other clients use the model with the same settings all the time, so no
// prompt is evaluated without others. Every sample is marked. With -exclusive, or if the server times
// only a part of a prompt, no sample counts, and no cell fails for that.
func TestSurvivesConstantCompany(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	const grid = "prompt: {tokens: 300}\nnum_ctx: [1024]\nnum_batch: [64]\nrepeat: 4\nconfirm: 0\nbaseline: false\n"
	for name, test := range map[string]struct {
		version, keep string
		flags         []string
		marked        bool
	}{
		"marked":                   {"0.32.5", "", nil, true},
		"marked, other keep_alive": {"0.32.5", `"keep_alive":"5m",`, nil, true},
		"exclusive":                {"0.32.5", "", []string{"-exclusive"}, false},
		"timed in part":            {"0.10.1", "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			server, args := sweeptest.SimulatedBy(t, 1, out, grid)
			server.Inject(func(r ollamatest.Request) http.HandlerFunc {
				if r.Path != "/api/version" {
					return nil
				}
				return ollamatest.Reply(`{"version":"` + test.version + `"}`)
			})
			chatConstantly(t, server, `{"model":"tiny","prompt":"`+strings.Repeat("word ", 100)+`",`+test.keep+`"options":{"num_ctx":1024,"num_batch":64}}`)
			sweep := sweeptest.Start(t, append(args, test.flags...)...)
			if !test.marked {
				sweep.Await(t, "# ctx=1024/batch=64: a sample does not count: ")
				sweep.Signal(t, syscall.SIGINT)
			}
			printed, code := sweep.Wait()
			if !test.marked {
				assert.Contains(t, printed, "stop whatever else uses this server")
				assert.NotContains(t, printed, "BenchmarkSweep/")
				assert.NotContains(t, printed, "Parse error")
				return
			}
			require.Zero(t, code, printed)
			for _, r := range sweeptest.Load(t, out).Results {
				require.Len(t, r.Samples, 4)
				for i, s := range r.Samples {
					assert.True(t, s.OtherClient, "sample %d", i)
				}
			}
		})
	}
}

// TestSurvivesTwoOnOneServer: two sweeps of one model at once. The second reports the first at its
// start, and the first reports the second once it has an effect. No checkpoint has samples that were
// disturbed by the other's loads.
func TestSurvivesTwoOnOneServer(t *testing.T) {
	race.SkipRepeated(t)
	t.Parallel()
	out, other := t.TempDir(), t.TempDir()
	_, args := sweeptest.Simulated(t, out, manyCells)
	args = append(args, "-repeat", "3")
	first := sweeptest.Start(t, args...)
	first.Await(t, "# 2/")

	exclusive := append(append([]string{}, args...), "-out", t.TempDir(), "-exclusive")
	printed, code := sweeptest.Start(t, exclusive...).Wait()
	assert.Equal(t, 1, code)
	assert.Contains(t, printed, "another sweep uses this server (ollama-sweep-tmp-")
	assert.NotContains(t, printed, "BenchmarkSweep/")

	second := sweeptest.Start(t, append(append([]string{}, args...), "-out", other)...)
	second.Await(t, "# warning: other models: another sweep uses this server (ollama-sweep-tmp-")
	first.Await(t, "# ctx=")
	assert.Contains(t, first.Printed(), "a sample does not count: warm-up: the model was loaded again for a sample")
	first.Signal(t, syscall.SIGINT)
	second.Signal(t, syscall.SIGINT)
	for _, dir := range []string{out, other} {
		for _, r := range sweeptest.Load(t, dir).Results {
			for _, s := range r.Samples {
				assert.Less(t, s.LoadDuration, r.Warmup.LoadDuration/2, "no sample is the first prompt after a load")
			}
		}
	}
}
