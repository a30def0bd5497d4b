// Package tinymodel creates the model of the embedded engine: a GGUF file of 2 MB with
// random weights, the same bytes every time. It generates plain ASCII.
package tinymodel

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

// The model's shape: as small as possible, but not so small that the overhead of a
// request hides the time of prompt evaluation.
const (
	layers  = 2
	width   = 128
	heads   = 4
	inner   = 384     // of the feed-forward network
	trained = 131_072 // tokens of context; servers clamp num_ctx to it
	seed    = 20250801
)

// Write writes the model to a file. The tokens are the 256 byte values, so that the
// number of tokens of a prompt is known beforehand: a byte is one token, and a space,
// which the tokenizer replaces by "▁", three.
func Write(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("creating the model: %w", err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return fmt.Errorf("writing the model %s: %w", file, err)
	}
	return f.Close()
}

func write(f *os.File) error {
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
	tensors := []*ggml.Tensor{
		w.random("token_embd.weight", width, len(tokens)),
		w.ones("output_norm.weight"),
		w.output("output.weight", len(tokens)),
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

// firstByte is the token of byte 0, after the special tokens.
const firstByte = 3

// vocabulary returns the special tokens and one token for each byte, with
// llama.cpp's types: 2 unknown, 3 control, 6 byte.
func vocabulary() (tokens []string, scores []float32, types []int32) {
	tokens = []string{"<unk>", "<s>", "</s>"}
	types = []int32{2, 3, 3}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
		types = append(types, 6)
	}
	return tokens, make([]float32, len(tokens)), types
}

// weights creates tensors from one stream of random numbers: their order of creation
// decides their values.
type weights struct{ *rand.Rand }

// random returns a tensor in GGUF's order of dimensions: the innermost first.
func (w weights) random(name string, in, out int) *ggml.Tensor {
	values := make([]float32, in*out)
	for i := range values {
		// A single multiplication of exact numbers gives the same bits on every platform.
		values[i] = float32(w.IntN(2001)-1000) * 1e-4
	}
	return tensor(name, values, in, out)
}

// output returns a tensor that is random for the tokens of the 94 visible ASCII characters
// and zero for all others, so that only the former are generated. Each pair of these has
// rows of opposite signs, so that one of the two scores above zero: 47 do, of which a
// sampler with top_k 40 picks one. With other characters Ollama 0.30 and later omits the
// figures of an answer that ends inside a multi-byte character.
func (w weights) output(name string, vocab int) *ggml.Tensor {
	t := w.random(name, width, vocab)
	values := t.WriterTo.(floats)
	first, end := firstByte+'!', firstByte+'~'+1
	clear(values[:first*width])
	clear(values[end*width:])
	for row := first; row < end; row += 2 {
		for i := row * width; i < (row+1)*width; i++ {
			values[i+width] = -values[i]
		}
	}
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

// floats is written as little-endian 32-bit numbers.
type floats []float32

func (f floats) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, 0, 4*len(f))
	for _, v := range f {
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
	}
	return bytes.NewReader(buf).WriteTo(w)
}
