package randommodel

import "fmt"

const (
	// firstByte is the token of byte 0, after the special tokens.
	firstByte = 3
	// firstOther is the first token after the bytes.
	firstOther = firstByte + 256
)

// vocabulary returns the special tokens, one token for each byte, and others that occur in
// no text, with llama.cpp's types: 1 normal, 2 unknown, 3 control, 6 byte. A byte is one
// token, so that the number of tokens of a prompt is known beforehand. The others don't
// occur because the tokenizer merges two tokens at a time, and their parts are no tokens.
func vocabulary(size int) (tokens []string, scores []float32, types []int32) {
	tokens = []string{"<unk>", "<s>", "</s>"}
	types = []int32{2, 3, 3}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
		types = append(types, 6)
	}
	for i := firstOther; i < size; i++ {
		tokens = append(tokens, fmt.Sprintf("token%d", i))
		types = append(types, 1)
	}
	return tokens, make([]float32, size), types
}
