package randommodel

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ollama/ollama/fs/ggml"
)

// writeBlob writes the model into a folder, under Ollama's name for a blob with its digest.
func writeBlob(dir string, s Shape, kind Type) (digest string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("creating the folder for blobs: %w", err)
	}
	scratch, err := os.MkdirTemp(dir, "model-")
	if err != nil {
		return "", fmt.Errorf("creating the model: %w", err)
	}
	defer os.RemoveAll(scratch)
	file := filepath.Join(scratch, "model.gguf")
	if digest, err = Write(file, s, kind); err != nil {
		return "", err
	}
	return digest, os.Rename(file, blobFile(dir, digest))
}

// Write writes the model to a file and returns its SHA-256.
func Write(file string, s Shape, kind Type) (digest string, err error) {
	f, err := os.Create(file)
	if err != nil {
		return "", fmt.Errorf("creating the model: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := ggml.WriteGGUF(f, s.keys(kind), s.tensors(newRandom(kind))); err != nil {
		return "", fmt.Errorf("writing the model %s: %w", file, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.CopyBuffer(hash, struct{ io.Reader }{f}, make([]byte, 4<<20)); err != nil {
		return "", fmt.Errorf("reading the model %s: %w", file, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func (s Shape) keys(kind Type) ggml.KV {
	tokens, scores, types := vocabulary(s.Vocab)
	return ggml.KV{
		"general.architecture":                   "llama",
		"general.name":                           "random",
		"general.file_type":                      kind.fileType(),
		"general.quantization_version":           uint32(2),
		"general.parameter_count":                uint64(s.Weights()),
		"llama.block_count":                      uint32(s.Layers),
		"llama.context_length":                   uint32(s.Trained),
		"llama.embedding_length":                 uint32(s.Width),
		"llama.feed_forward_length":              uint32(s.Inner),
		"llama.attention.head_count":             uint32(s.Heads),
		"llama.attention.head_count_kv":          uint32(s.KVHeads),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-6),
		"llama.rope.dimension_count":             uint32(s.Width / s.Heads),
		"llama.rope.freq_base":                   float32(1e6),
		"llama.vocab_size":                       uint32(s.Vocab),
		"tokenizer.ggml.model":                   "llama",
		"tokenizer.ggml.tokens":                  tokens,
		"tokenizer.ggml.scores":                  scores,
		"tokenizer.ggml.token_type":              types,
		"tokenizer.ggml.unknown_token_id":        uint32(0),
		"tokenizer.ggml.bos_token_id":            uint32(1),
		"tokenizer.ggml.eos_token_id":            uint32(2),
		"tokenizer.ggml.add_bos_token":           true,
	}
}

func (s Shape) tensors(r *random) []*ggml.Tensor {
	kv := s.Width / s.Heads * s.KVHeads
	tensors := []*ggml.Tensor{
		r.matrix("token_embd.weight", s.Width, s.Vocab),
		ones("output_norm.weight", s.Width),
		r.output("output.weight", s.Width, s.Vocab),
	}
	for i := range s.Layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", i, part) }
		tensors = append(tensors,
			ones(name("attn_norm"), s.Width),
			r.matrix(name("attn_q"), s.Width, s.Width),
			r.matrix(name("attn_k"), s.Width, kv),
			r.matrix(name("attn_v"), s.Width, kv),
			r.matrix(name("attn_output"), s.Width, s.Width),
			ones(name("ffn_norm"), s.Width),
			r.matrix(name("ffn_gate"), s.Width, s.Inner),
			r.matrix(name("ffn_up"), s.Width, s.Inner),
			r.matrix(name("ffn_down"), s.Inner, s.Width),
		)
	}
	return tensors
}
