// Package memory estimates the memory that a model takes when it is loaded with a
// num_ctx and a num_batch, from the model_info of /api/show.
//
// Servers from 0.30 on start llama-server, which allocates (llama.cpp b10091,
// src/llama-model.cpp and src/llama-kv-cache*.cpp):
//
//	weights   the model's files
//	KV cache  parallel · Σ over layers of tokens · (key + value) · bytes per element, where tokens
//	          is num_ctx, or in layers with a sliding window at most window + num_batch, rounded
//	          up to a multiple of 256; plus the states of recurrent layers, for any num_ctx
//	compute   min(num_batch, num_ctx) times the size of a token: the attention mask, without flash
//	          attention the attention scores too, and the activations of the layers
//
// The size of the context is exact. That of the activations depends on each model's
// graph and is a rough estimate.
//
// Servers before 0.30 plan with an estimate of their own (GraphSize in fs/ggml/ggml.go
// and EstimateGPULayers in llm/memory.go, 0.10.1), which this package reproduces:
//
//	compute   4 bytes · b · max(1 + 4·embedding + num_ctx·parallel·(1 + heads), embedding + vocabulary),
//	          where b is min(num_batch, num_ctx)
//	buffer    the weights and the cache of one layer, which the scheduler keeps free
//
// A model with unknown keys is an error, not a guess. Measured memory should take
// precedence over these estimates.
package memory

import (
	"fmt"
	"strconv"
)

// Model has the properties of a model that determine its memory.
type Model struct {
	Weights   int64   // bytes
	Layers    int     // number of layers
	Caches    []Cache // one for each layer that has a KV cache
	State     int64   // bytes of the recurrent layers' states for one sequence
	Window    int     // tokens of the sliding window, 0 for none
	Heads     int     // attention heads
	Embedding int     // elements
	Vocab     int     // tokens
	// Attention and Between are the elements of one token in llama-server's compute buffers,
	// in a layer's attention and in the rest of the layer.
	Attention, Between int
	// Drafts reports whether the model has layers that draft tokens, with their own buffers.
	Drafts bool
	// LatentValues reports whether the values are a part of the keys (MLA): llama-server stores
	// them once, servers before 0.30 separately.
	LatentValues bool
	// Doubts are sentences about what the figures do not include.
	Doubts []string
}

// Cache is the KV cache of one layer for one token, in elements.
type Cache struct {
	Key, Value int
	Windowed   bool // only for tokens of the sliding window
}

// Settings are the server's settings that matter. The zero value is a server from 0.30
// on with flash attention, one sequence and a KV cache of 16 bits.
type Settings struct {
	Parallel  int       // sequences; zero means 1
	CacheType CacheType // of the KV cache
	FlashOff  bool      // flash attention is off
	Before030 bool      // the server is older than 0.30
}

// CacheType is a value of OLLAMA_KV_CACHE_TYPE; empty means f16.
type CacheType string

// cacheBits are the bits per element, including the scales of the blocks.
var cacheBits = map[CacheType]float64{"": 16, "f16": 16, "f32": 32, "q8_0": 8.5, "q4_0": 4.5}

// ParseCacheType parses a value of OLLAMA_KV_CACHE_TYPE.
func ParseCacheType(s string) (CacheType, error) {
	if _, ok := cacheBits[CacheType(s)]; !ok {
		return "", fmt.Errorf("%q is not a type of KV cache: write f16, q8_0 or q4_0", s)
	}
	return CacheType(s), nil
}

// FromServer returns a copy of s with the values of a server's environment (see
// parse.ServerSettings). Variables that are not set or invalid change nothing.
func (s Settings) FromServer(environment map[string]string) Settings {
	if t, err := ParseCacheType(environment["OLLAMA_KV_CACHE_TYPE"]); err == nil && t != "" {
		s.CacheType = t
	}
	if n, err := strconv.Atoi(environment["OLLAMA_NUM_PARALLEL"]); err == nil && n > 0 {
		s.Parallel = n
	}
	return s
}

// Check returns an error for settings with which a server can't load a model: llama.cpp
// supports quantized values only with flash attention.
func (s Settings) Check() error {
	if bits := cacheBits[s.CacheType]; s.FlashOff && bits < 16 {
		return fmt.Errorf("a KV cache of type %s needs flash attention: use f16, or turn flash attention on", s.CacheType)
	}
	return nil
}

// Need is the memory that a load takes, in bytes.
type Need struct{ Weights, KV, Compute, Buffer int64 }

// Total returns the sum of all parts.
func (n Need) Total() int64 { return n.Weights + n.KV + n.Compute + n.Buffer }

// Of returns the memory that a load of the model takes.
func (m Model) Of(numCtx, numBatch int, s Settings) Need {
	s.Parallel = max(1, s.Parallel)
	numBatch = min(numBatch, numCtx)
	need := Need{Weights: m.Weights, KV: m.cacheBytes(numCtx, numBatch, s)}
	if s.Before030 {
		ctx, embedding := int64(numCtx)*int64(s.Parallel), int64(m.Embedding)
		need.Compute = 4 * int64(numBatch) * max(1+4*embedding+ctx*int64(1+m.Heads), embedding+int64(m.Vocab))
		need.Buffer = (need.Weights + need.KV) / int64(max(1, m.Layers))
		return need
	}
	need.Compute = m.compute(numCtx, numBatch, s)
	return need
}

// cacheBytes returns the bytes of the KV cache and the recurrent states.
func (m Model) cacheBytes(numCtx, numBatch int, s Settings) int64 {
	full, window := m.tokens(numCtx, numBatch, s)
	widest := 0
	if s.FlashOff && !s.Before030 {
		// Then values are stored transposed, with the same length in all layers.
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

// tokens returns the tokens of a sequence that are stored in a layer without and in one
// with a sliding window.
func (m Model) tokens(numCtx, numBatch int, s Settings) (full, window int) {
	if s.Before030 {
		return numCtx, min(numCtx, m.Window+numBatch)
	}
	full = roundUp(numCtx)
	return full, roundUp(min(full, m.Window+numBatch))
}

// roundUp rounds up to the multiple in which llama.cpp allocates a cache.
func roundUp(tokens int) int { return (tokens + 255) / 256 * 256 }

// compute returns the bytes of llama-server's compute buffers: a mask for each kind
// of cache, and the larger of a layer's attention and the rest of the layer.
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
	maskBytes := 2 // and no buffer for scores
	if s.FlashOff {
		maskBytes = 4
		attention += widest * m.Heads
		if m.LatentValues {
			fixed = 2 * widest * latent // the values, copied from the keys
		}
	}
	bytes := int64(numBatch)*int64(maskBytes*masked+4*max(attention, m.Between)) + int64(fixed)
	if m.Drafts {
		bytes *= 2
	}
	return bytes
}
