package memory

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &m))
	return m
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(data)
}

// llama8B has the keys that matter of the model_info of an 8B Llama model.
const llama8B = `{"general.architecture": "llama", "llama.block_count": 32, "llama.embedding_length": 4096, "llama.vocab_size": 128256, "llama.feed_forward_length": 14336,
	"llama.attention.head_count": 32, "llama.attention.head_count_kv": 8, "llama.attention.key_length": 128, "llama.attention.value_length": 128}`

func TestNeedOfAKnownModel(t *testing.T) {
	m, err := FromInfo(read(t, llama8B), 4_900_000_000)
	require.NoError(t, err)
	n := m.Of(8192, 512, Settings{})
	assert.Equal(t, int64(1<<30), n.KV, "1 GiB for 8192 tokens is well known")
	assert.Equal(t, int64(512*(2*8192+4*(2*4096+4*14336))), n.Compute)
	assert.Equal(t, int64(4_900_000_000), n.Weights)
	assert.Equal(t, n.Weights+n.KV+n.Compute, n.Total())

	assert.Equal(t, 2*n.KV, m.Of(8192, 512, Settings{Parallel: 2}).KV)
	assert.Equal(t, 2*n.KV, m.Of(8192, 512, Settings{CacheType: "f32"}).KV)
	assert.Equal(t, n.KV*17/32, m.Of(8192, 512, Settings{CacheType: "q8_0"}).KV)
	assert.Equal(t, m.Of(256, 256, Settings{}).Compute, m.Of(256, 512, Settings{}).Compute, "num_batch above num_ctx is capped")
}

// TestNeedBefore030 checks the estimate of the scheduler of Ollama 0.10.1.
func TestNeedBefore030(t *testing.T) {
	m, err := FromInfo(read(t, llama8B), 4_900_000_000)
	require.NoError(t, err)
	older := Settings{Before030: true}
	n := m.Of(8192, 512, older)
	assert.Equal(t, int64(1<<30), n.KV)
	assert.Equal(t, int64(4*512*(1+4*4096+8192*33)), n.Compute)
	assert.Equal(t, (n.Weights+n.KV)/32, n.Buffer)
	assert.Equal(t, n.Weights+n.KV+n.Compute+n.Buffer, n.Total())
	assert.Equal(t, int64(4*8*(4096+128256)), m.Of(64, 8, older).Compute, "the vocabulary decides if the context is small")
	assert.Equal(t, m.Of(1024, 512, Settings{}).KV, m.Of(1000, 512, Settings{}).KV, "llama-server rounds up to 256 tokens")
	assert.Less(t, m.Of(1000, 512, older).KV, m.Of(1024, 512, older).KV)
}

// rough are the architectures for which the estimate of the compute buffers is off by more.
var rough = map[string]bool{"gemma3n": true, "rwkv6": true, "mamba": true, "plamo2": true, "jamba": true, "deepseek32": true, "qwen35": true, "qwen35moe": true, "step35": true}

