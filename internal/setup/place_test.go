package setup

import (
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

func TestPlace(t *testing.T) {
	at := func(engine, host string) checkpoint.Place {
		b := &Sweep{config: config.Config{Engine: engine}}
		p, err := b.place(&ollamarun.Server{URL: &url.URL{Scheme: "http", Host: host}})
		require.NoError(t, err)
		return p
	}
	t.Setenv("SWEEP_HOST", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	assert.Equal(t, checkpoint.Place{Host: "http://127.0.0.1:11434"}, at(config.EngineHost, "localhost:11434"), "in a container")
	assert.Equal(t, checkpoint.Place{Host: "http://gpu:11434", Machine: "gpu"}, at(config.EngineHost, "gpu:11434"))
	assert.Empty(t, at(config.EngineEmbedded, "127.0.0.1:40000").Host, "its port differs each time")
	t.Setenv("SWEEP_HOST", "lab-7")
	assert.Equal(t, checkpoint.Place{Host: "http://gpu:11434", Machine: "lab-7", Named: true}, at(config.EngineHost, "gpu:11434"))
}

func TestInContainer(t *testing.T) {
	none := func(string) string { return "" }
	has := func(file string) func(string) bool { return func(f string) bool { return f == file } }
	assert.False(t, inContainer(has(""), none))
	assert.True(t, inContainer(has("/.dockerenv"), none))
	assert.True(t, inContainer(has("/run/.containerenv"), none))
	for _, name := range []string{"KUBERNETES_SERVICE_HOST", "container"} {
		assert.True(t, inContainer(has(""), func(v string) string {
			if v == name {
				return "x"
			}
			return ""
		}))
	}
}

// TestMachineID: the identifier does not reveal the confidential number.
func TestMachineID(t *testing.T) {
	secret, err := os.ReadFile("/etc/machine-id")
	if err != nil || len(secret) < 32 {
		t.Skip("this machine has none")
	}
	assert.Regexp(t, "^[0-9a-f]{16}$", machineID())
	assert.NotContains(t, string(secret), machineID())
}
