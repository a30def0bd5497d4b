package memory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// info is the model_info of /api/show: numbers, strings and lists by key. Keys of the
// architecture begin with its name. A list that the server omits is nil.
type info struct {
	keys     map[string]any
	prefixes []string // possible prefixes of the architecture's keys; the first that has a key counts
	used     map[string]bool
}

// FromInfo returns the model that the model_info of /api/show describes, which must
// include the long lists ("verbose"). Weights is the size of the model's files in bytes.
// An error names keys that are missing or unknown.
func FromInfo(keys map[string]any, weights int64) (Model, error) {
	name, _ := keys["general.architecture"].(string)
	if name == "" {
		return Model{}, fmt.Errorf("the server does not report the model's architecture")
	}
	in := &info{keys: keys, prefixes: []string{name + "."}, used: make(map[string]bool)}
	if alias, ok := aliases[name]; ok {
		in.prefixes = append(in.prefixes, alias+".")
		name = alias
	}
	m := Model{Weights: weights, Layers: in.number("block_count"), Embedding: in.number("embedding_length")}
	heads, err := in.perLayer("attention.head_count", m.Layers)
	if err != nil {
		return Model{}, err
	}
	if len(heads) > 0 {
		m.Heads = slices.Max(heads)
	}
	for _, known := range []struct {
		key   string
		value int
	}{{"block_count", m.Layers}, {"embedding_length", m.Embedding}, {"attention.head_count", m.Heads}} {
		if known.value == 0 && (known.key != "attention.head_count" || recurrent[name] != allStates) {
			return Model{}, in.missing(known.key)
		}
	}
	m.Vocab = in.number("vocab_size")
	if tokens, ok := keys["tokenizer.ggml.tokens"].([]any); ok {
		m.Vocab = len(tokens)
	}
	if err := in.context(&m, name, heads); err != nil {
		return Model{}, err
	}
	in.widths(&m)
	return m, in.checkKeys(name)
}

// maxLayers is far above the number of layers of any model; more is an error.
const maxLayers = 10_000

// value returns the value of an architecture's key, and marks the key as used.
func (in *info) value(key string) (any, bool) {
	in.used[key] = true
	for _, prefix := range in.prefixes {
		if v, ok := in.keys[prefix+key]; ok {
			return v, true
		}
	}
	return nil, false
}

// number returns the number of a key, 0 if there is none.
func (in *info) number(key string) int {
	v, _ := in.value(key)
	return asNumber(v)
}

func asNumber(v any) int {
	switch v := v.(type) {
	case float64:
		if v > 0 && v < 1e7 {
			return int(v)
		}
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

// perLayer returns a number for each layer. The key has a list of them, or one number
// for all layers. It returns nil if there is no such key.
func (in *info) perLayer(key string, layers int) ([]int, error) {
	if layers > maxLayers {
		return nil, fmt.Errorf("the server reports %d layers", layers)
	}
	v, there := in.value(key)
	if !there || layers == 0 {
		return nil, nil
	}
	list, isList := v.([]any)
	if !isList {
		if v == nil {
			return nil, fmt.Errorf("%s is a list that the server omits", in.prefixes[0]+key)
		}
		return slices.Repeat([]int{asNumber(v)}, layers), nil
	}
	if len(list) < layers {
		return nil, fmt.Errorf("%s has %d figures for %d layers", in.prefixes[0]+key, len(list), layers)
	}
	all := make([]int, layers)
	for i := range all {
		all[i] = asNumber(list[i])
	}
	return all, nil
}

// widths sets the size of a token in the compute buffers. The factors were determined
// from llama.cpp b10091 with small models of a hundred architectures.
func (in *info) widths(m *Model) {
	feedForward := 0
	v, _ := in.value("feed_forward_length")
	if list, ok := v.([]any); ok {
		for _, x := range list {
			feedForward = max(feedForward, asNumber(x))
		}
	} else {
		feedForward = asNumber(v)
	}
	experts := in.number("expert_used_count")*in.number("expert_feed_forward_length") + in.number("expert_shared_feed_forward_length")
	convolved := 0
	if m.State > 0 {
		convolved = in.number("ssm.inner_size") + 2*in.number("ssm.group_count")*in.number("ssm.state_size")
	}
	heads := m.Heads * (in.number("attention.key_length") + in.number("attention.value_length"))
	m.Attention = max(7*m.Embedding, 2*m.Embedding+2*heads)
	m.Between = 2*m.Embedding + 4*max(feedForward, experts, convolved) + 4*m.Layers*in.number("embedding_length_per_layer_input")
}

func (in *info) missing(key string) error {
	return fmt.Errorf("the server does not report the model's %q", in.prefixes[0]+key)
}

// contextKey matches keys which mean that a model stores its context in another way
// than as keys and values of every token.
var contextKey = regexp.MustCompile(`^(ssm|wkv|kda|shortconv|rwkv|mamba|delta|linear_\w+|token_shift_count)(\.|$)|^\w*attention_interval$|^attention\..*(recurrent|indexer|compress|sparse|chunk|cross|shared|linear|interval)`)

// checkKeys returns an error for keys that may change how the context is stored and
// that were not used.
func (in *info) checkKeys(architecture string) error {
	var unknown []string
	for key := range in.keys {
		for _, prefix := range in.prefixes {
			rest, ok := strings.CutPrefix(key, prefix)
			known := in.used[rest] || recurrent[architecture] != "" && strings.HasPrefix(rest, "ssm.")
			if ok && !known && contextKey.MatchString(rest) {
				unknown = append(unknown, key)
			}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return unknownContext(architecture, "unsupported keys: "+strings.Join(unknown[:min(3, len(unknown))], ", "))
}

// unknownContext returns the error for an architecture whose context is not stored in a
// way that this package supports.
func unknownContext(architecture, why string) error {
	return fmt.Errorf("the memory of the context is unknown for architecture %q: %s", architecture, why)
}
