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

// failure classifies an error of the client. If the context has ended, it returns the
// context's cause instead, because the error says nothing about the server.
func (s *Server) failure(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		if f := new(measurement.Failure); errors.As(context.Cause(ctx), &f) {
			return fmt.Errorf("%s: %w", doing, f)
		}
		return context.Cause(ctx)
	}
	var (
		failure   *measurement.Failure
		wrong     *permanentError
		status    api.StatusError
		transport *url.Error
	)
	f := failureFrom(0, err.Error())
	switch {
	case errors.As(err, &failure):
		f = failure
	case errors.As(err, &wrong):
		return fmt.Errorf("%s at %s: %w", doing, s.URL, wrong)
	case errors.As(err, &status):
		f = failureFrom(status.StatusCode, status.ErrorMessage)
	case errors.As(err, &transport):
		f = &measurement.Failure{Class: measurement.ServerAway, Detail: unreachable(err, f.Detail)}
	case notAMessage(err):
		f = &measurement.Failure{Class: measurement.NoFigures, Detail: "not an answer of Ollama: " + f.Detail}
	}
	s.busy.note(f)
	return fmt.Errorf("%s: %w", doing, f)
}

// failureFrom classifies an error message of the server or the command. Status is the HTTP
// status that came with it, 0 for none.
func failureFrom(status int, text string) *measurement.Failure {
	plain := parse.Plain([]byte(cut(text, 8*maxText)))
	return &measurement.Failure{Class: parse.ClassifyAnswer(status, plain), Detail: printable(text)}
}

// unreachable explains why a request did not reach the server:
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
		return fmt.Sprintf("no host has the name %s (%s)", printable(lookup.Name), lookup.Err)
	}
	return text
}

// serverAdvice is what to do about a server that does not answer.
const serverAdvice = "start it with `ollama serve`, or name its address with -host or in OLLAMA_HOST"

// notAMessage reports whether an answer could not be decoded. The library returns a
// line that is not JSON as an error with that line as its text, just as it returns the
// server's error messages, one of which can be a JSON answer of llama-server.
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

// maxText limits the text of a server or a command that is kept, in bytes.
const maxText = 2000

// printable returns a server's text in a form that is safe to print and save.
func printable(text string) string {
	return cut(parse.Plain([]byte(parse.Message(cut(text, 8*maxText)))), maxText)
}

// oneLine is printable for what should be a single line: a name or a version.
func oneLine(text string) string {
	return cut(strings.Join(strings.Fields(printable(text)), " "), 200)
}

// cut shortens a text to so many bytes, without half a character at the end.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