// TestLlamaServer compares the estimate with what llama.cpp b10091 allocated for small
// models of its architectures: the context must be exact, the compute buffers within 25 %.
func TestLlamaServer(t *testing.T) {
	lines := bufio.NewScanner(bytes.NewReader([]byte(testdata(t, "llama.cpp-b10091.jsonl"))))
	lines.Buffer(nil, 1<<20)
	models := 0
	for ; lines.Scan(); models++ {
		var c struct {
			Name  string
			Info  map[string]any `json:"model_info"`
			Loads []struct {
				NumCtx           int `json:"num_ctx"`
				NumBatch         int `json:"num_batch"`
				Parallel         int
				Flash            bool
				Context, Compute int64
			}
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		t.Run(c.Name, func(t *testing.T) {
			m, err := FromInfo(c.Info, 0)
			require.NoError(t, err)
			for _, l := range c.Loads {
				need := m.Of(l.NumCtx, l.NumBatch, Settings{Parallel: l.Parallel, FlashOff: !l.Flash})
				assert.Equal(t, l.Context, need.KV, "num_ctx=%d num_batch=%d parallel=%d flash=%v", l.NumCtx, l.NumBatch, l.Parallel, l.Flash)
				if name := c.Info["general.architecture"].(string); !rough[name] {
					assert.InEpsilon(t, l.Compute, need.Compute, 0.25, "num_ctx=%d num_batch=%d parallel=%d flash=%v", l.NumCtx, l.NumBatch, l.Parallel, l.Flash)
				}
			}
		})
	}
	require.NoError(t, lines.Err())
	assert.Greater(t, models, 60)
}

// TestOllama0325 compares the estimate with the log of Ollama 0.32.5 for the generated
// model: the cache to the digits of the log, the compute buffers within 10 %.
func TestOllama0325(t *testing.T) {
	m, err := FromInfo(read(t, testdata(t, "ollama-0.32.5-tiny.json")), 0)
	require.NoError(t, err)
	table := csv.NewReader(bytes.NewReader([]byte(testdata(t, "ollama-0.32.5-tiny.tsv"))))
	table.Comma = '\t'
	rows, err := table.ReadAll()
	require.NoError(t, err)
	for _, row := range rows[1:] {
		ctx, _ := strconv.Atoi(row[0])
		batch, _ := strconv.Atoi(row[1])
		kv, _ := strconv.ParseFloat(row[4], 64)
		compute, _ := strconv.ParseFloat(row[5], 64)
		cacheType, err := ParseCacheType(row[3])
		require.NoError(t, err)
		need := m.Of(ctx, batch, Settings{FlashOff: row[2] == "off", CacheType: cacheType})
		assert.InDelta(t, kv, float64(need.KV)/(1<<20), 0.0051, "%v", row)
		assert.InEpsilon(t, compute, float64(need.Compute)/(1<<20), 0.1, "%v", row)
	}
}

// TestShownModels uses the model_info of published models.
func TestShownModels(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		file, source string
		ctx, batch   int
		kv           int64 // without the state
		err, doubt   string
	}{
		{file: "show-qwen35moe.json", source: "ggml-org/llama.cpp#20093: 5120 MiB by its log", ctx: 262144, batch: 512, kv: 5120 * mib},
		{file: "show-nemotron_h.json", source: "convert_nemotron_h.go", ctx: 8192, batch: 512, kv: 8192 * 2 * 256 * 2, doubt: "the figures do not include the states of the recurrent layers"},
		{file: "show-mamba.json", source: "keys of mamba", err: `the memory of the context is unknown for architecture "mamba"`},
		{file: "show-glm47flash.json", source: "convert_glm4moelite.go", ctx: 8192, batch: 512, kv: 47 * 8192 * 576 * 2},
		{file: "show-gptoss.json", source: "convert_gptoss.go", ctx: 131072, batch: 512, kv: 12 * (131072 + 768) * 8 * 128 * 2},
		{file: "show-cloud.json", source: "a cloud model", err: "does not report the model's"},
	} {
		t.Run(c.file, func(t *testing.T) {
			m, err := FromInfo(read(t, testdata(t, c.file)), 0)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.kv, m.Of(c.ctx, c.batch, Settings{}).KV-m.State, c.source)
			if c.doubt == "" {
				assert.Empty(t, m.Doubts)
			} else {
				require.Len(t, m.Doubts, 1)
				assert.Contains(t, m.Doubts[0], c.doubt)
			}
		})
	}
	glm, err := FromInfo(read(t, testdata(t, "show-glm47flash.json")), 0)
	require.NoError(t, err)
	assert.True(t, glm.LatentValues)
	assert.Equal(t, int64(47*8192*(576+512)*2), glm.Of(8192, 512, Settings{Before030: true}).KV, "stored separately before 0.30")
	older, err := FromInfo(read(t, `{"general.architecture": "glm4moelite", "glm4moelite.block_count": 47, "glm4moelite.embedding_length": 2048, "glm4moelite.attention.head_count": 20, "glm4moelite.attention.head_count_kv": 20,
		"glm4moelite.attention.key_length": 256, "glm4moelite.attention.value_length": 256, "glm4moelite.attention.kv_lora_rank": 512, "glm4moelite.rope.dimension_count": 64}`), 0)
	require.NoError(t, err)
	assert.Equal(t, glm.Caches, older.Caches, "an older file of the same model")
}

