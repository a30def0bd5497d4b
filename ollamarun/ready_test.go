package ollamarun

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

func TestReady(t *testing.T) {
	t.Parallel()
	f, s := newFakeServer(t)
	require.NoError(t, s.Ready(t.Context()))

	version := f.Answers["/api/version"]
	tries := 0
	f.Answers["/api/version"] = func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			ollamatest.ReplyStatus(http.StatusServiceUnavailable, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`)(w, r)
			return
		}
		version(w, r)
	}
	var log bytes.Buffer
	s.Wait, s.Log = time.Minute, lines.Comments(&log)
	require.NoError(t, s.Ready(t.Context()))
	assert.Equal(t, 2, tries)
	assert.Contains(t, log.String(), "# waiting up to 1m0s for the Ollama server at "+s.URL.String()+": server busy")

	nobody, _, err := ParseHost("127.0.0.1:1")
	require.NoError(t, err)
	away := &Server{URL: nobody}
	err = away.Ready(t.Context())
	assert.ErrorContains(t, err, "the Ollama server at http://127.0.0.1:1 stayed away for 0s (server_wait): ")
	assert.ErrorContains(t, err, "nothing listens there (connection refused); start it with `ollama serve`, or name its address with -host or in OLLAMA_HOST; -engine embedded needs no server")

	away.Wait = time.Minute
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	assert.ErrorIs(t, away.Ready(ctx), enough)
}

// TestConnectionRefused checks that the message about a server that has never answered says how
// to start or name one, and that about a server that went away does not.
func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	nobody, _, err := ParseHost("127.0.0.1:1")
	require.NoError(t, err)
	var log bytes.Buffer
	s := &Server{URL: nobody, Wait: 600 * time.Millisecond, Log: lines.Comments(&log)}
	require.Error(t, s.Ready(t.Context()))
	assert.Equal(t, "# waiting up to 600ms for the Ollama server at http://127.0.0.1:1: nothing listens there (connection refused); start it with `ollama serve`, or name its address with -host or in OLLAMA_HOST\n", log.String())
	_, err = s.Model(t.Context(), "tiny")
	assert.EqualError(t, err, `model "tiny" of the Ollama server at http://127.0.0.1:1: listing models: server away: nothing listens there (connection refused); start it with `+"`ollama serve`, or name its address with -host or in OLLAMA_HOST")

	f, s := newFakeServer(t)
	require.NoError(t, s.Ready(t.Context()))
	f.Stop()
	log.Reset()
	s.Wait, s.Log = 600*time.Millisecond, lines.Comments(&log)
	assert.ErrorContains(t, s.Ready(t.Context()), "start it with `ollama serve`")
	assert.Equal(t, "# waiting up to 600ms for the Ollama server at "+s.URL.String()+": nothing listens there (connection refused)\n", log.String())
}

func TestUnreachable(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "nothing listens there (connection refused)"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "gpu7", IsNotFound: true}}, "no host has the name gpu7 (no such host)"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", Name: "gpu7"}}, "the text"},
		{io.EOF, "the text"},
	} {
		assert.Equal(t, test.want, unreachable(&url.Error{Op: "Get", URL: "http://gpu7:11434", Err: test.err}, "the text"))
	}
}

// TestBusyIsWaitedFor checks that the pauses grow from prompt to prompt, because
// only a prompt can show that a server is not busy any more.
func TestBusyIsWaitedFor(t *testing.T) {
	t.Parallel()
	f, s := newFakeServer(t)
	var log bytes.Buffer
	s.Wait, s.Log = time.Minute, lines.Comments(&log)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	generate := f.Answers["/api/generate"]
	f.Answers["/api/generate"] = ollamatest.ReplyStatus(503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`)
	_, err = a.Sample(t.Context(), ollamatest.Constant("x"))
	require.Error(t, err)
	begun := time.Now()
	require.NoError(t, s.Ready(t.Context()))
	assert.GreaterOrEqual(t, time.Since(begun), pauses[0])
	assert.Contains(t, log.String(), "# waiting up to 1m0s for the Ollama server at "+s.URL.String()+": it is busy\n")
	_, err = a.Sample(t.Context(), ollamatest.Constant("x"))
	require.Error(t, err)
	assert.Equal(t, 2, s.busy.times)
	s.Wait = pauses[1]
	assert.ErrorContains(t, s.Ready(t.Context()), "stayed away for 1s (server_wait): it is busy")

	f.Answers["/api/generate"] = generate
	_, err = a.Sample(t.Context(), ollamatest.Constant("x"))
	require.NoError(t, err)
	assert.Zero(t, s.busy)
}
