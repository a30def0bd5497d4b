package ollamarun

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

func TestAPIFigures(t *testing.T) {
	f, s := newFakeServer(t)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	loaded, err := a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	want := measurement.Sample{PromptEvalCount: 21, PromptEvalDuration: 5092533, EvalCount: 2, EvalDuration: 629194, LoadDuration: 260133778, TotalDuration: 267417900}
	assert.Positive(t, loaded.Warmup.Wall)
	loaded.Warmup.Wall = 0
	assert.Equal(t, measurement.Loaded{Warmup: want, ContextLength: 2048, Size: 8590592}, loaded)
	request := f.AskedOf(t, "/api/generate")
	assert.Contains(t, request, `"options":{"num_batch":64,"num_ctx":2048,"num_predict":2}`)
	assert.Contains(t, request, `"prompt":"warm up"`)
	assert.Contains(t, request, `"truncate":false`, "a prompt that is too long must be an error")
	assert.Contains(t, request, `"system":""`)

	got, err := a.Sample(t.Context(), ollamatest.Constant("one two three"))
	require.NoError(t, err)
	assert.Positive(t, got.Wall)
	got.Wall = 0
	assert.Equal(t, want, got)

	f.ClearRequests()
	_, err = a.Load(t.Context(), 2048, 0, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	assert.Contains(t, f.AskedOf(t, "/api/generate"), `"options":{"num_ctx":2048,"num_predict":2}`, "the server chooses num_batch")

	f.Answers["/api/generate"] = ollamatest.Reply(ollamatest.Captured("generate-unload.ndjson"))
	f.ClearRequests()
	require.NoError(t, a.Close(t.Context()))
	assert.Contains(t, f.Requests()[0], `"keep_alive":"0s"`)
	for _, asked := range f.Requests() {
		assert.NotContains(t, asked, "/api/delete", "the model is the user's")
	}
}

func TestAPIFaults(t *testing.T) {
	t.Parallel()
	stream := ollamatest.Captured("generate.ndjson")
	firstLine, _, _ := strings.Cut(stream, "\n")
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		class  measurement.Class
		detail string
	}{
		{"an error with a status", ollamatest.ReplyStatus(500, `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`), measurement.OutOfGPUMemory, "llama runner process has terminated: cudaMalloc failed: out of memory"},
		{"an error in a stream of 200", ollamatest.Reply(firstLine + "\n" + `{"error":"model runner has unexpectedly stopped, this may be due to resource limitations"}` + "\n"), measurement.RunnerCrashed, "model runner has unexpectedly stopped, this may be due to resource limitations"},
		{"control codes in the message", ollamatest.ReplyStatus(500, `{"error":"bad \u001b[31mmodel\u0007"}`), measurement.ModelError, "bad model"},
		{"a deleted model", ollamatest.ReplyStatus(404, `{"error":"model 'tiny' not found"}`), measurement.ModelError, "model 'tiny' not found"},
		{"busy", ollamatest.ReplyStatus(503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`), measurement.ServerBusy, "server busy, please try again.  maximum pending requests exceeded"},
		{"busy with another message", ollamatest.ReplyStatus(503, `{"error":"try later"}`), measurement.ServerBusy, "try later"},
		{"busy behind a proxy", ollamatest.ReplyPage(503, "<html>503</html>"), measurement.ServerBusy, "it does not accept more requests: 503 Service Unavailable"},
		{"busy without a message", ollamatest.ReplyStatus(429, ""), measurement.ServerBusy, "it does not accept more requests: 429 Too Many Requests"},
		{"a usage limit", ollamatest.ReplyStatus(429, `{"error":"you've reached your hourly usage limit"}`), measurement.ServerBusy, "you've reached your hourly usage limit"},
		{"llama-server is loading", ollamatest.ReplyStatus(503, `{"error":"{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}"}`), measurement.ServerBusy, "Loading model"},
		{"llama-server is loading, in a stream of 200", ollamatest.Reply(`{"error":"{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}"}` + "\n"), measurement.ServerBusy, "Loading model"},
		{"a prompt that is too long", ollamatest.ReplyStatus(400, `{"error":"{\"error\":{\"code\":400,\"message\":\"request (3620 tokens) exceeds the available context size (512 tokens), try increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":3620,\"n_ctx\":512}}"}`), measurement.PromptTruncated, "request (3620 tokens) exceeds the available context size (512 tokens), try increasing it"},
		{"no final message", ollamatest.Reply(firstLine + "\n"), measurement.NoFigures, "the answer ended without the message that holds the figures"},
		{"broken off after a message", ollamatest.BreakOff(firstLine + "\n"), measurement.ServerAway, "the answer broke off: unexpected EOF"},
		{"broken off in a message", ollamatest.BreakOff(firstLine[:40]), measurement.ServerAway, "the answer broke off: unexpected EOF"},
		{"ended in a message", ollamatest.Reply(firstLine[:40]), measurement.NoFigures, "not an answer of Ollama: " + firstLine[:40]},
		{"closed before the header", ollamatest.BreakOff(""), measurement.ServerAway, ": EOF"},
		{"no JSON", ollamatest.Reply("<html>hello</html>\n"), measurement.NoFigures, "not an answer of Ollama: <html>hello</html>"},
		{"a proxy's page", ollamatest.ReplyPage(200, "<html>please log in</html>"), measurement.ServerAway, "the answer is a web page (200 OK), not Ollama's: is there a proxy in between?"},
		{"a proxy's error", ollamatest.ReplyPage(502, "<html>502 Bad Gateway</html>"), measurement.ServerAway, "a proxy can't reach the server: 502 Bad Gateway"},
		{"an empty answer", ollamatest.ReplyStatus(500, ""), measurement.ServerAway, "an empty answer: 500 Internal Server Error"},
		{"no end", ollamatest.Endless(strings.Replace(firstLine, `"H"`, `"`+strings.Repeat("H", 1<<16)+`"`, 1) + "\n"), measurement.ServerAway, "the answer broke off: the answer is longer than 64 MB"},
		{"a line without end", ollamatest.Endless(strings.Repeat("x", 1<<16)), measurement.NoFigures, "not an answer of Ollama: bufio.Scanner: token too long"},
		{"an error without end", ollamatest.ReplyStatus(500, `{"error":"`+strings.Repeat("CUDA error: out of memory ", 200_000)+`"}`), measurement.OutOfGPUMemory, "CUDA error: out of memory CUDA"},
		{"negative", figures(`"prompt_eval_count":21`, `"prompt_eval_count":-21`), measurement.NoFigures, "a negative figure: prompt_eval_count is -21"},
		{"negative duration", figures(`"eval_duration":629194`, `"eval_duration":-1`), measurement.NoFigures, "a negative figure: eval_duration is -1"},
		{"1e308", figures(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":1e308`), measurement.NoFigures, "cannot unmarshal number 1e308"},
		{"NaN", figures(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":NaN`), measurement.NoFigures, "not an answer of Ollama"},
		{"a text", figures(`"prompt_eval_count":21`, `"prompt_eval_count":"many"`), measurement.NoFigures, "cannot unmarshal string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := newFakeServer(t)
			f.Answers["/api/generate"] = test.answer
			a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
			require.NoError(t, err)
			_, err = a.Sample(t.Context(), ollamatest.Constant("x"))
			var failure *measurement.Failure
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, test.class, failure.Class)
			assert.Contains(t, failure.Detail, test.detail)
			assert.LessOrEqual(t, len(failure.Detail), maxText+100, "the text that is kept is limited")
		})
	}
}

