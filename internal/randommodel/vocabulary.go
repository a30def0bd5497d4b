package randommodel

import "fmt"

const (
	// firstByte is the token of the byte 0, behind the special ones.
	firstByte = 3
	// firstOther is the first token behind the bytes.
	firstOther = firstByte + 256
)

// vocabulary returns the special tokens, one for each byte, and others that no text has,
// with the types that llama.cpp gives them: 1 normal, 2 unknown, 3 control, 6 byte. So a
// byte is one token, and a prompt's length is known beforehand. The tokenizer joins two
// characters at a time, and never gets to tokens of more of which no part is one.
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
