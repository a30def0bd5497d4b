package memory

import (
	"cmp"
	"fmt"
	"slices"
)

// aliases maps Ollama's own names of architectures to those of llama.cpp
// (llama/compat of Ollama 0.32.5).
var aliases = map[string]string{
	"gptoss": "gpt-oss", "olmo3": "olmo2", "qwen25vl": "qwen2vl", "glm4moelite": "deepseek2", "glmocr": "glm4",
	"deepseekocr": "deepseek2-ocr", "nemotron_h_omni": "nemotron_h_moe",
}

// recurrence is how an architecture marks its recurrent layers, which store a state
// instead of keys and values of each token.
type recurrence string

const (
	byInterval   recurrence = "interval" // all layers except every full_attention_interval-th
	byHeads      recurrence = "heads"    // the layers whose attention has no heads
	allWithCache recurrence = "all"      // all layers, which have a KV cache as well
	allStates    recurrence = "only"     // all layers; there is no KV cache
)

// recurrent are llama.cpp's recurrent and hybrid architectures.
var recurrent = map[string]recurrence{
	"qwen3next": byInterval, "qwen35": byInterval, "qwen35moe": byInterval,
	"jamba": byHeads, "plamo2": byHeads, "granitehybrid": byHeads, "lfm2": byHeads, "lfm2moe": byHeads, "kimi-linear": byHeads,
	"nemotron_h": byHeads, "nemotron_h_moe": byHeads,
	"falcon-h1": allWithCache,
	"mamba":     allStates, "mamba2": allStates, "rwkv6": allStates, "rwkv6qwen2": allStates, "rwkv7": allStates, "arwkv7": allStates,
}

// unsupported maps architectures that store their context in another way to the reason.
var unsupported = map[string]string{
	"deepseek4": "it is compressed", "deepseek2-ocr": "it is not stored as in other models", "t5": "the encoder has a context of its own",
	"gemma4-assistant": "a draft model uses that of another model", "eagle3": "a draft model uses that of another model", "dflash": "a draft model uses that of another model",
	"mllama": "a part of it belongs to the image",
	"bert":   keepsNone, "nomic-bert": keepsNone, "nomic-bert-moe": keepsNone, "neo-bert": keepsNone, "modern-bert": keepsNone, "eurobert": keepsNone,
	"jina-bert-v2": keepsNone, "jina-bert-v3": keepsNone, "gemma-embedding": keepsNone, "t5encoder": keepsNone, "wavtokenizer-dec": keepsNone,
	"dream": keepsNone, "llada": keepsNone, "llada-moe": keepsNone, "rnd1": keepsNone,
}

const keepsNone = "it has none between tokens"

// context determines what the model stores of the context.
func (in *info) context(m *Model, architecture string, heads []int) error {
	if why := unsupported[architecture]; why != "" {
		return unknownContext(architecture, why)
	}
	headsKV, err := in.perLayer("attention.head_count_kv", m.Layers)
	if err != nil {
		return err
	}
	if headsKV == nil {
		headsKV = heads
	}
	if headsKV == nil {
		headsKV = make([]int, m.Layers)
	}
	windowed, err := in.windowed(m, architecture, headsKV)
	if err != nil {
		return err
	}
	keepsTokens, states, err := in.recurrentLayers(m, architecture, headsKV)
	if err != nil {
		return err
	}
	if err := in.caches(m, architecture, headsKV, windowed, keepsTokens); err != nil {
		return err
	}
	if states > 0 {
		in.state(m, architecture, states)
	}
	if len(m.Caches) == 0 && m.State == 0 {
		return unknownContext(architecture, "the server reports neither attention heads nor the size of a state")
	}
	return nil
}

// caches sets m.Caches.
func (in *info) caches(m *Model, architecture string, headsKV []int, windowed, keepsTokens []bool) error {
	// Without keys for their lengths, the heads share the embedding.
	share := m.Embedding / max(1, m.Heads)
	key, value := cmp.Or(in.number("attention.key_length"), share), cmp.Or(in.number("attention.value_length"), share)
	windowKey, windowValue := cmp.Or(in.number("attention.key_length_swa"), key), cmp.Or(in.number("attention.value_length_swa"), value)
	m.LatentValues = in.number("attention.key_length_mla") > 0 && in.number("attention.value_length_mla") > 0
	if in.prefixes[0] == "glm4moelite." {
		// As Ollama converts its older files of this architecture.
		rank, rotated := in.number("attention.kv_lora_rank"), in.number("rope.dimension_count")
		if rank == 0 || rotated == 0 {
			return in.missing("attention.kv_lora_rank")
		}
		m.LatentValues, headsKV, key, value = true, slices.Repeat([]int{1}, m.Layers), rank+rotated, rank
	}
	indexer := in.indexer(architecture)
	for i := range in.ownLayers(m, architecture) {
		if headsKV[i] == 0 || !keepsTokens[i] {
			continue
		}
		c := Cache{Key: headsKV[i]*key + indexer, Value: headsKV[i] * value}
		if windowed[i] {
			c = Cache{Key: headsKV[i] * windowKey, Value: headsKV[i] * windowValue, Windowed: true}
		}
		m.Caches = append(m.Caches, c)
	}
	return nil
}

