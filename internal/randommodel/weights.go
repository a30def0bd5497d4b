package randommodel

import (
	"io"
	"math"
	"math/rand/v2"

	"github.com/ollama/ollama/fs/ggml"
)

// random creates matrices of random numbers, the same every time. For each row length a block
// of numbers is drawn and encoded once. Each matrix repeats it from a different offset: that
// saves time, and the values don't affect the speed of a model.
type random struct {
	*rand.Rand
	kind   Type
	blocks map[int][]byte // by row length
}

// blockValues is the number of values in a block that is repeated.
const blockValues = 1 << 20

func newRandom(kind Type) *random {
	return &random{rand.New(rand.NewPCG(20250801, 20250801)), kind, make(map[int][]byte)}
}

// values draws n numbers with a standard deviation of 1/√length, so that multiplication by
// rows of that length keeps the magnitude of a state, whatever the number of layers.
func (r *random) values(n, length int) []float32 {
	limit := math.Sqrt(3 / float64(length))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(limit * (2*r.Float64() - 1))
	}
	return values
}

// matrix returns a tensor of out rows of length in.
func (r *random) matrix(name string, in, out int) *ggml.Tensor {
	block := r.blocks[in]
	if block == nil {
		block = r.kind.encode(r.values(blockValues, in))
		r.blocks[in] = block
	}
	t := tensor(name, r.kind, nil, in, out)
	step := len(block) / (blockValues / blockLength)
	t.WriterTo = repeated{block, step * r.IntN(blockValues/blockLength), int64(t.Size())}
	return t
}

// output returns a matrix that is random for the tokens of the 94 visible ASCII characters and
// zero for all others, so that only the former are generated. Each pair of these has rows of
// opposite signs, so that one of the two scores above zero: 47 do, of which a sampler with
// top_k 40 picks one. With other characters Ollama 0.30 and later omits the figures of an
// answer that ends inside a multi-byte character.
func (r *random) output(name string, width, vocab int) *ggml.Tensor {
	values := make([]float32, width*vocab)
	for row := firstByte + int('!'); row < firstByte+int('~'); row += 2 {
		one, other := values[row*width:(row+1)*width], values[(row+1)*width:(row+2)*width]
		copy(one, r.values(width, width))
		for i, v := range one {
			other[i] = -v
		}
	}
	return tensor(name, r.kind, whole(r.kind.encode(values)), width, vocab)
}

// ones returns the vector of a norm, which is stored in 32 bits.
func ones(name string, width int) *ggml.Tensor {
	values := make([]float32, width)
	for i := range values {
		values[i] = 1
	}
	return tensor(name, f32, whole(f32.encode(values)), width)
}

func tensor(name string, kind Type, data io.WriterTo, dimensions ...int) *ggml.Tensor {
	t := &ggml.Tensor{Name: name, Kind: uint32(kind), WriterTo: data}
	for _, n := range dimensions {
		t.Shape = append(t.Shape, uint64(n))
	}
	return t
}

// whole is written as it is.
type whole []byte

func (b whole) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// repeated is written as size bytes of a block that is repeated, starting at offset from.
type repeated struct {
	block []byte
	from  int
	size  int64
}

func (r repeated) WriteTo(w io.Writer) (written int64, err error) {
	for from := r.from; written < r.size; from = 0 {
		part := r.block[from:]
		n, err := w.Write(part[:min(int64(len(part)), r.size-written)])
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
