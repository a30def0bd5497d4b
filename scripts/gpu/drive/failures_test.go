package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
	"github.com/ollama-sweep/ollama-sweep/internal/test/script"
)

func TestDescribe(t *testing.T) {
	loaded := []byte(ollamatest.Captured("ps.json"))
	for _, tt := range []struct {
		name, body string
		status     int
		loaded     []byte
		want       string
	}{
		{"an answer", `{"done":true,"prompt_eval_count":300,"prompt_eval_duration":100000000}`, 200, loaded, "status 200, 3000.0 tokens/s; loaded: 8 MiB, 0 in GPU memory, context 2048"},
		{"no memory", `{"error":"llama runner process has terminated: cudaMalloc failed: out of memory"}`, 500, []byte(`{"models":[]}`), "status 500, CUDA OOM: llama runner process has terminated: cudaMalloc failed: out of memory"},
		{"a proxy's page", "<html>", 502, nil, "status 502"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, describe(tt.status, []byte(tt.body), tt.loaded))
		})
	}
}

func TestExchange(t *testing.T) {
	server := ollamatest.New(t)
	server.Answers["/api/generate"] = ollamatest.ReplyStatus(http.StatusInternalServerError, `{"error":"no"}`)
	status, text, raw, err := exchange(t.Context(), http.MethodPost, server.URL.JoinPath("/api/generate").String(), []byte(`{"model":"tiny"}`))
	require.NoError(t, err)
	assert.Equal(t, 500, status)
	assert.Equal(t, `{"error":"no"}`, string(text))
	assert.True(t, bytes.HasPrefix(raw, []byte("HTTP/1.1 500 Internal Server Error\r\n")), "%s", raw)
	assert.True(t, bytes.HasSuffix(raw, []byte("\r\n\r\n"+`{"error":"no"}`)), "%s", raw)
	assert.Equal(t, []string{`POST /api/generate {"model":"tiny"}`}, server.Requests())
}

// TestHold: the stand-in for the compiler makes a program that holds no memory, and ends when it is released.
func TestHold(t *testing.T) {
	bin, err := filepath.Abs("../testdata/bin")
	require.NoError(t, err)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	d, err := newDrive(t.TempDir(), t.TempDir(), t.TempDir(), true)
	require.NoError(t, err)
	program, err := d.buildHolder(t.Context())
	require.NoError(t, err)
	free, release, err := hold(t.Context(), program, 4096)
	require.NoError(t, err)
	assert.Equal(t, "4096", free)
	release()

	script.Write(t, program, "exit 1\n")
	_, _, err = hold(t.Context(), program, 4096)
	assert.ErrorContains(t, err, "hold ended at once")
}
