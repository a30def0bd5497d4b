package ollamarun

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

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
		"http://user:secret@gpu:80": "http://gpu:80",
	} {
		u, _, err := ParseHost(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, u.String(), text)
	}
	_, user, err := ParseHost("http://user:secret@gpu:80")
	require.NoError(t, err)
	assert.Equal(t, "user:secret", user.String(), "it is kept apart")
	for text, want := range map[string]string{
		"ftp://gpu":  "the scheme must be http or https",
		"gpu:99999":  `"99999" is not a port`,
		"gpu:x":      "is not a URL like http://127.0.0.1:11434",
		"http://a b": "is not a URL",

		"http://gpu/?token=secret":       `host "http://gpu/": a URL like http://127.0.0.1:11434 ends before ? and #`,
		"ftp://user:secret@gpu":          `host "ftp://gpu": the scheme must be http or https`,
		"http://user:secret@gpu:x":       `host "http://gpu:x" is not a URL`,
		"user:secret@gpu:99999":          `host "gpu:99999": "99999" is not a port`,
		"http://user:secret%zz@gpu:1234": `host "http://gpu:1234" is not a URL`,
	} {
		_, _, err := ParseHost(text)
		assert.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestLocal(t *testing.T) {
	for host, want := range map[string]bool{"": true, "localhost": true, "0.0.0.0": true, "[::1]:1": true, "gpu": false, "10.0.0.1": false} {
		u, _, err := ParseHost(host)
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

	nobody, _, err := ParseHost("127.0.0.1:1")
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
		{"broken off after a message", ollamatest.BreakOff(firstLine + "\n"), parse.ServerAway, "the answer broke off: unexpected EOF"},
		{"broken off in a message", ollamatest.BreakOff(firstLine[:40]), parse.ServerAway, "the answer broke off: unexpected EOF"},
		{"ended in a message", ollamatest.Say(firstLine[:40]), parse.NoFigures, "not an answer of Ollama's: " + firstLine[:40]},
		{"closed before the header", ollamatest.BreakOff(""), parse.ServerAway, ": EOF"},
		{"no JSON", ollamatest.Say("<html>hello</html>\n"), parse.NoFigures, "not an answer of Ollama's: <html>hello</html>"},
		{"a proxy's page", ollamatest.SayPage(200, "<html>please log in</html>"), parse.ServerAway, "a web page (200 OK) and not an answer of Ollama's: is there a proxy in between?"},
		{"a proxy's error", ollamatest.SayPage(502, "<html>502 Bad Gateway</html>"), parse.ServerAway, "a proxy does not reach the server: 502 Bad Gateway"},
		{"no word", ollamatest.SayStatus(500, ""), parse.ServerAway, "an answer without a word: 500 Internal Server Error"},
		{"no end", ollamatest.Endless(firstLine + "\n"), parse.ServerAway, "the answer broke off: the answer is longer than 64 MB"},
		{"a line without end", ollamatest.Endless("x"), parse.NoFigures, "the answer ended without"},
		{"an error without end", ollamatest.SayStatus(500, `{"error":"`+strings.Repeat("CUDA error: out of memory ", 200_000)+`"}`), parse.OutOfGPUMemory, "CUDA error: out of memory CUDA"},
		{"negative", figures(`"prompt_eval_count":21`, `"prompt_eval_count":-21`), parse.NoFigures, "a negative figure: prompt_eval_count is -21"},
		{"negative duration", figures(`"eval_duration":629194`, `"eval_duration":-1`), parse.NoFigures, "a negative figure: eval_duration is -1"},
		{"1e308", figures(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":1e308`), parse.NoFigures, "cannot unmarshal number 1e308"},
		{"NaN", figures(`"prompt_eval_duration":5092533`, `"prompt_eval_duration":NaN`), parse.NoFigures, "not an answer of Ollama's"},
		{"a text", figures(`"prompt_eval_count":21`, `"prompt_eval_count":"many"`), parse.NoFigures, "cannot unmarshal string"},
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
			assert.LessOrEqual(t, len(failure.Detail), mostWords+100, "what is kept of the server's words is bounded")
		})
	}
}

// figures answers with a real answer in which one figure is another.
func figures(captured, instead string) http.HandlerFunc {
	return ollamatest.Say(strings.Replace(ollamatest.Captured("generate.ndjson"), captured, instead, 1))
}

// TestAPIWrongServer: what no waiting mends ends the sweep, and no cell fails.
func TestAPIWrongServer(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"redirect", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://user:secret@elsewhere/login")
			w.WriteHeader(http.StatusFound)
		}, "the server redirects to https://elsewhere/login (302 Found): name Ollama's own address with -host"},
		{"password", ollamatest.SayPage(401, "<html>who are you</html>"), "the server refuses the request (401 Unauthorized): where it wants a user and a password, give them as -host http://USER:PASSWORD@…"},
		{"another server", http.NotFound, "the server does not know /api/generate (404 Not Found): is Ollama at that address?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := newFakeServer(t)
			f.Answers["/api/generate"] = test.answer
			a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
			require.NoError(t, err)
			_, err = a.Sample(t.Context(), "x")
			require.ErrorContains(t, err, test.want)
			var failure *parse.Failure
			assert.NotErrorAs(t, err, &failure)
		})
	}
}

