package randommodel

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
)

// Type is a number type of GGML, with GGML's number for it.
type Type uint32

const (
	f32 Type = 0
	F16 Type = 1 // 16 bit
	Q8  Type = 8 // Q8_0: blocks of 8-bit numbers
)

// fileType is GGUF's general.file_type of a model whose matrices are of the type.
func (t Type) fileType() uint32 {
	if t == Q8 {
		return 7
	}
	return uint32(t)
}

// String returns the type's name in GGML, such as f16 or q8_0.
func (t Type) String() string {
	return map[Type]string{f32: "f32", F16: "f16", Q8: "q8_0"}[t]
}

// ParseType reads f16 or q8_0.
func ParseType(text string) (Type, error) {
	switch text {
	case "f16":
		return F16, nil
	case "q8_0":
		return Q8, nil
	}
	return 0, fmt.Errorf("write f16 or q8_0")
}

// blockLength is the number of values in a block of Q8_0: a scale of 16 bits, then a byte for each value.
const blockLength = 32

// encode returns the encoded values, whose number must be a multiple of blockLength.
func (t Type) encode(values []float32) []byte {
	var b []byte
	switch t {
	case f32:
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	case F16:
		for _, v := range values {
			b = binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(v).Bits())
		}
	case Q8:
		for ; len(values) > 0; values = values[blockLength:] {
			b = appendBlock(b, values[:blockLength])
		}
	}
	return b
}

func appendBlock(b []byte, values []float32) []byte {
	var largest float64
	for _, v := range values {
		largest = max(largest, math.Abs(float64(v)))
	}
	scale := float16.Fromfloat32(float32(largest / 127))
	b = binary.LittleEndian.AppendUint16(b, scale.Bits())
	for _, v := range values {
		n := 0.0
		if s := float64(scale.Float32()); s > 0 {
			n = math.RoundToEven(float64(v) / s)
		}
		b = append(b, byte(int8(min(127, max(-127, n)))))
	}
	return b
}
