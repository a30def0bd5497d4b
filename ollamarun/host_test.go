package ollamarun

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseHost(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "http://127.0.0.1:11434",
		"gpu":                       "http://gpu:11434",
		"gpu:8080":                  "http://gpu:8080",
		":8080":                     "http://127.0.0.1:8080",
		"http://gpu":                "http://gpu:80",
		"https://gpu":               "https://gpu:443",
		"https://gpu:8443/ollama":   "https://gpu:8443/ollama",
		" http://127.0.0.1:11434 ":  "http://127.0.0.1:11434",
		"[::1]":                     "http://[::1]:11434",
		"http://user:secret@gpu:80": "http://gpu:80",
	} {
		u, _, err := ParseHost(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, u.String(), text)
	}
	_, user, err := ParseHost("http://user:secret@gpu:80")
	require.NoError(t, err)
	assert.Equal(t, "user:secret", user.String(), "it is returned apart from the URL")
	for text, want := range map[string]string{
		"ftp://gpu":  "the scheme must be http or https",
		"gpu:99999":  `"99999" is not a port`,
		"gpu:x":      "is not a URL like http://127.0.0.1:11434",
		"http://a b": "is not a URL",

		"http://gpu/?token=secret":       `host "http://gpu/": the URL must not have a query or a fragment; write one like http://127.0.0.1:11434`,
		"ftp://user:secret@gpu":          `host "ftp://gpu": the scheme must be http or https`,
		"http://user:secret@gpu:x":       `host "http://gpu:x" is not a URL`,
		"user:secret@gpu:99999":          `host "gpu:99999": "99999" is not a port`,
		"http://user:secret%zz@gpu:1234": `host "http://gpu:1234" is not a URL`,
	} {
		_, _, err := ParseHost(text)
		assert.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "secret")
	}
}

// TestAddress checks that a server's address does not depend on how its URL is written.
func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "http://127.0.0.1:11434",
		"localhost":                     "http://127.0.0.1:11434",
		"LOCALHOST.:11434":              "http://127.0.0.1:11434",
		"[::1]":                         "http://127.0.0.1:11434",
		"0.0.0.0":                       "http://127.0.0.1:11434",
		"http://localhost:8080/":        "http://127.0.0.1:8080",
		"http://user:secret@GPU.local.": "http://gpu.local:80",
		"https://gpu/ollama/":           "https://gpu:443/ollama",
	} {
		u, user, err := ParseHost(text)
		require.NoError(t, err, text)
		s := Server{URL: u, User: user}
		assert.Equal(t, want, s.Address(), text)
	}
}
