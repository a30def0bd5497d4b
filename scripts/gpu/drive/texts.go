package main

import "math/rand/v2"

// texts makes prompts of which no two begin alike. A letter of them is one token.
type texts struct {
	*rand.Rand
	made int
}

// fresh returns a text of n letters, whose first differs from that of the text before.
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