func TestFromInfo(t *testing.T) {
	// Lists with a number for each layer, some layers without a cache; lengths derived from the
	// embedding; a vocabulary that is a list; a window that the architecture may not use.
	m, err := FromInfo(read(t, `{"general.architecture": "x", "x.block_count": 4, "x.embedding_length": 64, "x.attention.head_count": [4, 4, 2, 4],
		"x.attention.head_count_kv": [2, 0, 2, 4], "tokenizer.ggml.tokens": ["a", "b", "c"], "x.attention.sliding_window": 1024}`), 7)
	require.NoError(t, err)
	assert.Equal(t, []Cache{{Key: 32, Value: 32}, {Key: 32, Value: 32}, {Key: 64, Value: 64}}, m.Caches)
	assert.Equal(t, [...]int{7, 4, 4, 64, 3, 1024}, [...]int{int(m.Weights), m.Layers, m.Heads, m.Embedding, m.Vocab, m.Window})
	require.Len(t, m.Doubts, 1)
	assert.Contains(t, m.Doubts[0], "a sliding window of 1024 tokens")

	// Gemma 4: a list of the layers with a window, which have shorter heads, and layers that use the
	// cache of others.
	m, err = FromInfo(read(t, `{"general.architecture": "gemma4", "gemma4.block_count": 4, "gemma4.embedding_length": 64, "gemma4.attention.head_count": 4, "gemma4.attention.head_count_kv": [2, 2, 1, 2],
		"gemma4.attention.key_length": 512, "gemma4.attention.value_length": 512, "gemma4.attention.key_length_swa": 256, "gemma4.attention.value_length_swa": 256,
		"gemma4.attention.sliding_window": 512, "gemma4.attention.sliding_window_pattern": [true, true, false, true], "gemma4.attention.shared_kv_layers": 1}`), 0)
	require.NoError(t, err)
	windowed := Cache{Key: 512, Value: 512, Windowed: true}
	assert.Equal(t, []Cache{windowed, windowed, {Key: 512, Value: 512}}, m.Caches)
	assert.Empty(t, m.Doubts)
}

