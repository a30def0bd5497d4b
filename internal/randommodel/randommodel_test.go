package randommodel

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ollama/ollama/fs/ggml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/x448/float16"
)

var small = Shape{Layers: 2, Width: 64, Inner: 192, Heads: 2, KVHeads: 1, Vocab: 300, Trained: 4096}

func TestLargeHasOneAndAHalfBillionWeights(t *testing.T) {
	require.NoError(t, Large.Check())
	assert.InEpsilon(t, 1.5e9, Large.Weights(), 0.02)
}

func TestOllamaReadsModel(t *testing.T) {
	for name, kind := range map[string]Type{"f16": F16, "q8_0": Q8} {
		t.Run(name, func(t *testing.T) {
			parsed, err := ParseType(name)
			require.NoError(t, err)
			require.Equal(t, kind, parsed)
			model, data := written(t, small, kind)
			kv := model.KV()
			assert.Equal(t, "llama", kv.Architecture())
			assert.Equal(t, uint64(small.Layers), kv.BlockCount())
			assert.Equal(t, uint64(small.Trained), kv.ContextLength())
			assert.Equal(t, ggml.FileType(kind.fileType()).String(), kv.FileType().String())
			assert.Len(t, kv.Strings("tokenizer.ggml.tokens"), small.Vocab)
			weights := 0
			for _, tensor := range model.Tensors().Items() {
				values := decoded(t, model, data, tensor)
				requireSane(t, tensor, values)
				if len(tensor.Shape) == 2 {
					weights += len(values)
				}
			}
			assert.Equal(t, small.Weights(), weights)
		})
	}
}

// written returns a model as Ollama's own decoder reads it, and its file.
func written(t *testing.T, s Shape, kind Type) (*ggml.GGML, []byte) {
	t.Helper()
	dir := t.TempDir()
	digest, err := writeBlob(dir, s, kind)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, "sha256-"+digest))
	require.NoError(t, err)
	again, err := Write(filepath.Join(dir, "again"), s, kind)
	require.NoError(t, err)
	require.Equal(t, digest, again, "the same bytes every time")
	model, err := ggml.Decode(bytes.NewReader(data), -1)
	require.NoError(t, err)
	return model, data
}

// decoded returns the values of a tensor.
func decoded(t *testing.T, model *ggml.GGML, data []byte, tensor *ggml.Tensor) []float32 {
	t.Helper()
	section := io.NewSectionReader(bytes.NewReader(data), int64(model.Tensors().Offset+tensor.Offset), int64(tensor.Size()))
	values := make([]float32, tensor.Elements())
	var err error
	switch Type(tensor.Kind) {
	case f32:
		err = binary.Read(section, binary.LittleEndian, values)
	case F16:
		bits := make([]uint16, len(values))
		err = binary.Read(section, binary.LittleEndian, bits)
		for i, b := range bits {
			values[i] = float16.Frombits(b).Float32()
		}
	case Q8:
		blocks := make([]struct {
			Scale   uint16
			Numbers [blockLength]int8
		}, len(values)/blockLength)
		err = binary.Read(section, binary.LittleEndian, blocks)
		for i, b := range blocks {
			for j, n := range b.Numbers {
				values[i*blockLength+j] = float16.Frombits(b.Scale).Float32() * float32(n)
			}
		}
	}
	require.NoError(t, err, tensor.Name)
	return values
}

// requireSane requires weights whose variance keeps the magnitude of a state, and an output
// that prefers visible characters.
func requireSane(t *testing.T, tensor *ggml.Tensor, values []float32) {
	t.Helper()
	length := int(tensor.Shape[0])
	limit := math.Sqrt(3/float64(length)) * 1.01
	sum := 0.0
	for i, v := range values {
		if len(tensor.Shape) == 1 {
			require.Equal(t, float32(1), v, tensor.Name)
			continue
		}
		require.LessOrEqual(t, math.Abs(float64(v)), limit, "%s[%d]", tensor.Name, i) // nor NaN
		sum += float64(v) * float64(v)
		if tensor.Name == "output.weight" {
			token := i / length
			visible := token >= firstByte+'!' && token <= firstByte+'~'
			require.True(t, visible || v == 0, "token %d", token)
		}
	}
	if len(tensor.Shape) == 2 && tensor.Name != "output.weight" {
		assert.InEpsilon(t, 1/float64(length), sum/float64(len(values)), 0.05, tensor.Name)
	}
}

// TestOutputOfOppositeRows: the rows of each pair of visible characters have opposite signs, so that
// one of the two scores above zero.
func TestOutputOfOppositeRows(t *testing.T) {
	for _, kind := range []Type{F16, Q8} {
		model, data := written(t, small, kind)
		for _, tensor := range model.Tensors().Items() {
			if tensor.Name != "output.weight" {
				continue
			}
			values := decoded(t, model, data, tensor)
			for row := firstByte + int('!'); row < firstByte+int('~'); row += 2 {
				at := row * small.Width
				require.NotZero(t, values[at])
				for i := range small.Width {
					require.Equal(t, values[at+i], -values[at+small.Width+i], "row %d", row)
				}
			}
		}
	}
}

func TestInvalidShapes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Shape)
		want   string
	}{
		{"no layer", func(s *Shape) { s.Layers = 0 }, "0 is below 1"},
		{"no whole blocks", func(s *Shape) { s.Inner = 100 }, "multiples of 32"},
		{"heads of odd width", func(s *Shape) { s.Heads = 64 }, "is not a multiple of twice -heads 64"},
		{"heads that share no keys", func(s *Shape) { s.Heads, s.KVHeads = 4, 3 }, "-kv-heads 3"},
		{"narrow keys", func(s *Shape) { s.Heads, s.KVHeads = 4, 1 }, "the width of the keys"},
		{"bytes without tokens", func(s *Shape) { s.Vocab = 200 }, "-vocab 200 is below 259"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := small
			require.NoError(t, s.Check())
			tt.change(&s)
			assert.ErrorContains(t, s.Check(), tt.want)
		})
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	_, err := Write(filepath.Join(t.TempDir(), "missing", "big.gguf"), small, F16)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
