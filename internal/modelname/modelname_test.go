package modelname

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSame(t *testing.T) {
	for _, same := range [][2]string{
		{"tiny", "tiny:latest"},
		{"Tiny", "tiny:LATEST"},
		{"library/tiny", "tiny"},
		{"registry.ollama.ai/library/tiny:latest", "tiny"},
		{"host:5000/a/tiny:latest", "host:5000/a/tiny"},
		{"hf.co/User/Model-GGUF:Q4_K_M", "hf.co/user/model-gguf:q4_k_m"},
		{"/models/a.gguf", "/models/a.gguf"},
		{"", ""},
	} {
		assert.True(t, Same(same[0], same[1]), "%q %q", same[0], same[1])
	}
	for _, other := range [][2]string{
		{"tiny:q4", "tiny"},
		{"me/tiny", "tiny"},
		{"hf.co/a/tiny", "a/tiny"},
		{"/models/a.gguf", "/models/A.gguf"},
		{"", "tiny"},
		{"not a name", "not a Name"},
	} {
		assert.False(t, Same(other[0], other[1]), "%q %q", other[0], other[1])
	}
}
