package memory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// info is the model_info of /api/show: figures, texts and lists by their keys, those
// of the architecture under its name. A list that the server leaves out is nil.
type info struct {
	keys     map[string]any
	prefixes []string // of the architecture's keys, the first with it comes before the others
	used     map[string]bool
}

// FromInfo reads the model_info of /api/show with its long lists ("verbose"), and
// takes the weights' bytes as they are. An error names what is not told or not
// understood.
func FromInfo(keys map[string]any, weights int64) (Model, error) {
	name, _ := keys["general.architecture"].(string)
	if name == "" {
		return Model{}, fmt.Errorf("the server does not tell the model's architecture")
	}
	in := &info{keys: keys, prefixes: []string{name + "."}, used: make(map[string]bool)}
	if alias, ok := aliases[name]; ok {
		in.prefixes = append(in.prefixes, alias+".")
		name = alias
	}
	m := Model{Weights: weights, Layers: in.number("block_count"), Embedding: in.number("embedding_length")}
	heads, err := in.each("attention.head_count", m.Layers)
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
		if known.value == 0 && (known.key != "attention.head_count" || recurrent[name] != only) {
			return Model{}, in.lacks(known.key)
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
	return m, in.strange(name)
}

// mostLayers is far above what any model has: more is a figure gone wrong.
const mostLayers = 10_000

// value returns what stands under the architecture's key.
func (in *info) value(key string) (any, bool) {
	in.used[key] = true
	for _, prefix := range in.prefixes {
		if v, ok := in.keys[prefix+key]; ok {
			return v, true
		}
	}
	return nil, false
}

// number returns a figure, 0 where it is none.
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

// each reads a number for all layers, or a list with one for each; none where the key
// is not there.
func (in *info) each(key string, layers int) ([]int, error) {
	if layers > mostLayers {
		return nil, fmt.Errorf("the server tells of %d layers", layers)
	}
	v, there := in.value(key)
	if !there || layers == 0 {
		return nil, nil
	}
	list, isList := v.([]any)
	if !isList {
		if v == nil {
			return nil, fmt.Errorf("%s is a list that the server leaves out", in.prefixes[0]+key)
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

// widths fills in what a token takes in the compute buffers. The factors are those
// that llama.cpp b10091 came to with small models of a hundred architectures.
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

func (in *info) lacks(key string) error {
	return fmt.Errorf("the server does not tell the model's %q", in.prefixes[0]+key)
}

// ofContext matches keys that say how a model keeps its context in another way than
// by the keys and values of every token.
var ofContext = regexp.MustCompile(`^(ssm|wkv|kda|shortconv|rwkv|mamba|delta|linear_\w+|token_shift_count)(\.|$)|^\w*attention_interval$|^attention\..*(recurrent|indexer|compress|sparse|chunk|cross|shared|linear|interval)`)

// strange returns an error for a key that may change what the model keeps, and that
// no rule has read.
func (in *info) strange(architecture string) error {
	var strange []string
	for key := range in.keys {
		for _, prefix := range in.prefixes {
			rest, ok := strings.CutPrefix(key, prefix)
			known := in.used[rest] || recurrent[architecture] != "" && strings.HasPrefix(rest, "ssm.")
			if ok && !known && ofContext.MatchString(rest) {
				strange = append(strange, key)
			}
		}
	}
	if len(strange) == 0 {
		return nil
	}
	slices.Sort(strange)
	return notKnown(architecture, "not understood: "+strings.Join(strange[:min(3, len(strange))], ", "))
}

// notKnown is the error of an architecture whose context is not kept as keys and
// values, or not in a way that is known here.
func notKnown(architecture, why string) error {
	return fmt.Errorf("the memory of the context of architecture %q is not known: %s", architecture, why)
}
