package ollamatest

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask sends a request and returns the answer's body.
func ask(t *testing.T, s *Server, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL.JoinPath(path).String(), strings.NewReader(body))
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

// TestSimulatedAnswers checks that simulated answers differ from captured ones only
// in their figures.
func TestSimulatedAnswers(t *testing.T) {
	figures := regexp.MustCompile(`[0-9]+`)
	alike := func(captured, got string) {
		t.Helper()
		assert.Equal(t, figures.ReplaceAllString(captured, "0"), figures.ReplaceAllString(got, "0"))
	}
	s := New(t)
	s.Simulate(1)
	alike(Captured("generate.ndjson"), ask(t, s, "POST", "/api/generate", `{"model":"tiny","prompt":"hello","options":{"num_ctx":64,"num_batch":8}}`))
	loaded := ask(t, s, "GET", "/api/ps", "")
	alike(Captured("ps.json"), loaded)
	assert.Contains(t, loaded, `"context_length":64`)
	alike(Captured("generate-unload.ndjson"), ask(t, s, "POST", "/api/generate", `{"model":"tiny","prompt":"","keep_alive":"0s"}`))
	assert.Equal(t, `{"models":[]}`, ask(t, s, "GET", "/api/ps", ""))
	alike(Captured("generate-missing.json"), ask(t, s, "POST", "/api/generate", `{"model":"nosuch","prompt":"hello"}`))

	alike(Captured("tags.json"), ask(t, s, "GET", "/api/tags", ""))
	ask(t, s, "POST", "/api/create", `{"model":"other","from":"tiny"}`)
	assert.Contains(t, ask(t, s, "GET", "/api/tags", ""), `"other:latest"`)
	ask(t, s, "DELETE", "/api/delete", `{"model":"other"}`)
	assert.NotContains(t, ask(t, s, "GET", "/api/tags", ""), `"other:latest"`)
}

// TestKeepPrompts: of a prompt that begins like the newest one, only the rest takes time, and
// some more where that has another number of tokens than the last one.
func TestKeepPrompts(t *testing.T) {
	s := New(t)
	s.Simulate(1000)
	s.KeepPrompts()
	took := func(prompt string) time.Duration {
		answer := ask(t, s, "POST", "/api/generate", `{"model":"tiny","prompt":"`+prompt+`","options":{"num_ctx":64,"num_batch":8}}`)
		assert.Contains(t, answer, fmt.Sprintf(`"prompt_eval_count":%d`, len(prompt)))
		var d time.Duration
		_, err := fmt.Sscanf(between(answer, `"prompt_eval_duration":`, ","), "%d", &d)
		require.NoError(t, err)
		return d.Round(10 * time.Millisecond)
	}
	const resized = 1000 * resizeTime
	assert.Equal(t, resized+320*time.Millisecond, took("0123456789abcdef"))
	assert.Equal(t, resized+80*time.Millisecond, took("0123456789abcdefghij"))
	assert.Equal(t, 80*time.Millisecond, took("0123456789abcdefklmn"), "as many tokens as before")
	assert.Equal(t, resized+20*time.Millisecond, took("0123456789abcdefklmn"), "the last token is evaluated again")
	assert.Equal(t, resized+200*time.Millisecond, took("0123456789ABCDEFGHIJ"))
	assert.Equal(t, resized+320*time.Millisecond, took("x123456789abcdef"))
}

// TestStopAndStart checks that the port is free after Stop, and the same after Start.
func TestStopAndStart(t *testing.T) {
	s := New(t)
	s.Stop()
	_, err := http.Get(s.URL.String())
	assert.ErrorContains(t, err, "connection refused")
	require.NoError(t, s.Start())
	assert.JSONEq(t, Captured("version.json"), ask(t, s, "GET", "/api/version", ""))
}
