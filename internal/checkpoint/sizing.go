package checkpoint

import (
	"math"
)

// Sizing is what the server's tokenizer makes of prompts, learned once for a
// sweep: Ollama has no way to ask for a count of tokens but to have them read.
type Sizing struct {
	Fixed      float64 `json:"fixed"`                 // tokens beside the words: the server's template, and a prompt's own start
	PerWord    float64 `json:"per_word"`              // tokens, on average over our words
	FileTokens int     `json:"file_tokens,omitempty"` // of a whole prompt from a file
	// Uncounted says that a file's prompt could not be counted beforehand, so
	// that its first sample has to tell.
	Uncounted bool `json:"uncounted,omitempty"`
}

// Words returns how many of our words make a prompt of at most so many tokens.
func (s Sizing) Words(tokens float64) int {
	if s.PerWord <= 0 {
		return 0
	}
	return max(0, int(math.Floor((tokens-s.Fixed)/s.PerWord)))
}

// Tokens returns how many tokens a prompt of so many words has, as the server counts.
func (s Sizing) Tokens(words int) float64 { return s.Fixed + float64(words)*s.PerWord }
