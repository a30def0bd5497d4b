package ollamarun

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

func TestParseHost(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "http://127.0.0.1:11434",
		"gpu":                       "http://gpu:11434",
		"gpu:8080":                  "http://gpu:8080",
		":8080":                     "http://127.0.0.1:8080",
		"http://gpu":                "http://gpu:80",
		"https://gpu":               "https://gpu:443",
		"https://gpu:8443/ollama":   "https://gpu:8443/ollama",
		" http://127.0.0.1:11434 ":  "http://127.0.0.1:11434",
		"[::1]":                     "http://[::1]:11434",
		"http://user:secret@gpu:80": "http://user:secret@gpu:80",
	} {
		u, err := ParseHost(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, u.String(), text)
	}
	for text, want := range map[string]string{
		"ftp://gpu":  "the scheme must be http or https",
		"gpu:99999":  `"99999" is not a port`,
		"gpu:x":      "is not a URL like http://127.0.0.1:11434",
		"http://a b": "is not a URL",
	} {
		_, err := ParseHost(text)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestLocal(t *testing.T) {
	for host, want := range map[string]bool{"": true, "localhost": true, "0.0.0.0": true, "[::1]:1": true, "gpu": false, "10.0.0.1": false} {
		u, err := ParseHost(host)
		require.NoError(t, err)
		assert.Equal(t, want, (&Server{URL: u}).Local(), host)
	}
}

func TestModel(t *testing.T) {
	_, s := newFakeServer(t)
	m, err := s.Model(t.Context(), "tiny")
	require.NoError(t, err)
	assert.Equal(t, Model{
		Digest:       "0df5935b21afb06aec4f9d0110175c94619006a83d90407be6b496e6d6c08051",
		Quantization: "unknown",
		TrainedCtx:   131072,
	}, m)
}

func TestReady(t *testing.T) {
	f, s := newFakeServer(t)
	require.NoError(t, s.Ready(t.Context()))

	version := f.Answers["/api/version"]
	tries := 0
	f.Answers["/api/version"] = func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			ollamatest.SayStatus(http.StatusServiceUnavailable, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`)(w, r)
			return
		}
		version(w, r)
	}
	var log bytes.Buffer
	s.Wait, s.Log = time.Minute, &log
	require.NoError(t, s.Ready(t.Context()))
	assert.Equal(t, 2, tries)
	assert.Contains(t, log.String(), "# waiting up to 1m0s for the Ollama server at "+s.URL.String()+": server busy")

	nobody, err := ParseHost("127.0.0.1:1")
	require.NoError(t, err)
	away := &Server{URL: nobody}
	err = away.Ready(t.Context())
	assert.ErrorContains(t, err, "the Ollama server at http://127.0.0.1:1 stayed away for 0s (server_wait): ")
	assert.ErrorContains(t, err, "connection refused; start it with `ollama serve`")

	away.Wait = time.Minute
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("enough")
	cancel(gone)
	assert.ErrorIs(t, away.Ready(ctx), gone)
}

func TestSameModel(t *testing.T) {
	assert.True(t, sameModel("tiny", "tiny:latest"))
	assert.True(t, sameModel("host:5000/a/tiny:latest", "host:5000/a/tiny"))
	assert.True(t, sameModel("Tiny", "tiny"))
	assert.False(t, sameModel("tiny:q4", "tiny"))
}

func TestAPIFigures(t *testing.T) {
	f, s := newFakeServer(t)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	loaded, err := a.Load(t.Context(), 2048, 64, "warm up")
	require.NoError(t, err)
	want := parse.Sample{PromptEvalCount: 21, PromptEvalDuration: 5092533, EvalCount: 2, EvalDuration: 629194, LoadDuration: 260133778, TotalDuration: 267417900}
	assert.Positive(t, loaded.Warmup.Wall)
	loaded.Warmup.Wall = 0
	assert.Equal(t, parse.Loaded{Warmup: want, ContextLength: 2048, Size: 8590592}, loaded)
	request := f.AskedOf(t, "/api/generate")
	assert.Contains(t, request, `"options":{"num_batch":64,"num_ctx":2048,"num_predict":2}`)
	assert.Contains(t, request, `"prompt":"warm up"`)
	assert.Contains(t, request, `"truncate":false`, "an error is wanted where a prompt is too long")
	assert.Contains(t, request, `"system":""`)

	got, err := a.Sample(t.Context(), "one two three")
	require.NoError(t, err)
	assert.Positive(t, got.Wall)
	got.Wall = 0
	assert.Equal(t, want, got)

	f.Forget()
	_, err = a.Load(t.Context(), 2048, 0, "warm up")
	require.NoError(t, err)
	assert.Contains(t, f.AskedOf(t, "/api/generate"), `"options":{"num_ctx":2048,"num_predict":2}`, "num_batch is the server's own")

	f.Answers["/api/generate"] = ollamatest.Say(ollamatest.Captured("generate-unload.ndjson"))
	f.Forget()
	require.NoError(t, a.Close(t.Context()))
	assert.Contains(t, f.Asked()[0], `"keep_alive":"0s"`)
	for _, asked := range f.Asked() {
		assert.NotContains(t, asked, "/api/delete", "the model is the user's")
	}
}

func TestAPIFaults(t *testing.T) {
	stream := ollamatest.Captured("generate.ndjson")
	firstLine, _, _ := strings.Cut(stream, "\n")
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		class  parse.Class
		detail string
	}{
		{"an error with a status", ollamatest.SayStatus(500, `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`), parse.OutOfGPUMemory, "llama runner process has terminated: cudaMalloc failed: out of memory"},
		{"an error in a stream of 200", ollamatest.Say(firstLine + "\n" + `{"error":"model runner has unexpectedly stopped, this may be due to resource limitations"}` + "\n"), parse.RunnerCrashed, "model runner has unexpectedly stopped, this may be due to resource limitations"},
		{"control codes in the words", ollamatest.SayStatus(500, `{"error":"bad \u001b[31mmodel\u0007"}`), parse.ModelError, "bad model"},
		{"a model that is gone", ollamatest.SayStatus(404, `{"error":"model 'tiny' not found"}`), parse.ModelError, "model 'tiny' not found"},
		{"busy", ollamatest.SayStatus(503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`), parse.ServerBusy, "server busy, please try again.  maximum pending requests exceeded"},
		{"busy in other words", ollamatest.SayStatus(503, `{"error":"try later"}`), parse.ServerBusy, "try later"},
		{"no final message", ollamatest.Say(firstLine + "\n"), parse.NoFigures, "the answer ended without the message that holds the figures"},
		{"broken off", ollamatest.BreakOff(firstLine + "\n"), parse.NoFigures, "the answer ended without the message that holds the figures"},
		{"closed at once", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, parse.ServerAway, ": EOF"},
		{"no JSON", ollamatest.Say("<html>hello</html>\n"), parse.ModelError, "<html>hello</html>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := newFakeServer(t)
			f.Answers["/api/generate"] = test.answer
			a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
			require.NoError(t, err)
			_, err = a.Sample(t.Context(), "x")
			var failure *parse.Failure
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, test.class, failure.Class)
			assert.Contains(t, failure.Detail, test.detail)
		})
	}
}

// TestAPIBrokenStreamOfAServerThatIsGone: the same broken stream is no failure
// of the cell when nobody answers afterwards.
func TestAPIBrokenStreamOfAServerThatIsGone(t *testing.T) {
	f, s := newFakeServer(t)
	f.Answers["/api/generate"] = ollamatest.BreakOff("")
	f.Answers["/api/version"] = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	_, err = a.Sample(t.Context(), "x")
	var failure *parse.Failure
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, parse.ServerAway, failure.Class)
}

func TestAPIGivesUpWithTheContext(t *testing.T) {
	f, s := newFakeServer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	f.Answers["/api/generate"] = func(_ http.ResponseWriter, r *http.Request) { cancel(enough); <-r.Context().Done() }
	a, err := NewAPI(ctx, s, "tiny", nil, 2)
	require.NoError(t, err)
	_, err = a.Sample(ctx, "x")
	assert.ErrorIs(t, err, enough, "the cause is the caller's own")
}