// indexer returns the elements that each layer stores of a token for the indexer of
// sparse attention. For glm-dsa llama.cpp stores none.
func (in *info) indexer(architecture string) int {
	if architecture != "deepseek32" && architecture != "glm-dsa" {
		return 0
	}
	in.number("attention.indexer.head_count")
	in.number("attention.indexer.top_k")
	n := in.number("attention.indexer.key_length")
	if architecture == "glm-dsa" {
		return 0
	}
	return n
}

// ownLayers returns how many layers have a cache of their own: in some models the last
// layers use that of others.
func (in *info) ownLayers(m *Model, architecture string) int {
	switch architecture {
	case "gemma3n":
		in.number("attention.shared_kv_layers")
		return min(m.Layers, 20) // llama.cpp ignores the key
	case "gemma4":
		return max(0, m.Layers-in.number("attention.shared_kv_layers"))
	case "llama4":
		in.number("attention.chunk_size") // llama.cpp always uses 8192
	}
	return m.Layers
}

// drafts are the architectures whose last layers draft tokens (llama.cpp b10091).
var drafts = map[string]bool{"qwen35": true, "qwen35moe": true, "step35": true, "hy_v3": true, "cohere2moe": true}

// draftTokens is the number of tokens that Ollama lets a model draft (api/types.go, 0.32.5).
const draftTokens = 4

// recurrentLayers returns which layers have a KV cache, and the number of states.
func (in *info) recurrentLayers(m *Model, architecture string, headsKV []int) (keepsTokens []bool, states int, err error) {
	m.Drafts = in.number("nextn_predict_layers") > 0 && drafts[architecture]
	keepsTokens = slices.Repeat([]bool{true}, m.Layers)
	switch way := recurrent[architecture]; way {
	case byInterval:
		states, err = in.recurrentByInterval(m, keepsTokens)
	case byHeads:
		states, err = in.recurrentByHeads(m, architecture, headsKV, keepsTokens)
	case allWithCache, allStates:
		states = m.Layers
		keepsTokens = slices.Repeat([]bool{way == allWithCache}, m.Layers)
	}
	return keepsTokens, states, err
}

// recurrentByInterval clears the layers without a KV cache in keepsTokens, according to a list
// or to the interval of the others, and returns the number of states.
func (in *info) recurrentByInterval(m *Model, keepsTokens []bool) (states int, err error) {
	listed, err := in.perLayer("attention.recurrent_layers", m.Layers)
	if err != nil {
		return 0, err
	}
	interval := cmp.Or(in.number("full_attention_interval"), 4)
	for i := range max(0, m.Layers-in.number("nextn_predict_layers")) {
		keepsTokens[i] = (i+1)%interval == 0
		if listed != nil {
			keepsTokens[i] = listed[i] == 0
		}
		if !keepsTokens[i] {
			states++
		}
	}
	if m.Drafts {
		states *= 1 + draftTokens // to restore the state when a draft is rejected
	}
	return states, nil
}

// recurrentByHeads counts the layers whose attention has no heads. In Nemotron-H, some layers
// have only a feed-forward network; they are cleared in keepsTokens.
func (in *info) recurrentByHeads(m *Model, architecture string, headsKV []int, keepsTokens []bool) (states int, err error) {
	feedForward, err := in.perLayer("feed_forward_length", m.Layers)
	if err != nil {
		return 0, err
	}
	feedForwardOnly := feedForward != nil && (architecture == "nemotron_h" || architecture == "nemotron_h_moe")
	for i, heads := range headsKV {
		switch {
		case feedForwardOnly && feedForward[i] > 0:
			keepsTokens[i] = false
		case heads == 0:
			states++
		}
	}
	return states, nil
}

// state sets m.State, with elements of 32 bits (n_embd_r and n_embd_s in
// src/llama-hparams.cpp, llama.cpp b10091).
func (in *info) state(m *Model, architecture string, layers int) {
	number := func(key string) float64 { return float64(in.number(key)) }
	embedding, heads := float64(m.Embedding), float64(m.Heads)
	shifted := max(0, number("ssm.conv_kernel")-1)
	elements := 0.0
	switch architecture {
	case "lfm2", "lfm2moe":
		elements = embedding * max(0, number("shortconv.l_cache")-1)
	case "kimi-linear":
		dim := number("kda.head_dim")
		elements = 3*shifted*heads*dim + dim*dim*heads
	case "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7":
		elements = embedding * (cmp.Or(number("token_shift_count"), 2) + number("wkv.head_size"))
	default:
		inner, size := number("ssm.inner_size"), number("ssm.state_size")
		if shifted > 0 && inner > 0 && size > 0 {
			elements = shifted*(inner+2*number("ssm.group_count")*size) + size*inner
		}
	}
	if elements == 0 {
		m.Doubts = append(m.Doubts, fmt.Sprintf("the figures do not include the states of the recurrent layers: the server does not report their size (%sssm.*)", in.prefixes[0]))
	}
	m.State = int64(min(4*float64(layers)*elements, 1e17))
}
