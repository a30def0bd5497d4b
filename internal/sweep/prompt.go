package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// Prompter makes the prompts of a sweep. Each starts with a nonce, because a
// server evaluates a prompt that begins like an earlier one only in part, yet
// counts it whole.
type Prompter struct {
	spec       config.Prompt
	numPredict int
	text       string // of the file
	sizing     checkpoint.Sizing
}

// NewPrompter reads the prompt's file, if it has one.
func NewPrompter(spec config.Prompt, numPredict int) (*Prompter, error) {
	p := &Prompter{spec: spec, numPredict: numPredict}
	if spec.File == "" {
		return p, nil
	}
	text, err := os.ReadFile(spec.File)
	if err != nil {
		return nil, fmt.Errorf("reading prompt: %w", err)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("prompt %s is not text in UTF-8, so the server would read something else: convert it, or use {tokens: 8192}", spec.File)
	}
	if p.text = strings.TrimSpace(string(text)); p.text == "" {
		return nil, fmt.Errorf("prompt %s is empty: put a long text in it, or use {tokens: 8192}", spec.File)
	}
	return p, nil
}

// SHA256 identifies the prompt's text or size, without the nonce.
func (p *Prompter) SHA256() string {
	text := p.text
	if text == "" {
		text = fmt.Sprintf("tokens=%d fill=%v words=%s", p.spec.Tokens, p.spec.Fill, words)
	}
	sum := sha256.Sum256([]byte(nonceDigits + text))
	return hex.EncodeToString(sum[:])
}

// mostWarmup is the most tokens of a warm-up: it has to run the code once, and must
// not take a tenth of the cell's time.
const mostWarmup = 128

// Warmup returns a function that makes the short prompts at the end of a load: no
// longer than one batch, unless that has no room for a word. numBatch is 0 for the
// server's own.
func (p *Prompter) Warmup(numBatch int) func() string {
	most := mostWarmup
	if numBatch > 0 {
		most = min(most, numBatch)
	}
	if n := p.sizing.Words(float64(most)); p.Sized() && n > 0 {
		return withNonce(firstWords(n))
	}
	word := -1
	return func() string { word++; return wordsFrom(word, 1) }
}

// Tokens returns the tokens of a prompt for this num_ctx by the sizing; the server's
// count can differ by a few.
func (p *Prompter) Tokens(numCtx int) int {
	if p.text != "" {
		return p.sizing.FileTokens
	}
	return int(math.Round(p.sizing.Tokens(p.sizing.Words(p.target(numCtx)))))
}

// target returns the length that the config requests, in tokens.
func (p *Prompter) target(numCtx int) float64 {
	if p.spec.Fill > 0 {
		return p.spec.Fill*float64(numCtx) - float64(p.numPredict)
	}
	return float64(p.spec.Tokens)
}

// SameEverywhere reports whether the prompt has the same length for every num_ctx.
func (p *Prompter) SameEverywhere() bool { return p.spec.Fill == 0 }

// Prompts returns a function that makes the prompts for this num_ctx. The Prompter
// must be sized.
func (p *Prompter) Prompts(numCtx int) (func() string, error) {
	if p.text != "" {
		return withNonce(p.text), nil
	}
	n := p.sizing.Words(p.target(numCtx))
	if n < 1 {
		return nil, fmt.Errorf("a prompt of %.0f tokens has no room for text: the server's template and the nonce take %.0f", p.target(numCtx), p.sizing.Fixed)
	}
	return withNonce(firstWords(n)), nil
}

// withNonce returns a function that makes prompts of the text, each with another nonce.
func withNonce(text string) func() string {
	return func() string { return nonce() + text }
}

// nonceDigits are shuffled for each nonce. In common vocabularies each digit is one
// token, or two with the space before it. Whatever each of them takes, the sum is the
// same in every order.
const nonceDigits = "0123456789abcdef"

// nonce returns a text that no other prompt begins with (there are 2·10¹³), always of
// the same length in tokens.
func nonce() string {
	digits := []byte(nonceDigits)
	rand.Shuffle(len(digits), func(i, j int) { digits[i], digits[j] = digits[j], digits[i] })
	var b strings.Builder
	for _, d := range digits {
		b.WriteByte(d)
		b.WriteByte(' ')
	}
	return b.String()
}

// firstWords returns the first n words of the list, which is repeated as needed.
func firstWords(n int) string { return wordsFrom(0, n) }

// wordsFrom returns n words of the list from that place on, which is repeated as needed.
func wordsFrom(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(wordList[(first+i)%len(wordList)])
	}
	return b.String()
}

// words is a text of 64 plain English words, which every vocabulary has.
const words = `the old mill by the river had stood empty for many years when a young man came
down the road and asked who owned it now and why no one cared for the wheel
that still turned a little when the water was high the people of the town told
him that it had been left to a girl who lived far away and`

var wordList = strings.Fields(words)
