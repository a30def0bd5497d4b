package setup

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

func TestUnusableModels(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/usr/share/ollama/.ollama/models/manifests", Err: fs.ErrPermission}
	assert.EqualError(t, unusableModels(ollamarun.ServiceModels, fmt.Errorf("reading: %w", denied), "-config=my.yaml -engine=own"),
		`engine own: this user can't read the models in /usr/share/ollama/.ollama/models: reading: open /usr/share/ollama/.ollama/models/manifests: permission denied; run the sweep as one who can: sudo env "PATH=$PATH" OLLAMA_MODELS=/usr/share/ollama/.ollama/models go test -run Sweep -timeout 0 -config=my.yaml -engine=own`)
}

func TestUsersServers(t *testing.T) {
	for host, want := range map[string][]string{
		"":                {"http://127.0.0.1:11434"},
		"0.0.0.0":         {"http://127.0.0.1:11434"},
		"localhost:11435": {"http://127.0.0.1:11434", "http://127.0.0.1:11435"},
		"gpu.lab:11434":   {"http://127.0.0.1:11434"},
		"ftp://x":         {"http://127.0.0.1:11434"},
	} {
		var addresses []string
		for _, s := range usersServers(host) {
			addresses = append(addresses, s.Address())
		}
		assert.Equal(t, want, addresses, host)
	}
}
