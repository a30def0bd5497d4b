package main

import "math/rand/v2"

// texts makes prompts of random letters. A letter is one token.
type texts struct {
	*rand.Rand
	made int // number of prompts so far
}

// fresh returns a text of n letters. Its first letter differs from that of the previous text, so that none
// of it is in the server's prompt cache.
func (t *texts) fresh(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	text := make([]byte, max(1, n))
	for i := range text {
		text[i] = letters[t.IntN(len(letters))]
	}
	text[0] = letters[t.made%len(letters)]
	t.made++
	return string(text)
}