func TestFromInfoErrors(t *testing.T) {
	const known = `"x.block_count": 2, "x.embedding_length": 64, "x.attention.head_count": 4`
	for text, want := range map[string]string{
		`{}`:                                "does not report the model's architecture",
		`{"general.architecture": "llama"}`: "llama.block_count",
		`{"general.architecture": "llama", "llama.block_count": 2}`:                                                                                                            "llama.embedding_length",
		`{"general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 5}`:                                                                               "llama.attention.head_count",
		`{"general.architecture": "llama", "llama.block_count": 9e6, "llama.embedding_length": 5, "llama.attention.head_count": 1}`:                                            "9000000 layers",
		`{"general.architecture": "llama", "llama.block_count": -2, "llama.embedding_length": 5, "llama.attention.head_count": 1}`:                                             "llama.block_count",
		`{"general.architecture": "llama", "llama.block_count": "two", "llama.embedding_length": 5, "llama.attention.head_count": 1}`:                                          "llama.block_count",
		`{"general.architecture": "x", ` + known + `, "x.attention.head_count_kv": [2]}`:                                                                                       "x.attention.head_count_kv has 1 figures for 2 layers",
		`{"general.architecture": "x", ` + known + `, "x.attention.head_count_kv": null}`:                                                                                      "x.attention.head_count_kv is a list that the server omits",
		`{"general.architecture": "x", ` + known + `, "x.ssm.state_size": 16}`:                                                                                                 `unknown for architecture "x": unsupported keys: x.ssm.state_size`,
		`{"general.architecture": "x", ` + known + `, "x.full_attention_interval": 4}`:                                                                                         "x.full_attention_interval",
		`{"general.architecture": "x", ` + known + `, "x.attention.indexer.key_length": 64}`:                                                                                   "x.attention.indexer.key_length",
		`{"general.architecture": "x", ` + known + `, "x.attention.shared_kv_layers": 1}`:                                                                                      "x.attention.shared_kv_layers",
		`{"general.architecture": "bert", "bert.block_count": 2, "bert.embedding_length": 64, "bert.attention.head_count": 4}`:                                                 "has none between tokens",
		`{"general.architecture": "gemma4", "gemma4.block_count": 2, "gemma4.embedding_length": 64, "gemma4.attention.head_count": 4, "gemma4.attention.sliding_window": 512}`: `"gemma4.attention.sliding_window_pattern"`,
	} {
		_, err := FromInfo(read(t, text), 1)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestParseCacheType(t *testing.T) {
	got, err := ParseCacheType("q4_0")
	require.NoError(t, err)
	assert.Equal(t, CacheType("q4_0"), got)
	_, err = ParseCacheType("int3")
	assert.EqualError(t, err, `"int3" is not a type of KV cache: write f16, q8_0 or q4_0`)
}

func TestSettingsCheck(t *testing.T) {
	require.NoError(t, Settings{CacheType: "q8_0"}.Check())
	require.NoError(t, Settings{CacheType: "f16", FlashOff: true}.Check())
	require.NoError(t, Settings{FlashOff: true}.Check())
	assert.EqualError(t, Settings{CacheType: "q8_0", FlashOff: true}.Check(), "a KV cache of type q8_0 needs flash attention: use f16, or turn flash attention on")
}

// FuzzFromInfo checks that no model_info causes a panic or a negative figure.
func FuzzFromInfo(f *testing.F) {
	f.Add(llama8B)
	f.Add(`{"general.architecture": "x", "x.block_count": 4, "x.embedding_length": 64, "x.attention.head_count": [4], "x.attention.head_count_kv": [1e5, -1, null]}`)
	for _, name := range []string{"show-qwen35moe.json", "show-nemotron_h.json", "show-mamba.json", "show-glm47flash.json", "show-gptoss.json", "show-cloud.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(f, err)
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var info map[string]any
		if json.Unmarshal([]byte(text), &info) != nil {
			return
		}
		m, err := FromInfo(info, 1<<40)
		if err != nil {
			return
		}
		for _, s := range []Settings{{}, {FlashOff: true}, {Before030: true, Parallel: 3}} {
			n := m.Of(1024, 512, s)
			assert.Positive(t, n.Compute)
			assert.GreaterOrEqual(t, n.KV, int64(0))
		}
	})
}

// TestSettingsFromServer uses environments as a server's log has them.
func TestSettingsFromServer(t *testing.T) {
	given := Settings{CacheType: "q4_0", Parallel: 3, FlashOff: true}
	assert.Equal(t, given, given.FromServer(nil))
	assert.Equal(t, given, given.FromServer(map[string]string{"OLLAMA_KV_CACHE_TYPE": "", "OLLAMA_NUM_PARALLEL": "0"}), "left to the server")
	assert.Equal(t, given, given.FromServer(map[string]string{"OLLAMA_KV_CACHE_TYPE": "turbo", "OLLAMA_NUM_PARALLEL": "many"}))
	assert.Equal(t, Settings{CacheType: "q8_0", Parallel: 2, FlashOff: true}, given.FromServer(map[string]string{"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_NUM_PARALLEL": "2"}))
}
