package parse

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServerLogAttention(t *testing.T) {
	for file, want := range map[string]string{
		"ollama-0.10.1-load-1024-8.log":   "flash attention off, KV cache f16",
		"ollama-0.12.6-format.log":        "flash attention off, KV cache f16",
		"ollama-0.24.0-engine-format.log": "flash attention on, KV cache f16",
		"ollama-0.32.5-load-2048-64.log":  "flash attention auto, KV cache f16",
		"ollama-0.32.5-start.log":         "",
	} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		assert.Equal(t, want, ServerLogAttention(text), file)
	}
	const up = `msg="starting llama server" cmd="/usr/bin/ollama runner --model /m/sha256-1 --ctx-size 1024 --batch-size 8`
	for _, test := range []struct{ name, text, want string }{
		{"up to 0.11.4, on", up + ` --flash-attn --threads 1"`, "flash attention on, KV cache f16"},
		{"up to 0.11.4, with a cache type", up + ` --flash-attn --kv-cache-type q8_0 --threads 1"`, "flash attention on, KV cache q8_0"},
		{"a commit", `msg=load request="{Operation:commit BatchSize:512 FlashAttention:Disabled KvSize:4096 KvCacheType:Q4_0 NumThreads:8}"`, "flash attention off, KV cache q4_0"},
		{"from 0.30 on", `msg="starting llama-server" cmd="llama-server --model /m/a -c 8192 -np 1 --cache-type-k q4_0 --cache-type-v q4_0 --flash-attn on -b 512"`, "flash attention on, KV cache q4_0"},
		{"the newest of two", up + `"` + "\n" + up + ` --flash-attn"`, "flash attention on, KV cache f16"},
		{"no load", "msg=load", ""},
	} {
		assert.Equal(t, test.want, ServerLogAttention([]byte(test.text)), test.name)
	}
}
