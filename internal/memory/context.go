package memory

import (
	"cmp"
	"fmt"
	"slices"
)

// aliases are names of Ollama's own, and those of llama.cpp for the same
// architecture (llama/compat of Ollama 0.32.5).
var aliases = map[string]string{
	"gptoss": "gpt-oss", "olmo3": "olmo2", "qwen25vl": "qwen2vl", "glm4moelite": "deepseek2", "glmocr": "glm4",
	"deepseekocr": "deepseek2-ocr", "nemotron_h_omni": "nemotron_h_moe",
}

// recurrence is how an architecture marks the layers that keep a state instead of
// each token.
type recurrence string

// The ways.
const (
	byInterval recurrence = "interval" // all but every full_attention_interval-th
	byHeads    recurrence = "heads"    // those whose attention has no heads
	everywhere recurrence = "all"      // all, which keep each token as well
	only       recurrence = "only"     // all, and no token is kept
)

// recurrent are llama.cpp's recurrent and hybrid architectures.
var recurrent = map[string]recurrence{
	"qwen3next": byInterval, "qwen35": byInterval, "qwen35moe": byInterval,
	"jamba": byHeads, "plamo2": byHeads, "granitehybrid": byHeads, "lfm2": byHeads, "lfm2moe": byHeads, "kimi-linear": byHeads,
	"nemotron_h": byHeads, "nemotron_h_moe": byHeads,
	"falcon-h1": everywhere,
	"mamba":     only, "mamba2": only, "rwkv6": only, "rwkv6qwen2": only, "rwkv7": only, "arwkv7": only,
}

// elsewhere are architectures whose context is kept in another way, with the reason.
var elsewhere = map[string]string{
	"deepseek4": "it is compressed", "deepseek2-ocr": "it is not kept as in other models", "t5": "an encoder has its own",
	"gemma4-assistant": "a draft model shares that of another", "eagle3": "a draft model shares that of another", "dflash": "a draft model shares that of another",
	"mllama": "a part of it is the picture's",
	"bert":   keepsNone, "nomic-bert": keepsNone, "nomic-bert-moe": keepsNone, "neo-bert": keepsNone, "modern-bert": keepsNone, "eurobert": keepsNone,
	"jina-bert-v2": keepsNone, "jina-bert-v3": keepsNone, "gemma-embedding": keepsNone, "t5encoder": keepsNone, "wavtokenizer-dec": keepsNone,
	"dream": keepsNone, "llada": keepsNone, "llada-moe": keepsNone, "rnd1": keepsNone,
}

const keepsNone = "it keeps none from one token to the next"

// context reads what the model keeps of the context.
func (in *info) context(m *Model, architecture string, heads []int) error {
	if why := elsewhere[architecture]; why != "" {
		return notKnown(architecture, why)
	}
	headsKV, err := in.each("attention.head_count_kv", m.Layers)
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
		return notKnown(architecture, "the server tells neither of heads of attention nor of the size of a state")
	}
	return nil
}

// caches fills in what each layer keeps of a token.
func (in *info) caches(m *Model, architecture string, headsKV []int, windowed, keepsTokens []bool) error {
	// Without lengths of their own the heads share the embedding.
	share := m.Embedding / max(1, m.Heads)
	key, value := cmp.Or(in.number("attention.key_length"), share), cmp.Or(in.number("attention.value_length"), share)
	windowKey, windowValue := cmp.Or(in.number("attention.key_length_swa"), key), cmp.Or(in.number("attention.value_length_swa"), value)
	m.LatentValues = in.number("attention.key_length_mla") > 0 && in.number("attention.value_length_mla") > 0
	if in.prefixes[0] == "glm4moelite." {
		// As Ollama translates its older files of it.
		rank, rotated := in.number("attention.kv_lora_rank"), in.number("rope.dimension_count")
		if rank == 0 || rotated == 0 {
			return in.lacks("attention.kv_lora_rank")
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

// indexer returns the elements that each layer keeps of a token to choose whom it
// attends to. Of glm-dsa llama.cpp keeps none.
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

// ownLayers is how many layers keep a cache of their own: in some models the last
// ones use that of others.
func (in *info) ownLayers(m *Model, architecture string) int {
	switch architecture {
	case "gemma3n":
		in.number("attention.shared_kv_layers")
		return min(m.Layers, 20) // as llama.cpp has it, whatever the key says
	case "gemma4":
		return max(0, m.Layers-in.number("attention.shared_kv_layers"))
	case "llama4":
		in.number("attention.chunk_size") // which llama.cpp takes as 8192
	}
	return m.Layers
}

// drafts are the architectures whose own last layers draft (llama.cpp b10091).
var drafts = map[string]bool{"qwen35": true, "qwen35moe": true, "step35": true, "hy_v3": true, "cohere2moe": true}

// draftTokens is how many tokens Ollama lets a model draft (api/types.go, 0.32.5).
const draftTokens = 4

// recurrentLayers returns which layers keep each token, and how many states are kept.
func (in *info) recurrentLayers(m *Model, architecture string, headsKV []int) (keepsTokens []bool, states int, err error) {
	m.Drafts = in.number("nextn_predict_layers") > 0 && drafts[architecture]
	keepsTokens = slices.Repeat([]bool{true}, m.Layers)
	switch way := recurrent[architecture]; way {
	case byInterval:
		states, err = in.recurrentByInterval(m, keepsTokens)
	case byHeads:
		states, err = in.recurrentByHeads(m, architecture, headsKV, keepsTokens)
	case everywhere, only:
		states = m.Layers
		keepsTokens = slices.Repeat([]bool{way == everywhere}, m.Layers)
	}
	return keepsTokens, states, err
}

// recurrentByInterval clears the layers that keep no token, by a list or by the interval
// of the others.
func (in *info) recurrentByInterval(m *Model, keepsTokens []bool) (states int, err error) {
	listed, err := in.each("attention.recurrent_layers", m.Layers)
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
		states *= 1 + draftTokens // a draft that is refused is taken back
	}
	return states, nil
}

// recurrentByHeads counts the layers whose attention has no heads. Nemotron-H has others
// that only feed forward.
func (in *info) recurrentByHeads(m *Model, architecture string, headsKV []int, keepsTokens []bool) (states int, err error) {
	feedForward, err := in.each("feed_forward_length", m.Layers)
	if err != nil {
		return 0, err
	}
	apart := feedForward != nil && (architecture == "nemotron_h" || architecture == "nemotron_h_moe")
	for i, heads := range headsKV {
		switch {
		case apart && feedForward[i] > 0:
			keepsTokens[i] = false
		case heads == 0:
			states++
		}
	}
	return states, nil
}

// state adds what recurrent layers keep of a sequence, of 32 bit elements (n_embd_r and
// n_embd_s in src/llama-hparams.cpp, llama.cpp b10091).
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
		m.Doubts = append(m.Doubts, fmt.Sprintf("what the recurrent layers keep is not in the figures: the server does not tell its size (%sssm.*)", in.prefixes[0]))
	}
	m.State = int64(min(4*float64(layers)*elements, 1e17))
}
