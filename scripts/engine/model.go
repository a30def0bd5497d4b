package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"

	"github.com/ollama/ollama/fs/ggml"
)

// The model's shape: as small as the architecture allows without being so fast
// that a prompt's evaluation can't be told from its overhead.
const (
	layers  = 2
	width   = 128
	heads   = 4
	inner   = 384     // of the feed-forward network
	trained = 131_072 // tokens of context; servers clamp num_ctx to it
	seed    = 20250801
)

// writeTiny writes the GGUF file. The tokenizer has the 256 bytes for tokens,
// so that a prompt's length is known beforehand: a byte is one token, and a
// space, which the tokenizer turns into "▁", is three.
func writeTiny(f *os.File) error {
	tokens, scores, types := vocabulary()
	kv := ggml.KV{
		"general.architecture":                   "llama",
		"general.name":                           "tiny",
		"general.file_type":                      uint32(0), // F32
		"llama.block_count":                      uint32(layers),
		"llama.context_length":                   uint32(trained),
		"llama.embedding_length":                 uint32(width),
		"llama.feed_forward_length":              uint32(inner),
		"llama.attention.head_count":             uint32(heads),
		"llama.attention.head_count_kv":          uint32(heads),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-5),
		"llama.rope.dimension_count":             uint32(width / heads),
		"llama.vocab_size":                       uint32(len(tokens)),
		"tokenizer.ggml.model":                   "llama",
		"tokenizer.ggml.tokens":                  tokens,
		"tokenizer.ggml.scores":                  scores,
		"tokenizer.ggml.token_type":              types,
		"tokenizer.ggml.unknown_token_id":        uint32(0),
		"tokenizer.ggml.bos_token_id":            uint32(1),
		"tokenizer.ggml.eos_token_id":            uint32(2),
		"tokenizer.ggml.add_bos_token":           true,
	}
	w := weights{rand.New(rand.NewPCG(seed, seed))}
	vocab := len(tokens)
	tensors := []*ggml.Tensor{
		w.random("token_embd.weight", width, vocab),
		w.ones("output_norm.weight"),
		w.output("output.weight", vocab),
	}
	for i := range layers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s.weight", i, s) }
		tensors = append(tensors,
			w.ones(name("attn_norm")),
			w.random(name("attn_q"), width, width),
			w.random(name("attn_k"), width, width),
			w.random(name("attn_v"), width, width),
			w.random(name("attn_output"), width, width),
			w.ones(name("ffn_norm")),
			w.random(name("ffn_gate"), width, inner),
			w.random(name("ffn_up"), width, inner),
			w.random(name("ffn_down"), inner, width),
		)
	}
	return ggml.WriteGGUF(f, kv, tensors)
}

// vocabulary returns the special tokens and one for each byte, with the types
// that llama.cpp gives them: 2 unknown, 3 control, 6 byte.
func vocabulary() (tokens []string, scores []float32, types []int32) {
	tokens = []string{"<unk>", "<s>", "</s>"}
	types = []int32{2, 3, 3}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
		types = append(types, 6)
	}
	return tokens, make([]float32, len(tokens)), types
}

// weights makes tensors from one stream of random numbers, so that their order
// counts.
type weights struct{ *rand.Rand }

// random returns a tensor in GGUF's order of dimensions: the innermost first.
func (w weights) random(name string, in, out int) *ggml.Tensor {
	values := make([]float32, in*out)
	for i := range values {
		// One multiplication of exact numbers gives the same bits everywhere.
		values[i] = float32(w.IntN(2001)-1000) * 1e-4
	}
	return tensor(name, values, in, out)
}

// output is a random tensor, but for rows of zeros in the place of the special
// tokens: there is always a byte with a higher score than the end of the text.
func (w weights) output(name string, vocab int) *ggml.Tensor {
	t := w.random(name, width, vocab)
	values := t.WriterTo.(floats)
	clear(values[:3*width])
	return t
}

func (w weights) ones(name string) *ggml.Tensor {
	values := make([]float32, width)
	for i := range values {
		values[i] = 1
	}
	return tensor(name, values, width)
}

func tensor(name string, values []float32, shape ...int) *ggml.Tensor {
	t := &ggml.Tensor{Name: name, WriterTo: floats(values)} // kind 0 is F32
	for _, n := range shape {
		t.Shape = append(t.Shape, uint64(n))
	}
	return t
}

// floats writes itself as little-endian 32-bit numbers.
type floats []float32

func (f floats) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, 0, 4*len(f))
	for _, v := range f {
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
	}
	return bytes.NewReader(buf).WriteTo(w)
}
