package checkpoint

import (
	"math"
)

// Sizing relates the words of a prompt to its tokens. It is measured once for a
// sweep: Ollama counts the tokens of a prompt only by evaluating it.
type Sizing struct {
	Fixed      float64 `json:"fixed"`                 // tokens besides the words: the server's template and the nonce
	PerWord    float64 `json:"per_word"`              // tokens, on average over the words of generated prompts
	FileTokens int     `json:"file_tokens,omitempty"` // of the whole prompt, where it comes from a file
	// Uncounted reports whether the tokens of a file's prompt could not be counted beforehand, so
	// that they are known only from its first sample.
	Uncounted bool `json:"uncounted,omitempty"`
}

// Words returns how many words make a generated prompt of at most so many tokens.
func (s Sizing) Words(tokens float64) int {
	if s.PerWord <= 0 {
		return 0
	}
	return max(0, int(math.Floor((tokens-s.Fixed)/s.PerWord)))
}

// Tokens returns the expected tokens of a generated prompt of so many words.
func (s Sizing) Tokens(words int) float64 { return s.Fixed + float64(words)*s.PerWord }
