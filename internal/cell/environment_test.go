package cell

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestEnvironment: settings of the server are variables, those of a cell in place of fixed ones, and none is
// set that is left to the server.
func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		settings Settings
		fixed    map[string]string
		env      map[string]string
		binary   string
	}{
		{"", nil, map[string]string{}, ""},
		{"flash_attention=on/kv_cache_type=q8_0/num_parallel=2", nil, map[string]string{"OLLAMA_FLASH_ATTENTION": "1", "OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_NUM_PARALLEL": "2"}, ""},
		{"flash_attention=off", map[string]string{"num_gpu": "40", "num_parallel": "4"}, map[string]string{"OLLAMA_FLASH_ATTENTION": "0", "OLLAMA_NUM_PARALLEL": "4"}, ""},
		{"flash_attention=auto", map[string]string{"flash_attention": "on"}, map[string]string{}, ""},
		{"num_thread=8/GGML_X=on/LLAMA_ARG_Y=a%2Fb", nil, map[string]string{"GGML_X": "on", "LLAMA_ARG_Y": "a/b"}, ""},
		{"GGML_X=", nil, map[string]string{"GGML_X": ""}, ""},
		{"ollama=0.31.1/num_parallel=1", map[string]string{"GGML_X": "1"}, map[string]string{"OLLAMA_NUM_PARALLEL": "1", "GGML_X": "1"}, "0.31.1"},
	} {
		fixed := len(test.fixed)
		env, binary := test.settings.Environment(test.fixed)
		assert.Equal(t, test.env, env, "%s", test.settings)
		assert.Equal(t, test.binary, binary)
		assert.Len(t, test.fixed, fixed, "it stays as it was")
	}
}
