// Package memory estimates what a model takes when it is loaded with a num_ctx and
// a num_batch, from what the server tells of the model.
//
// The estimate is that of Ollama's own scheduler for the llama family
// (GraphSize in fs/ggml/ggml.go and EstimateGPULayers in llm/memory.go, 0.10.1),
// for a model that is on one GPU as a whole:
//
//	weights   the model's files
//	KV cache  num_ctx · parallel · Σ over layers of heads_kv · (key_length + value_length) · bytes per element
//	compute   4 bytes · b · max(1 + 4·embedding + num_ctx·parallel·(1 + heads), embedding + vocabulary),
//	          b being num_batch, at most num_ctx
//	buffer    one layer's weights and cache, which the scheduler keeps free
//
// With flash attention the compute buffer does not grow with num_ctx, so that there
// the estimate is too high. A sliding window makes the cache of some layers smaller,
// and there it is too high as well. Servers of several GPUs, of other families, and
// from 0.30 on, which measure instead, differ too: what was measured counts more.
package memory

import "fmt"

// Model is what the memory follows from.
type Model struct {
	Weights   int64 // bytes
	HeadsKV   []int // of each layer; 0 for one that keeps no cache
	Heads     int   // of attention
	Key       int   // elements of a head's key
	Value     int   // and value
	Embedding int   // elements
	Vocab     int   // tokens
	Window    int   // tokens of a sliding window, 0 for none
}

// Settings are those of the server that count. The zero value is one sequence and a
// cache of 16 bit.
type Settings struct {
	Parallel  int       // sequences
	CacheType CacheType // of the KV cache
}

// CacheType is a value of OLLAMA_KV_CACHE_TYPE.
type CacheType string

// cacheBits are the bits per element, scales of the blocks among them.
var cacheBits = map[CacheType]float64{"": 16, "f16": 16, "f32": 32, "q8_0": 8.5, "q4_0": 4.5}

// ParseCacheType reads a value of OLLAMA_KV_CACHE_TYPE.
func ParseCacheType(s string) (CacheType, error) {
	if _, ok := cacheBits[CacheType(s)]; !ok {
		return "", fmt.Errorf("%q is no type of a KV cache: write f16, q8_0 or q4_0", s)
	}
	return CacheType(s), nil
}

// Need is what a load takes, in bytes.
type Need struct{ Weights, KV, Compute, Buffer int64 }

// Total is the sum.
func (n Need) Total() int64 { return n.Weights + n.KV + n.Compute + n.Buffer }

// Of returns what a load of the model takes.
func (m Model) Of(numCtx, numBatch int, s Settings) Need {
	parallel := int64(max(1, s.Parallel))
	ctx, batch := int64(numCtx)*parallel, int64(min(numBatch, numCtx))
	var headsKV int64
	for _, n := range m.HeadsKV {
		headsKV += int64(n)
	}
	elements := float64(ctx) * float64(headsKV) * float64(m.Key+m.Value)
	kv := int64(min(elements*cacheBits[s.CacheType]/8, 1e18))
	layers := int64(max(1, len(m.HeadsKV)))
	return Need{
		Weights: m.Weights,
		KV:      kv,
		Compute: 4 * batch * max(1+4*int64(m.Embedding)+ctx*int64(1+m.Heads), int64(m.Embedding+m.Vocab)),
		Buffer:  (m.Weights + kv) / layers,
	}
}

// FromInfo reads the model_info of /api/show with its long lists ("verbose"), and
// takes the weights' bytes as they are. An error names what is not told.
func FromInfo(info map[string]any, weights int64) (Model, error) {
	architecture, _ := info["general.architecture"].(string)
	if architecture == "" {
		return Model{}, fmt.Errorf("the server does not tell the model's architecture")
	}
	number := func(key string) int {
		v, _ := info[architecture+"."+key].(float64)
		if !(v > 0 && v < 1e7) {
			return 0
		}
		return int(v)
	}
	m := Model{Weights: weights, Heads: number("attention.head_count"), Embedding: number("embedding_length"), Window: number("attention.sliding_window")}
	layers := number("block_count")
	m.Heads = max(m.Heads, largest(info[architecture+".attention.head_count"]))
	for _, known := range []struct {
		name  string
		value int
	}{{"block_count", layers}, {"embedding_length", m.Embedding}, {"attention.head_count", m.Heads}} {
		if known.value == 0 {
			return Model{}, fmt.Errorf("the server does not tell the model's %q", architecture+"."+known.name)
		}
	}
	if layers > mostLayers {
		return Model{}, fmt.Errorf("the server tells of %d layers", layers)
	}
	m.HeadsKV = headsKV(info[architecture+".attention.head_count_kv"], layers, m.Heads)
	// Without lengths of their own the heads share the embedding.
	m.Key, m.Value = number("attention.key_length"), number("attention.value_length")
	if m.Key == 0 {
		m.Key = m.Embedding / m.Heads
	}
	if m.Value == 0 {
		m.Value = m.Embedding / m.Heads
	}
	m.Vocab = number("vocab_size")
	if tokens, ok := info["tokenizer.ggml.tokens"].([]any); ok {
		m.Vocab = len(tokens)
	}
	return m, nil
}

// mostLayers is far above what any model has: more is a figure gone wrong.
const mostLayers = 10_000

// headsKV reads a number for all layers, or a list with one for each; without any
// every head has a cache of its own.
func headsKV(v any, layers, heads int) []int {
	all := make([]int, layers)
	each, _ := v.([]any)
	for i := range all {
		all[i] = heads
		switch {
		case i < len(each):
			n, _ := each[i].(float64)
			all[i] = int(min(max(n, 0), 1e6))
		case v != nil && each == nil:
			n, _ := v.(float64)
			all[i] = int(min(max(n, 0), 1e6))
		}
	}
	return all
}

// largest returns that of a list of numbers, 0 where it is none.
func largest(v any) int {
	most := 0
	list, _ := v.([]any)
	for _, x := range list {
		if n, ok := x.(float64); ok && n > 0 && n < 1e6 {
			most = max(most, int(n))
		}
	}
	return most
}
