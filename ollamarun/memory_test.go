package ollamarun

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// TestUnloadFindsForeignModels checks that a single model that stays in memory when
// ours was unloaded does not count as ours under another tag.
func TestUnloadFindsForeignModels(t *testing.T) {
	t.Parallel()
	f, s := newFakeServer(t)
	stays := inMemory(t, "llama3.1:8b")
	f.Answers["/api/generate"] = func(w http.ResponseWriter, _ *http.Request) {
		f.Answers["/api/ps"] = stays
		fmt.Fprint(w, ollamatest.Captured("generate-unload.ndjson"))
	}
	require.NoError(t, s.Unload(t.Context(), "tiny"))
	_, ok, others, err := s.Loaded(t.Context(), "tiny")
	require.NoError(t, err)
	assert.False(t, ok)
	assert.Equal(t, []string{"llama3.1:8b"}, others)
	f.Answers["/api/ps"] = inMemory(t, "llama3.1:8b", "tiny:latest")
	m, ok, _, err := s.Loaded(t.Context(), "tiny")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, "tiny:latest", m.Name)
}

// TestSettle checks that Settle waits for the unload and for the GPU's memory to be free.
func TestSettle(t *testing.T) {
	used := filepath.Join(t.TempDir(), "used")
	require.NoError(t, os.WriteFile(used, []byte("300"), 0o644))
	fakeSMI(t, `while :; do read used <"`+used+`"; echo "0, 61, 1980, 290.10, $used, 95, 0x0"; sleep 0.02; done`)
	f, s := newFakeServer(t)
	s.Monitor = startMonitor(t)
	require.NotNil(t, s.Monitor)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	_, err = a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(used, []byte("20000"), 0o644))
	require.Eventually(t, func() bool { mib, _ := s.Monitor.MemoryUsed(); return mib == 20000 }, pollLimit, pollEvery)
	settled := make(chan error, 1)
	f.Answers["/api/generate"] = ollamatest.Reply(ollamatest.Captured("generate-unload.ndjson"))
	go func() { settled <- a.Settle(t.Context()) }()
	select {
	case err := <-settled:
		t.Fatalf("it did not wait for the memory: %v", err)
	case <-s.Monitor.news:
	}
	require.NoError(t, os.WriteFile(used, []byte("500"), 0o644))
	require.NoError(t, <-settled)
	mib, _ := s.Monitor.MemoryUsed()
	assert.LessOrEqual(t, mib, 300+settledMiB)
}

// TestLogExplainsFailures checks when a failure gets the class of the server's log.
func TestLogExplainsFailures(t *testing.T) {
	t.Parallel()
	const (
		gpu    = "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9.00 MiB on device 0: cudaMalloc failed: out of memory\n"
		killed = "ollama.service: A process of this unit has been killed by the OOM killer.\n"
		pinned = "ggml_cuda_host_malloc: failed to allocate 9.00 MiB of pinned memory: out of memory\n"
	)
	crash := ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: exit status 2"}`)
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		log    string
		class  measurement.Class
		detail string
	}{
		{"only an older entry", crash, "", measurement.RunnerCrashed, "exit status 2"},
		{"a crash", crash, gpu, measurement.OutOfGPUMemory, "exit status 2 (the server's log: ggml_backend_cuda"},
		{"another reason", crash, pinned + "GGML_ASSERT(i01 >= 0 && i01 < ne01) failed\n", measurement.RunnerCrashed, "exit status 2"},
		{"a timeout", ollamatest.ReplyStatus(500, `{"error":"timed out waiting for llama-server to start - "}`), gpu, measurement.OutOfGPUMemory, "timed out"},
		{"an unknown message", ollamatest.ReplyStatus(500, `{"error":"something went wrong"}`), killed, measurement.OutOfSystemMemory, "something went wrong"},
		{"no figures", ollamatest.Reply(`{"response":"","done":false}` + "\n"), gpu, measurement.OutOfGPUMemory, "the answer ended"},
		{"the server exits", ollamatest.BreakOff(""), killed, measurement.OutOfSystemMemory, "EOF (the server's log: ollama.service"},
		{"the server exits for another reason", ollamatest.BreakOff(""), gpu, measurement.ServerAway, "EOF"},
		{"other memory than in the message", ollamatest.ReplyStatus(500, `{"error":"graph_reserve: failed to allocate compute buffers"}`), killed, measurement.OutOfSystemMemory, "compute buffers"},
		{"a message that names its cause", ollamatest.ReplyStatus(500, `{"error":"the input length exceeds the context length"}`), gpu, measurement.PromptTruncated, "the input length"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := newFakeServer(t)
			path := filepath.Join(t.TempDir(), "server.log")
			appendTo(t, path, gpu) // of an older load
			var err error
			s.ServerLog, err = OpenServerLog(path)
			require.NoError(t, err)
			a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
			require.NoError(t, err)
			f.Answers["/api/generate"] = func(w http.ResponseWriter, r *http.Request) {
				appendTo(t, path, test.log)
				test.answer(w, r)
			}
			_, err = a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
			var failure *measurement.Failure
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, test.class, failure.Class)
			assert.Contains(t, failure.Detail, test.detail)
		})
	}
}

// TestSystemPrompt checks that the system prompt begins with the prompt's nonce.
func TestSystemPrompt(t *testing.T) {
	f, s := newFakeServer(t)
	f.Answers["/api/show"] = ollamatest.Reply(strings.Replace(ollamatest.Captured("show.json"), "{", `{"system":"Be brief.",`, 1))
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	f.ClearRequests()
	start := strings.Repeat("1 ", 16)
	_, err = a.Sample(t.Context(), ollamatest.Constant(start+"once upon a time"))
	require.NoError(t, err)
	assert.Contains(t, f.AskedOf(t, "/api/generate"), `"system":"`+start+`Be brief."`)
}