// figures answers with a captured answer in which one figure is replaced.
func figures(captured, instead string) http.HandlerFunc {
	return ollamatest.Reply(strings.Replace(ollamatest.Captured("generate.ndjson"), captured, instead, 1))
}

// TestAPIPermanentErrors checks that errors that waiting can't fix are not failures of a cell.
func TestAPIPermanentErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"redirect", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://user:secret@elsewhere/login")
			w.WriteHeader(http.StatusFound)
		}, "the server redirects to https://elsewhere/login (302 Found): name Ollama's own address with -host"},
		{"password", ollamatest.ReplyPage(401, "<html>who are you</html>"), "the server refuses the request (401 Unauthorized): if it requires a user and a password, give them as -host http://USER:PASSWORD@…"},
		{"another server", http.NotFound, "the server has no /api/generate (404 Not Found): is Ollama at that address?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := newFakeServer(t)
			f.Answers["/api/generate"] = test.answer
			a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
			require.NoError(t, err)
			_, err = a.Sample(t.Context(), ollamatest.Constant("x"))
			require.ErrorContains(t, err, test.want)
			var failure *measurement.Failure
			assert.NotErrorAs(t, err, &failure)
		})
	}
}

func TestAPIContextCause(t *testing.T) {
	f, s := newFakeServer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	f.Answers["/api/generate"] = func(_ http.ResponseWriter, r *http.Request) { cancel(enough); <-r.Context().Done() }
	a, err := NewAPI(ctx, s, "tiny", nil, 2)
	require.NoError(t, err)
	_, err = a.Sample(ctx, ollamatest.Constant("x"))
	assert.ErrorIs(t, err, enough, "the context's cause is returned")
}

// FuzzAPIStream answers /api/generate and /api/ps with arbitrary bodies.
func FuzzAPIStream(f *testing.F) {
	f.Add(ollamatest.Captured("generate.ndjson"), 200)
	f.Add(ollamatest.Captured("generate-unload.ndjson"), 200)
	f.Add(ollamatest.Captured("generate-missing.json"), 404)
	f.Add(ollamatest.Captured("ps.json"), 200)
	f.Add(`{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`, 500)
	f.Add(`{"done":true,"prompt_eval_count":1e308}`, 200)
	f.Add("<html>", 502)
	server := ollamatest.New(f)
	s := &Server{URL: server.URL, answerTimeout: 5 * time.Second}
	a, err := NewAPI(f.Context(), s, "tiny", nil, 2)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body string, status int) {
		if status < 200 || status > 599 {
			return
		}
		server.Answers["/api/generate"] = ollamatest.ReplyStatus(status, body)
		server.Answers["/api/ps"] = ollamatest.ReplyStatus(status, body)
		sample, err := a.generate(t.Context(), "x")
		if err == nil {
			require.NoError(t, sample.Check())
		}
		requireBounded(t, err)
		loaded, err := s.loaded(t.Context(), "tiny", sample)
		requireBounded(t, err)
		if err == nil && (loaded.Size < 0 || loaded.SizeVRAM < 0 || loaded.ContextLength < 0) {
			t.Fatalf("%+v", loaded)
		}
	})
}

// requireBounded requires the text of an error to be short and without control characters.
func requireBounded(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if len(text) > maxText+500 || strings.ContainsFunc(text, unicode.IsControl) {
		t.Fatalf("%d bytes: %q", len(text), text)
	}
}
