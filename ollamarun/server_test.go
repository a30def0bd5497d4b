package ollamarun

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

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
	assert.Equal(t, measurement.Model{
		Digest:       "0df5935b21afb06aec4f9d0110175c94619006a83d90407be6b496e6d6c08051",
		Quantization: "unknown",
		TrainedCtx:   131072,
	}, m)
}

// TestDeletedModel checks that the deletion of the model is not a failure of the cell.
func TestDeletedModel(t *testing.T) {
	f, s := newFakeServer(t)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	missing := ollamatest.ReplyStatus(http.StatusNotFound, ollamatest.Captured("generate-missing.json"))
	f.Answers["/api/generate"], f.Answers["/api/show"] = missing, missing
	_, err = a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	assert.EqualError(t, err, `model "tiny" is not on the server any more (model 'nosuch' not found): restore it and run the same command again to resume`)
}

// TestHangingAnswers checks that requests that need no loaded model have a timeout.
func TestHangingAnswers(t *testing.T) {
	t.Parallel()
	asks := map[string]func(t *testing.T, a *API) error{
		"/api/version": func(t *testing.T, a *API) error { _, err := a.Version(t.Context()); return err },
		"/api/ps": func(t *testing.T, a *API) error {
			_, err := a.Sample(t.Context(), ollamatest.Constant("x"))
			return err
		},
		"/api/show": func(t *testing.T, a *API) error { _, err := a.Model(t.Context(), "tiny"); return err },
		"/api/tags": func(t *testing.T, a *API) error { _, _, err := a.DeleteLeftovers(t.Context()); return err },
	}
	for path, ask := range asks {
		for name, answer := range map[string]http.HandlerFunc{"before the header": ollamatest.Hang(""), "in the body": ollamatest.Hang(`{"mod`)} {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				f, s := newFakeServer(t)
				a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
				require.NoError(t, err)
				s.answerTimeout = 500 * time.Millisecond
				f.Inject(func(r ollamatest.Request) http.HandlerFunc {
					if r.Path == path {
						return answer
					}
					return nil
				})
				var failure *measurement.Failure
				require.ErrorAs(t, ask(t, a), &failure)
				assert.Equal(t, measurement.Failure{Class: measurement.ServerAway, Detail: "no answer within 500ms"}, *failure)
			})
		}
	}
	f, s := newFakeServer(t)
	f.Inject(func(ollamatest.Request) http.HandlerFunc { return ollamatest.Endless(strings.Repeat(" ", 1<<16)) })
	_, err := s.running(t.Context())
	assert.Error(t, err, "an endless answer is not read into memory")
}

// TestPasswordIsNotPrinted checks that user and password are sent, but not printed.
func TestPasswordIsNotPrinted(t *testing.T) {
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

// TestOddServers checks that versions, names and figures of a server are cleaned up.
func TestOddServers(t *testing.T) {
	f, s := newFakeServer(t)
	f.Answers["/api/version"] = ollamatest.Reply(`{"version":"0.10\nBenchmarkSweep/x 1 9 tokens/s\u001b[2J` + strings.Repeat("9", 5000) + `"}`)
	v, err := s.Version(t.Context())
	require.NoError(t, err)
	assert.Regexp(t, `^0\.10 BenchmarkSweep/x 1 9 tokens/s 9{100,170}…$`, v)
	f.Answers["/api/ps"] = ollamatest.Reply(strings.NewReplacer(`"size":8590592`, `"size":-1`, `"context_length":2048`, `"context_length":-5`).Replace(ollamatest.Captured("ps.json")))
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	loaded, err := a.Load(t.Context(), 2048, 64, ollamatest.Constant("warm up"))
	require.NoError(t, err)
	assert.Zero(t, loaded.Size)
	assert.Zero(t, loaded.ContextLength)
}
