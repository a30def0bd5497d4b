// Package memory estimates what a model takes when it is loaded with a num_ctx and
// a num_batch, from what the server tells of the model in /api/show.
//
// A server from 0.30 on starts llama-server, and what that allocates is (llama.cpp
// b10091, src/llama-model.cpp and src/llama-kv-cache*.cpp):
//
//	weights   the model's files
//	KV cache  parallel · Σ over layers of tokens · (key + value) · bytes per element, tokens being
//	          num_ctx, in layers of a sliding window at most window + num_batch, in steps of 256,
//	          and once what recurrent layers keep, whatever num_ctx
//	compute   num_batch, at most num_ctx, times what a token takes: the attention's mask, without
//	          flash attention its scores too, and what goes through the layers
//
// The context is exact. What goes through the layers depends on each model's graph
// and is estimated roughly.
//
// Servers before 0.30 plan with an estimate of their own (GraphSize in fs/ggml/ggml.go
// and EstimateGPULayers in llm/memory.go, 0.10.1), which is followed for them:
//
//	compute   4 bytes · b · max(1 + 4·embedding + num_ctx·parallel·(1 + heads), embedding + vocabulary),
//	          b being num_batch, at most num_ctx
//	buffer    one layer's weights and cache, which the scheduler keeps free
//
// Keys of a model that are not understood are an error and not a figure. What was
// measured counts more than any estimate.
package memory

import (
	"fmt"
	"strconv"
)

// Model is what the memory follows from.
type Model struct {
	Weights   int64   // bytes
	Layers    int     // of the model
	Caches    []Cache // one for each layer that keeps something of each token
	State     int64   // bytes that the recurrent layers keep of a sequence
	Window    int     // tokens of a sliding window, 0 for none
	Heads     int     // of attention
	Embedding int     // elements
	Vocab     int     // tokens
	// Attention and Between are the elements that a token takes in llama-server's buffers
	// while it goes through a layer's attention, and through the rest of the layer.
	Attention, Between int
	// Drafts says that the model drafts tokens by layers of its own, in buffers of their own.
	Drafts bool
	// LatentValues says that the values are a part of the keys (MLA): llama-server keeps
	// them once, servers before 0.30 apart.
	LatentValues bool
	// Doubts say what the figures leave out.
	Doubts []string
}

// Cache is what a layer keeps of a token, in elements.
type Cache struct {
	Key, Value int
	Windowed   bool // only tokens of the sliding window are kept
}

// Settings are those of the server that count. The zero value is a server from 0.30
// on with flash attention, one sequence and a cache of 16 bit.
type Settings struct {
	Parallel  int       // sequences
	CacheType CacheType // of the KV cache
	FlashOff  bool      // flash attention is off
	Before030 bool      // a server older than 0.30
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

// FromServer returns the settings as far as a server's environment tells them (see
// parse.ServerSettings). What it leaves to the server stays as it is.
func (s Settings) FromServer(environment map[string]string) Settings {
	if t, err := ParseCacheType(environment["OLLAMA_KV_CACHE_TYPE"]); err == nil && t != "" {
		s.CacheType = t
	}
	if n, err := strconv.Atoi(environment["OLLAMA_NUM_PARALLEL"]); err == nil && n > 0 {
		s.Parallel = n
	}
	return s
}

// Check refuses settings with which a server loads nothing: llama.cpp keeps values in
// blocks only with flash attention.
func (s Settings) Check() error {
	if bits := cacheBits[s.CacheType]; s.FlashOff && bits < 16 {
		return fmt.Errorf("a KV cache of type %s needs flash attention: use f16, or turn it on", s.CacheType)
	}
	return nil
}

// Need is what a load takes, in bytes.
type Need struct{ Weights, KV, Compute, Buffer int64 }

// Total is the sum.
func (n Need) Total() int64 { return n.Weights + n.KV + n.Compute + n.Buffer }

// Of returns what a load of the model takes.
func (m Model) Of(numCtx, numBatch int, s Settings) Need {
	s.Parallel = max(1, s.Parallel)
	numBatch = min(numBatch, numCtx)
	need := Need{Weights: m.Weights, KV: m.kept(numCtx, numBatch, s)}
	if s.Before030 {
		ctx, embedding := int64(numCtx)*int64(s.Parallel), int64(m.Embedding)
		need.Compute = 4 * int64(numBatch) * max(1+4*embedding+ctx*int64(1+m.Heads), embedding+int64(m.Vocab))
		need.Buffer = (need.Weights + need.KV) / int64(max(1, m.Layers))
		return need
	}
	need.Compute = m.compute(numCtx, numBatch, s)
	return need
}

// kept returns the bytes of what is kept of the context.
func (m Model) kept(numCtx, numBatch int, s Settings) int64 {
	full, window := m.tokens(numCtx, numBatch, s)
	widest := 0
	if s.FlashOff && !s.Before030 {
		// Values are kept transposed then, with the same length in all layers.
		for _, c := range m.Caches {
			widest = max(widest, c.Value)
		}
	}
	elements := 0.0
	for _, c := range m.Caches {
		tokens, value := full, max(c.Value, widest)
		if c.Windowed {
			tokens = window
		}
		if m.LatentValues && !s.Before030 {
			value = 0
		}
		elements += float64(tokens) * float64(c.Key+value)
	}
	return int64(min(float64(s.Parallel)*(elements*cacheBits[s.CacheType]/8+float64(m.State)), 1e18))
}

// tokens returns how many tokens of a sequence a layer keeps, and one with a window.
func (m Model) tokens(numCtx, numBatch int, s Settings) (full, window int) {
	if s.Before030 {
		return numCtx, min(numCtx, m.Window+numBatch)
	}
	full = inSteps(numCtx)
	return full, inSteps(min(full, m.Window+numBatch))
}

// inSteps rounds up to what llama.cpp allocates a cache in.
func inSteps(tokens int) int { return (tokens + 255) / 256 * 256 }

// compute returns the bytes of llama-server's compute buffers: a mask for each kind
// of cache, and the larger of what a layer's attention and the rest of it take.
func (m Model) compute(numCtx, numBatch int, s Settings) int64 {
	full, window := m.tokens(numCtx, numBatch, s)
	masked, widest, latent := 0, 0, 0
	hasFull, hasWindow := false, false
	for _, c := range m.Caches {
		hasFull, hasWindow = hasFull || !c.Windowed, hasWindow || c.Windowed
		latent = max(latent, c.Value)
	}
	if hasFull {
		masked, widest = full, full
	}
	if hasWindow {
		masked, widest = masked+window, max(widest, window)
	}
	attention, fixed := m.Attention, 0
	maskBytes := 2 // and no scores
	if s.FlashOff {
		maskBytes = 4
		attention += widest * m.Heads
		if m.LatentValues {
			fixed = 2 * widest * latent // the values, taken from the keys
		}
	}
	bytes := int64(numBatch)*int64(maskBytes*masked+4*max(attention, m.Between)) + int64(fixed)
	if m.Drafts {
		bytes *= 2
	}
	return bytes
}
