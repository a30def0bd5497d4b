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

// wire is the HTTP transport of one client of the Ollama library. An answer that
// is not Ollama's becomes an error here, because the library does not notice: it
// reads whole answers into memory, follows redirects, and treats an answer that
// breaks off, or has a bad status and no body, as complete.
type wire struct {
	user *url.Userinfo // sent with each request, nil for none
	// broken is the error that cut the newest answer short, nil for none.
	broken error
}

// maxBytes limits the size of an answer. The longest that Ollama sends, the figures
// of a prompt of a million tokens with the tokens themselves, takes 8 MB.
const maxBytes = 64 << 20

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if w.user != nil && req.Header.Get("Authorization") == "" {
		req = req.Clone(req.Context())
		password, _ := w.user.Password()
		req.SetBasicAuth(w.user.Username(), password)
	}
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		if wrong := connectionError(req.URL, err); wrong != nil {
			return nil, wrong
		}
		return nil, err
	}
	if err := notOllama(answer); err != nil {
		answer.Body.Close()
		return nil, err
	}
	answer.Body = &body{ReadCloser: http.MaxBytesReader(nil, answer.Body, maxBytes), wire: w}
	return answer, nil
}

// body records in its wire why it could not be read to its end.
type body struct {
	io.ReadCloser
	wire *wire
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			err = fmt.Errorf("the answer is longer than %d MB", maxBytes>>20)
		}
		b.wire.broken = err
	}
	return n, err
}

// permanentError is an answer or a connection error that waiting can't fix.
type permanentError struct{ text string }

// Error implements error.
func (e *permanentError) Error() string { return e.text }

// notOllama returns an error for an answer that is not Ollama's: a *measurement.Failure for
// that of a proxy that can't reach Ollama or is busy, else a *permanentError.
func notOllama(answer *http.Response) error {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // empty if there is none
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
		return &permanentError{fmt.Sprintf("the server redirects to %s (%s): name Ollama's own address with -host", to, answer.Status)}
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return &permanentError{fmt.Sprintf("the server refuses the request (%s): if it requires a user and a password, give them as -host http://USER:PASSWORD@…", answer.Status)}
	case status == http.StatusNotFound && kind != "application/json":
		return &permanentError{fmt.Sprintf("the server has no %s (%s): is Ollama at that address? Name another with -host", answer.Request.URL.Path, answer.Status)}
	case (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && (kind == "text/html" || answer.ContentLength == 0):
		return &measurement.Failure{Class: measurement.ServerBusy, Detail: "it does not accept more requests: " + answer.Status}
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return &measurement.Failure{Class: measurement.ServerAway, Detail: "a proxy can't reach the server: " + answer.Status}
	case kind == "text/html":
		return &measurement.Failure{Class: measurement.ServerAway, Detail: fmt.Sprintf("the answer is a web page (%s), not Ollama's: is there a proxy in between?", answer.Status)}
	case status >= 400 && answer.ContentLength == 0:
		return &measurement.Failure{Class: measurement.ServerAway, Detail: "an empty answer: " + answer.Status}
	}
	return nil
}
