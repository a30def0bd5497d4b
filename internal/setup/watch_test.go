package setup

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

func TestUsesOurGPUs(t *testing.T) {
	for _, test := range []struct {
		name, engine, host string
		devices            []string
		want               bool
	}{
		{"an engine on the CPU of a machine with GPUs", config.EngineEmbedded, "127.0.0.1:4711", []string{parse.CPU}, false},
		{"an engine whose log has no devices", config.EngineEmbedded, "127.0.0.1:4711", nil, false},
		{"an engine on a GPU", config.EngineEmbedded, "127.0.0.1:4711", []string{"NVIDIA GeForce RTX 4080 (driver 12.3)"}, true},
		{"a server of this machine", config.EngineHost, "127.0.0.1:11434", nil, true},
		{"another machine's", config.EngineHost, "gpu:11434", []string{"NVIDIA GeForce RTX 4080 (driver 12.3)"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &ollamarun.Server{URL: &url.URL{Scheme: "http", Host: test.host}}
			assert.Equal(t, test.want, usesOurGPUs(server, config.Config{Engine: test.engine}, test.devices))
		})
	}
}
