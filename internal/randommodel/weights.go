package randommodel

import (
	"io"
	"math"
	"math/rand/v2"

	"github.com/ollama/ollama/fs/ggml"
)

// random makes matrices of random numbers, the same every time. Numbers are drawn and
// encoded once for each length of a row and repeated, each matrix from another place on: of
// billions drawn one by one the speed would be the same.
type random struct {
	*rand.Rand
	kind   Type
	blocks map[int][]byte // by the length of a row
}

// drawn is how many numbers are drawn at a time.
const drawn = 1 << 20

func newRandom(kind Type) *random {
	return &random{rand.New(rand.NewPCG(20250801, 20250801)), kind, make(map[int][]byte)}
}

// values draws numbers whose standard deviation is 1/√length, so that a row of that length
// times a state keeps the state's size, whatever the number of layers.
func (r *random) values(n, length int) []float32 {
	limit := math.Sqrt(3 / float64(length))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(limit * (2*r.Float64() - 1))
	}
	return values
}

// matrix returns a tensor of rows of the length in.
func (r *random) matrix(name string, in, out int) *ggml.Tensor {
	block := r.blocks[in]
	if block == nil {
		block = r.kind.encode(r.values(drawn, in))
		r.blocks[in] = block
	}
	t := tensor(name, r.kind, nil, in, out)
	step := len(block) / (drawn / blockLength)
	t.WriterTo = repeated{block, step * r.IntN(drawn/blockLength), int64(t.Size())}
	return t
}

// output is a matrix for the tokens of ASCII's 94 visible characters, and zero for all
// others. Every second of these has the row of the one before it with the signs changed, so
// that one of the two scores above zero: 47 do, of which a sampler with top_k 40 picks one.
// An Ollama from 0.30 on leaves out an answer's figures where the text ends inside a
// character of several bytes.
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

// ones is the vector of a norm, which is kept in 32 bit.
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

// whole writes itself.
type whole []byte

func (b whole) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// repeated writes a block again and again, from a place in it on.
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
