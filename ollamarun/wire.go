package ollamarun

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// wire carries the requests of one client of the library. What is no answer of
// Ollama's becomes an error, before it passes for one: the library reads whole
// answers into memory, follows redirects, and takes an answer that breaks off,
// or has a bad status and no body, for one that has ended.
type wire struct {
	user *url.Userinfo // sent with each request, nil for none
	// broken is why the newest answer ended before its end, nil when it did not.
	broken error
}

// mostBytes is the longest answer that is read. The longest of Ollama's own, the
// figures of a prompt of a million tokens with the tokens themselves, takes 8 MB.
const mostBytes = 64 << 20

// RoundTrip sends the request.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if w.user != nil && req.Header.Get("Authorization") == "" {
		req = req.Clone(req.Context())
		password, _ := w.user.Password()
		req.SetBasicAuth(w.user.Username(), password)
	}
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		if wrong := wrongConnection(req.URL, err); wrong != nil {
			return nil, wrong
		}
		return nil, err
	}
	if err := notOllama(answer); err != nil {
		answer.Body.Close()
		return nil, err
	}
	answer.Body = &body{ReadCloser: http.MaxBytesReader(nil, answer.Body, mostBytes), wire: w}
	return answer, nil
}

// body notes why it could not be read to its end.
type body struct {
	io.ReadCloser
	wire *wire
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			err = fmt.Errorf("the answer is longer than %d MB", mostBytes>>20)
		}
		b.wire.broken = err
	}
	return n, err
}

// wrongServer is an answer that no waiting will mend.
type wrongServer struct{ text string }

func (e *wrongServer) Error() string { return e.text }

// notOllama tells the answers that are not Ollama's own: of a proxy that does
// not reach it or is busy just now, which is a *measurement.Failure, or of something else.
func notOllama(answer *http.Response) error {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // empty where there is none
	status := answer.StatusCode
	if status == http.StatusBadRequest && kind != "application/json" {
		if err := tlsPage(answer); err != nil {
			return err
		}
	}
	switch {
	case status >= 300 && status < 400:
		to := "nowhere"
		if u, err := answer.Location(); err == nil {
			u.User = nil
			to = oneLine(u.Redacted())
		}
		return &wrongServer{fmt.Sprintf("the server redirects to %s (%s): name Ollama's own address with -host", to, answer.Status)}
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return &wrongServer{fmt.Sprintf("the server refuses the request (%s): where it wants a user and a password, give them as -host http://USER:PASSWORD@…", answer.Status)}
	case status == http.StatusNotFound && kind != "application/json":
		return &wrongServer{fmt.Sprintf("the server does not know %s (%s): is Ollama at that address? -host names another", answer.Request.URL.Path, answer.Status)}
	case (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && (kind == "text/html" || answer.ContentLength == 0):
		return &measurement.Failure{Class: measurement.ServerBusy, Detail: "it has no room for the request: " + answer.Status}
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return &measurement.Failure{Class: measurement.ServerAway, Detail: "a proxy does not reach the server: " + answer.Status}
	case kind == "text/html":
		return &measurement.Failure{Class: measurement.ServerAway, Detail: fmt.Sprintf("a web page (%s) and not an answer of Ollama's: is there a proxy in between?", answer.Status)}
	case status >= 400 && answer.ContentLength == 0:
		return &measurement.Failure{Class: measurement.ServerAway, Detail: "an answer without a word: " + answer.Status}
	}
	return nil
}
