package ollamarun

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary stand for the ollama command: a link of that
// name to it does what the environment says.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "ollama" {
		os.Exit(fakeCommand(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fakeCommand plays an ollama command that the real one is only in trouble.
func fakeCommand(args []string) int {
	if args[0] == "create" {
		modelfile, _ := os.ReadFile(args[3])
		os.WriteFile(os.Getenv("FAKE_SEEN"), modelfile, 0o600)
		return 0
	}
	switch os.Getenv("FAKE") {
	case "no summary":
		fmt.Fprint(os.Stderr, "\x1b[?25l⠙ \x1b[K\x1b[?25h")
	case "error":
		fmt.Fprint(os.Stderr, "\x1b[?25l⠙ \x1b[K\x1b[2K\x1b[1G\x1b[?25hError: 500 Internal Server Error: llama runner process has terminated: cudaMalloc failed: out of memory\n")
		return 1
	case "no words":
		return 3
	case "hang":
		time.Sleep(time.Minute)
	case "megabytes":
		for range 5 * 1024 {
			fmt.Fprint(os.Stderr, strings.Repeat("⠙ \x1b[K", 170), "\n")
		}
		fallthrough
	default:
		// What the model says can look like a summary; it is on the other stream.
		fmt.Println("prompt eval count:    1 token(s)\nprompt eval duration: 1ns")
		summary, _ := os.ReadFile(os.Getenv("FAKE_SUMMARY"))
		os.Stderr.Write(summary)
	}
	return 0
}

// captured returns bytes of the real server.
func captured(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "ollama-0.10.1-"+name))
	require.NoError(t, err)
	return string(data)
}

// fakeServer answers with captured bytes, but for the paths of which a test says
// otherwise.
type fakeServer struct {
	answers map[string]http.HandlerFunc
	asked   []string // "POST /api/generate {…}"
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := new(strings.Builder)
	if _, err := fmt.Fprint(body, r.Method, " ", r.URL.Path, " "); err == nil {
		buf := make([]byte, r.ContentLength+1)
		n, _ := r.Body.Read(buf)
		body.Write(buf[:n])
	}
	f.asked = append(f.asked, body.String())
	if strings.Contains(body.String(), `"keep_alive":"0s"`) {
		f.answers["/api/ps"] = say(`{"models":[]}`) // unloaded
	}
	f.answers[r.URL.Path](w, r)
}

// request returns the first request that was sent to a path.
func (f *fakeServer) request(t *testing.T, path string) string {
	t.Helper()
	for _, asked := range f.asked {
		if strings.Contains(asked, " "+path+" ") {
			return asked
		}
	}
	require.Fail(t, "nothing was sent to "+path)
	return ""
}

// say answers with these bytes.
func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func sayStatus(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

// breakOff answers with these bytes and closes the connection in the middle of
// the body.
func breakOff(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		fmt.Fprint(w, text)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func newFakeServer(t *testing.T) (*fakeServer, *Server) {
	t.Helper()
	f := &fakeServer{answers: map[string]http.HandlerFunc{
		"/api/version":  say(captured(t, "version.json")),
		"/api/tags":     say(captured(t, "tags.json")),
		"/api/show":     say(captured(t, "show.json")),
		"/api/ps":       say(captured(t, "ps.json")),
		"/api/generate": say(captured(t, "generate.ndjson")),
		"/api/delete":   say(""),
		"/api/create":   say(`{"status":"success"}` + "\n"),
	}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	return f, &Server{URL: u}
}