// TestLostModel: a model that was deleted while the sweep runs is no failure of
// the cells that want it.
func TestLostModel(t *testing.T) {
	f, s := newFakeServer(t)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	missing := ollamatest.SayStatus(http.StatusNotFound, ollamatest.Captured("generate-missing.json"))
	f.Answers["/api/generate"], f.Answers["/api/show"] = missing, missing
	_, err = a.Load(t.Context(), 2048, 64, "warm up")
	assert.EqualError(t, err, `model "tiny" is not on the server any more (model 'nosuch' not found): bring it back, and the same command goes on`)
}

// TestHangingAnswers: no request that needs no model is waited for without end.
func TestHangingAnswers(t *testing.T) {
	f, s := newFakeServer(t)
	s.answerTime = 50 * time.Millisecond
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	for path, ask := range map[string]func() error{
		"/api/version": func() error { _, err := s.Version(t.Context()); return err },
		"/api/ps":      func() error { _, err := a.Sample(t.Context(), "x"); return err },
		"/api/show":    func() error { _, err := s.Model(t.Context(), "tiny"); return err },
		"/api/tags":    func() error { _, err := s.DeleteLeftovers(t.Context()); return err },
	} {
		for name, answer := range map[string]http.HandlerFunc{"before the header": ollamatest.Hang(""), "in the body": ollamatest.Hang(`{"mod`)} {
			kept := f.Answers[path]
			f.Answers[path] = answer
			var failure *parse.Failure
			require.ErrorAs(t, ask(), &failure, "%s %s", path, name)
			assert.Equal(t, parse.Failure{Class: parse.ServerAway, Detail: "no answer within 50ms"}, *failure)
			f.Answers[path] = kept
		}
	}
	f.Answers["/api/ps"] = ollamatest.Endless(" ")
	_, err = s.running(t.Context())
	assert.Error(t, err, "an answer without end is not read into memory")
}

