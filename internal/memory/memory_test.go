package memory

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func info(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &m))
	return m
}

// llama8B is the model_info of an 8B model of the llama family, as far as it counts.
const llama8B = `{"general.architecture": "llama", "llama.block_count": 32, "llama.embedding_length": 4096, "llama.vocab_size": 128256,
	"llama.attention.head_count": 32, "llama.attention.head_count_kv": 8, "llama.attention.key_length": 128, "llama.attention.value_length": 128}`

func TestNeedOfAKnownModel(t *testing.T) {
	m, err := FromInfo(info(t, llama8B), 4_900_000_000)
	require.NoError(t, err)
	n := m.Of(8192, 512, Settings{})
	assert.Equal(t, int64(1<<30), n.KV, "1 GiB at 8192 tokens, as is well known")
	assert.Equal(t, int64(4*512*(1+4*4096+8192*33)), n.Compute)
	assert.Equal(t, int64(4_900_000_000), n.Weights)
	assert.Equal(t, (n.Weights+n.KV)/32, n.Buffer)
	assert.Equal(t, n.Weights+n.KV+n.Compute+n.Buffer, n.Total())

	assert.Equal(t, 2*n.KV, m.Of(8192, 512, Settings{Parallel: 2}).KV)
	assert.Equal(t, 2*n.KV, m.Of(8192, 512, Settings{CacheType: "f32"}).KV)
	assert.Equal(t, n.KV*17/32, m.Of(8192, 512, Settings{CacheType: "q8_0"}).KV)
	assert.Equal(t, m.Of(256, 256, Settings{}).Compute, m.Of(256, 512, Settings{}).Compute, "num_batch above num_ctx is capped")
	assert.Equal(t, int64(4*8*(4096+128256)), m.Of(64, 8, Settings{}).Compute, "the vocabulary counts where the context is small")
}

func TestFromInfo(t *testing.T) {
	// Lists with a number for each layer, some without a cache; lengths that follow
	// from the embedding; a vocabulary that is a list; a sliding window.
	m, err := FromInfo(info(t, `{"general.architecture": "x", "x.block_count": 4, "x.embedding_length": 64, "x.attention.head_count": [4, 4, 2, 4],
		"x.attention.head_count_kv": [2, 0, 2], "tokenizer.ggml.tokens": ["a", "b", "c"], "x.attention.sliding_window": 1024}`), 7)
	require.NoError(t, err)
	assert.Equal(t, Model{Weights: 7, HeadsKV: []int{2, 0, 2, 4}, Heads: 4, Key: 16, Value: 16, Embedding: 64, Vocab: 3, Window: 1024}, m)
	for text, want := range map[string]string{
		`{}`:                                "does not tell the model's architecture",
		`{"general.architecture": "llama"}`: "llama.block_count",
		`{"general.architecture": "llama", "llama.block_count": 2}`:                                                                   "llama.embedding_length",
		`{"general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 5}`:                                      "llama.attention.head_count",
		`{"general.architecture": "llama", "llama.block_count": 9e6, "llama.embedding_length": 5, "llama.attention.head_count": 1}`:   "9000000 layers",
		`{"general.architecture": "llama", "llama.block_count": -2, "llama.embedding_length": 5, "llama.attention.head_count": 1}`:    "llama.block_count",
		`{"general.architecture": "llama", "llama.block_count": "two", "llama.embedding_length": 5, "llama.attention.head_count": 1}`: "llama.block_count",
	} {
		_, err := FromInfo(info(t, text), 1)
		assert.ErrorContains(t, err, want)
	}
}

func TestParseCacheType(t *testing.T) {
	got, err := ParseCacheType("q4_0")
	require.NoError(t, err)
	assert.Equal(t, CacheType("q4_0"), got)
	_, err = ParseCacheType("int3")
	assert.EqualError(t, err, `"int3" is no type of a KV cache: write f16, q8_0 or q4_0`)
}

// FuzzFromInfo: whatever a server tells, no panic and nothing negative.
func FuzzFromInfo(f *testing.F) {
	f.Add(llama8B)
	f.Add(`{"general.architecture": "x", "x.block_count": 4, "x.embedding_length": 64, "x.attention.head_count": [4], "x.attention.head_count_kv": [1e5, -1, null]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var info map[string]any
		if json.Unmarshal([]byte(text), &info) != nil {
			return
		}
		m, err := FromInfo(info, 1<<40)
		if err != nil {
			return
		}
		for _, h := range m.HeadsKV {
			assert.GreaterOrEqual(t, h, 0)
		}
		n := m.Of(1024, 512, Settings{})
		assert.Positive(t, n.Compute)
		assert.GreaterOrEqual(t, n.KV, int64(0))
	})
}
