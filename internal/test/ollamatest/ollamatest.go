// Package ollamatest simulates an Ollama server, for tests of faults that a real
// one does not produce on demand. It answers with bytes captured from a real
// server, in testdata. With Simulate, it keeps a state and replaces the figures in
// these answers by figures that depend on the requests.
package ollamatest

import (
	"embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:embed testdata
var testdata embed.FS

// Captured returns an answer of the real server, by the end of its file's name.
func Captured(name string) string {
	data, err := testdata.ReadFile("testdata/ollama-0.10.1-" + name)
	if err != nil {
		panic(err) // the test names a file that does not exist
	}
	return string(data)
}

// Server simulates Ollama on a loopback port. Create one with New.
type Server struct {
	URL *url.URL
	// Answers maps paths to handlers, at first those of the captured answers. A test
	// may replace them while no request is running. If the client is another process,
	// the test has to do that before it starts, or use Play.
	Answers map[string]http.HandlerFunc

	mu         sync.Mutex
	fault      func(Request) http.HandlerFunc
	requests   []string
	http       *http.Server
	listener   net.Listener
	simulation *simulation // nil for a server that is not simulated
}

// Request is a request that the server has received.
type Request struct {
	Method, Path, Body string
}

func (r Request) String() string { return r.Method + " " + r.Path + " " + r.Body }

// maxRequests limits the requests that are recorded.
const maxRequests = 1000

// New starts a server that is stopped at the end of the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{Answers: map[string]http.HandlerFunc{
		"/api/version":  Reply(Captured("version.json")),
		"/api/tags":     Reply(Captured("tags.json")),
		"/api/show":     Reply(Captured("show.json")),
		"/api/ps":       Reply(Captured("ps.json")),
		"/api/generate": Reply(Captured("generate.ndjson")),
		"/api/delete":   Reply(""),
		"/api/create":   Reply(`{"status":"success"}` + "\n"),
	}}
	s.URL = &url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	require.NoError(t, s.Start())
	t.Cleanup(s.Stop)
	return s
}

// Start listens again after a Stop, on the same port.
func (s *Server) Start() error {
	l, err := net.Listen("tcp", s.URL.Host)
	if err != nil {
		return err
	}
	s.URL.Host = l.Addr().String()
	s.http, s.listener = &http.Server{Handler: s}, l
	go s.http.Serve(l)
	return nil
}

// Stop closes the port and every connection, as the end of the process does.
func (s *Server) Stop() {
	s.listener.Close() // s.http closes it only if Serve has been called already
	s.http.Close()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	request := Request{r.Method, r.URL.Path, string(body)}
	s.mu.Lock()
	if len(s.requests) < maxRequests {
		s.requests = append(s.requests, request.String())
	}
	s.mu.Unlock()
	if s.simulation == nil && strings.Contains(request.Body, `"keep_alive":"0s"`) {
		s.Answers["/api/ps"] = Reply(`{"models":[]}`) // unloaded
	}
	if answer := s.faultFor(request); answer != nil {
		answer(w, r.WithContext(withRequest(r.Context(), request)))
		return
	}
	answer, ok := s.Answers[request.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, r.WithContext(withRequest(r.Context(), request)))
}

// Inject makes the server call fault before each answer. If fault returns a handler,
// that answers instead. Calls are serialized. A nil fault ends this.
func (s *Server) Inject(fault func(Request) http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *Server) faultFor(r Request) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		return nil
	}
	return s.fault(r)
}

// Requests returns the recorded requests, the first thousand at most, each in the form
// "POST /api/generate {…}".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// AskedOf returns the first recorded request to a path.
func (s *Server) AskedOf(t testing.TB, path string) string {
	t.Helper()
	for _, asked := range s.Requests() {
		if strings.Contains(asked, " "+path+" ") {
			return asked
		}
	}
	require.Fail(t, "no request to "+path)
	return ""
}

// ClearRequests clears the recorded requests.
func (s *Server) ClearRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Reply returns a handler that answers with the text.
func Reply(text string) http.HandlerFunc { return ReplyStatus(http.StatusOK, text) }

// ReplyStatus returns a handler that answers with the text and a status.
func ReplyStatus(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

// ReplyPage returns a handler that answers with a web page, as a proxy does.
func ReplyPage(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

// BreakOff returns a handler that sends the text and then closes the connection in
// the middle of the body; if text is empty, before the header.
func BreakOff(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if text != "" {
			w.Header().Set("Content-Length", "100000")
			fmt.Fprint(w, text)
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// Hang returns a handler that sends the text and then nothing until the client has
// gone; if text is empty, not even a header.
func Hang(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text != "" {
			fmt.Fprint(w, text)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}
}

// Endless returns a handler that repeats the text until the client has gone.
func Endless(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
	}
}

// Constant returns a function that always returns the same prompt.
func Constant(prompt string) func() string { return func() string { return prompt } }
