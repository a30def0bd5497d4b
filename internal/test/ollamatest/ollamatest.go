// Package ollamatest plays an Ollama server, for tests of faults that a real
// one does not produce on demand. What it answers are bytes that a real one
// sent, captured under testdata; with Simulate, with figures put in that follow
// from what was asked.
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

// Captured returns bytes of the real server, by the end of their file's name.
func Captured(name string) string {
	data, err := testdata.ReadFile("testdata/ollama-0.10.1-" + name)
	if err != nil {
		panic(err) // of a test that names a file that is not there
	}
	return string(data)
}

// Server plays Ollama on a loopback port. Make one with New.
type Server struct {
	URL *url.URL
	// Answers are by path, the captured ones to begin with. A test may put others
	// in while no request is under way; one whose client is another process has to
	// do it before that starts, with Play.
	Answers map[string]http.HandlerFunc

	mu        sync.Mutex
	fault     func(Request) http.HandlerFunc
	asked     []string
	http      *http.Server
	listener  net.Listener
	simulated bool
}

// Request is one that the server was sent.
type Request struct {
	Method, Path, Body string
}

func (r Request) String() string { return r.Method + " " + r.Path + " " + r.Body }

// mostAsked is how many requests are kept.
const mostAsked = 1000

// New starts a server, which ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{Answers: map[string]http.HandlerFunc{
		"/api/version":  Say(Captured("version.json")),
		"/api/tags":     Say(Captured("tags.json")),
		"/api/show":     Say(Captured("show.json")),
		"/api/ps":       Say(Captured("ps.json")),
		"/api/generate": Say(Captured("generate.ndjson")),
		"/api/delete":   Say(""),
		"/api/create":   Say(`{"status":"success"}` + "\n"),
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
	s.listener.Close() // which the server may not have taken yet
	s.http.Close()
}

// ServeHTTP answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	request := Request{r.Method, r.URL.Path, string(body)}
	s.mu.Lock()
	if len(s.asked) < mostAsked {
		s.asked = append(s.asked, request.String())
	}
	s.mu.Unlock()
	if !s.simulated && strings.Contains(request.Body, `"keep_alive":"0s"`) {
		s.Answers["/api/ps"] = Say(`{"models":[]}`) // unloaded
	}
	if answer := s.faulty(request); answer != nil {
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

// Play has fault asked before each answer, which may give another in its place,
// or nil. It is asked for one request at a time; nil plays nothing any more.
func (s *Server) Play(fault func(Request) http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *Server) faulty(r Request) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		return nil
	}
	return s.fault(r)
}

// Asked returns the requests so far, the first thousand at most, each as
// "POST /api/generate {…}".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// AskedOf returns the first request that was sent to a path.
func (s *Server) AskedOf(t testing.TB, path string) string {
	t.Helper()
	for _, asked := range s.Asked() {
		if strings.Contains(asked, " "+path+" ") {
			return asked
		}
	}
	require.Fail(t, "nothing was sent to "+path)
	return ""
}

// Forget makes Asked begin anew.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

// Say answers with these bytes.
func Say(text string) http.HandlerFunc { return SayStatus(http.StatusOK, text) }

// SayStatus answers with these bytes and a status.
func SayStatus(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

// SayPage answers with a web page, as a proxy does.
func SayPage(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

// BreakOff answers with these bytes and closes the connection in the middle of
// the body; without bytes, before the header.
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

// Hang answers with these bytes and then with nothing more, until the client
// has gone; without bytes not even with a header.
func Hang(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text != "" {
			fmt.Fprint(w, text)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}
}

// Endless answers with these bytes again and again, until the client has gone.
func Endless(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
	}
}

// Always makes prompts that are all the same.
func Always(prompt string) func() string { return func() string { return prompt } }