// TestBusyIsWaitedFor: only a prompt can tell that a server is not busy any
// more, so the pauses grow from prompt to prompt.
func TestBusyIsWaitedFor(t *testing.T) {
	f, s := newFakeServer(t)
	var log bytes.Buffer
	s.Wait, s.Log = time.Minute, &log
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	generate := f.Answers["/api/generate"]
	f.Answers["/api/generate"] = ollamatest.SayStatus(503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`)
	_, err = a.Sample(t.Context(), "x")
	require.Error(t, err)
	begun := time.Now()
	require.NoError(t, s.Ready(t.Context()))
	assert.GreaterOrEqual(t, time.Since(begun), pauses[0])
	assert.Contains(t, log.String(), "# waiting up to 1m0s for the Ollama server at "+s.URL.String()+": it is busy\n")
	_, err = a.Sample(t.Context(), "x")
	require.Error(t, err)
	assert.Equal(t, 2, s.busy.times)
	s.Wait = pauses[1]
	assert.ErrorContains(t, s.Ready(t.Context()), "stayed away for 1s (server_wait): it is busy")

	f.Answers["/api/generate"] = generate
	_, err = a.Sample(t.Context(), "x")
	require.NoError(t, err)
	assert.Zero(t, s.busy)
}

// TestSecretsStay sends user and password, and shows neither.
func TestSecretsStay(t *testing.T) {
	f, _ := newFakeServer(t)
	var sent string
	version := f.Answers["/api/version"]
	f.Answers["/api/version"] = func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		version(w, r)
	}
	u, user, err := ParseHost("http://user:secret@" + f.URL.Host)
	require.NoError(t, err)
	s := &Server{URL: u, User: user}
	_, err = s.Version(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "Basic dXNlcjpzZWNyZXQ=", sent)
	f.Stop()
	err = s.Ready(t.Context())
	require.ErrorContains(t, err, "connection refused")
	assert.NotContains(t, err.Error(), "secret")
	assert.NotContains(t, err.Error(), "user:")
	_, err = NewCLI(t.Context(), s, "ollama", FromModel("tiny"), 2, t.TempDir())
	assert.EqualError(t, err, "the ollama command can't send the user and the password of -host: use -runner api")
}

// TestOddServers: what a server calls itself and its models is data.
func TestOddServers(t *testing.T) {
	f, s := newFakeServer(t)
	f.Answers["/api/version"] = ollamatest.Say(`{"version":"0.10\nBenchmarkSweep/x 1 9 tokens/s\u001b[2J` + strings.Repeat("9", 5000) + `"}`)
	v, err := s.Version(t.Context())
	require.NoError(t, err)
	assert.Regexp(t, `^0\.10 BenchmarkSweep/x 1 9 tokens/s 9{100,170}…$`, v)
	f.Answers["/api/ps"] = ollamatest.Say(strings.NewReplacer(`"size":8590592`, `"size":-1`, `"context_length":2048`, `"context_length":-5`).Replace(ollamatest.Captured("ps.json")))
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	loaded, err := a.Load(t.Context(), 2048, 64, "warm up")
	require.NoError(t, err)
	assert.Zero(t, loaded.Size)
	assert.Zero(t, loaded.ContextLength)
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

// FuzzAPIStream has a server answer a prompt, and the question what is loaded,
// with anything.
func FuzzAPIStream(f *testing.F) {
	f.Add(ollamatest.Captured("generate.ndjson"), 200)
	f.Add(ollamatest.Captured("generate-unload.ndjson"), 200)
	f.Add(ollamatest.Captured("generate-missing.json"), 404)
	f.Add(ollamatest.Captured("ps.json"), 200)
	f.Add(`{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`, 500)
	f.Add(`{"done":true,"prompt_eval_count":1e308}`, 200)
	f.Add("<html>", 502)
	server := ollamatest.New(f)
	s := &Server{URL: server.URL, answerTime: 5 * time.Second}
	a, err := NewAPI(f.Context(), s, "tiny", nil, 2)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body string, status int) {
		if status < 200 || status > 599 {
			return
		}
		server.Answers["/api/generate"] = ollamatest.SayStatus(status, body)
		server.Answers["/api/ps"] = ollamatest.SayStatus(status, body)
		sample, err := a.read(t.Context(), "x")
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

// requireBounded expects the words of an error to be short, and fit to be shown.
func requireBounded(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if len(text) > mostWords+500 || strings.ContainsFunc(text, unicode.IsControl) {
		t.Fatalf("%d bytes: %q", len(text), text)
	}
}
