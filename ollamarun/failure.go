package ollamarun

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// failure gives an error of the client its class. The end of the context is
// passed on as its cause, since it says nothing of the server.
func (s *Server) failure(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		if f := new(measurement.Failure); errors.As(context.Cause(ctx), &f) {
			return fmt.Errorf("%s: %w", doing, f)
		}
		return context.Cause(ctx)
	}
	var (
		known     *measurement.Failure
		wrong     *wrongServer
		status    api.StatusError
		transport *url.Error
	)
	f := said(0, err.Error())
	switch {
	case errors.As(err, &known):
		f = known
	case errors.As(err, &wrong):
		return fmt.Errorf("%s at %s: %w", doing, s.URL, wrong)
	case errors.As(err, &status):
		f = said(status.StatusCode, status.ErrorMessage)
	case errors.As(err, &transport):
		f = &measurement.Failure{Class: measurement.ServerAway, Detail: unreachable(err, f.Detail)}
	case notAMessage(err):
		f = &measurement.Failure{Class: measurement.NoFigures, Detail: "not an answer of Ollama's: " + f.Detail}
	}
	s.busy.note(f)
	return fmt.Errorf("%s: %w", doing, f)
}

// said returns the failure that the words of a server or the command tell of, with
// the status that they came with, 0 for none.
func said(status int, text string) *measurement.Failure {
	plain := parse.Plain([]byte(cut(text, 8*mostWords)))
	return &measurement.Failure{Class: parse.ClassifyAnswer(status, plain), Detail: words(text)}
}

// unreachable says in words why a request did not get to the server:
//
//	Get "http://127.0.0.1:11434/api/version": dial tcp 127.0.0.1:11434: connect: connection refused
//	Get "http://gpu7:11434/api/version": dial tcp: lookup gpu7 on 10.0.0.2:53: no such host
//
// An error of another kind keeps its text.
func unreachable(err error, text string) string {
	var lookup *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there (connection refused)"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return fmt.Sprintf("no host has the name %s (%s)", words(lookup.Name), lookup.Err)
	}
	return text
}

// findServer says what to do about a server that does not answer.
const findServer = "start it with `ollama serve`, or name its address with -host or in OLLAMA_HOST"

// notAMessage reports whether an answer could not be decoded. A line that is no
// JSON comes as an error whose text is that line, as the server's own words do,
// which can be an answer of llama-server.
func notAMessage(err error) bool {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
		date   *time.ParseError
	)
	if errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &date) || errors.Is(err, bufio.ErrTooLong) {
		return true
	}
	text := strings.TrimSpace(err.Error())
	if parse.Message(text) != text {
		return false
	}
	return strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") || strings.HasPrefix(text, "<")
}

// mostWords is how many bytes of what a server or a command says are kept.
const mostWords = 2000

// words returns what a server says as text that can be shown and kept.
func words(text string) string {
	return cut(parse.Plain([]byte(parse.Message(cut(text, 8*mostWords)))), mostWords)
}

// oneLine is words for what ought to be a name or a version.
func oneLine(text string) string {
	return cut(strings.Join(strings.Fields(words(text)), " "), 200)
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
