package tinymodel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ollama/ollama/fs/ggml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// golden is the SHA-256 of the file. It must not change unintentionally: results of
// different models can't be compared.
const golden = "f9c9abd01c2446778014471823cdc090b837558c04740aa0a122b2a45236eede"

func written(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tiny.gguf")
	require.NoError(t, Write(file))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return data
}

func TestSameBytesEveryTime(t *testing.T) {
	for range 2 {
		sum := sha256.Sum256(written(t))
		assert.Equal(t, golden, hex.EncodeToString(sum[:]))
	}
}

func TestOllamaReadsModel(t *testing.T) {
	data := written(t)
	model, err := ggml.Decode(bytes.NewReader(data), -1)
	require.NoError(t, err)
	kv := model.KV()
	assert.Equal(t, "llama", kv.Architecture())
	for _, figure := range []struct {
		name      string
		want, got uint64
	}{
		{"layers", layers, kv.BlockCount()},
		{"width", width, kv.EmbeddingLength()},
		{"trained context", trained, kv.ContextLength()},
		{"tensors", 3 + 9*layers, uint64(len(model.Tensors().Items()))},
		{"tokens", 3 + 256, uint64(len(kv.Strings("tokenizer.ggml.tokens")))},
	} {
		assert.Equal(t, figure.want, figure.got, figure.name)
	}
}

func TestWeights(t *testing.T) {
	data := written(t)
	model, err := ggml.Decode(bytes.NewReader(data), -1)
	require.NoError(t, err)
	for _, tensor := range model.Tensors().Items() {
		at := int64(model.Tensors().Offset + tensor.Offset)
		values := make([]float32, tensor.Elements())
		section := io.NewSectionReader(bytes.NewReader(data), at, int64(tensor.Size()))
		require.NoError(t, binary.Read(section, binary.LittleEndian, values), tensor.Name)
		for i, v := range values {
			require.LessOrEqual(t, math.Abs(float64(v)), 1.0, "%s[%d]", tensor.Name, i) // nor NaN
		}
		if tensor.Name == "output.weight" {
			requireASCII(t, values)
		}
	}
}

// requireASCII requires that at least 40 visible characters score above every other token,
// whatever the model's state.
func requireASCII(t *testing.T, weights []float32) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		state := make([]float32, width)
		for i := range state {
			state[i] = float32(random.NormFloat64())
		}
		above := 0
		for token := range len(weights) / width {
			var score float32
			for i, v := range state {
				score += v * weights[token*width+i]
			}
			if score > 0 {
				require.True(t, token >= firstByte+'!' && token <= firstByte+'~', "token %d", token)
				above++
			}
		}
		require.GreaterOrEqual(t, above, 40)
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	assert.ErrorIs(t, Write(filepath.Join(t.TempDir(), "missing", "tiny.gguf")), os.ErrNotExist)
}
