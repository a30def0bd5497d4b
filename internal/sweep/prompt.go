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

// Prompter makes the prompts of a sweep. Each starts with text of its own,
// because a server evaluates a prompt that begins like one before only in part,
// yet counts it whole.
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
		return nil, fmt.Errorf("prompt %s is not a text in UTF-8, and a server would be sent another: convert it, or use {tokens: 8192}", spec.File)
	}
	if p.text = strings.TrimSpace(string(text)); p.text == "" {
		return nil, fmt.Errorf("prompt %s is empty: put a long text in it, or use {tokens: 8192}", spec.File)
	}
	return p, nil
}

// SHA256 identifies what is asked for, apart from each prompt's own start.
func (p *Prompter) SHA256() string {
	text := p.text
	if text == "" {
		text = fmt.Sprintf("tokens=%d fill=%v words=%s", p.spec.Tokens, p.spec.Fill, words)
	}
	sum := sha256.Sum256([]byte(ownDigits + text))
	return hex.EncodeToString(sum[:])
}

// mostWarmup bounds the warm-up in tokens: it has to run the code once, not to
// take a tenth of the cell's time.
const mostWarmup = 128

// Warmup makes the short prompts that end a load: no longer than one batch,
// where a batch has room for a word. numBatch is 0 for the server's own.
func (p *Prompter) Warmup(numBatch int) func() string {
	most := mostWarmup
	if numBatch > 0 {
		most = min(most, numBatch)
	}
	if n := p.sizing.Words(float64(most)); p.Sized() && n > 0 {
		return started(ourWords(n))
	}
	word := -1
	return func() string { word++; return wordsFrom(word, 1) }
}

// Tokens returns how many the next prompt has for a cell of this num_ctx, by
// the sizing; the server's own count can differ by a few.
func (p *Prompter) Tokens(numCtx int) int {
	if p.text != "" {
		return p.sizing.FileTokens
	}
	return int(math.Round(p.sizing.Tokens(p.sizing.Words(p.target(numCtx)))))
}

// target is the length asked for, in tokens.
func (p *Prompter) target(numCtx int) float64 {
	if p.spec.Fill > 0 {
		return p.spec.Fill*float64(numCtx) - float64(p.numPredict)
	}
	return float64(p.spec.Tokens)
}

// SameEverywhere reports whether cells of every num_ctx get a prompt of the same
// length.
func (p *Prompter) SameEverywhere() bool { return p.spec.Fill == 0 }

// Prompts makes the prompts for a cell of this num_ctx. They must be sized.
func (p *Prompter) Prompts(numCtx int) (func() string, error) {
	if p.text != "" {
		return started(p.text), nil
	}
	n := p.sizing.Words(p.target(numCtx))
	if n < 1 {
		return nil, fmt.Errorf("a prompt of %.0f tokens has no room for text: the server's template and the prompt's own start take %.0f", p.target(numCtx), p.sizing.Fixed)
	}
	return started(ourWords(n)), nil
}

// started returns a function that makes prompts of the text, each with a start of its own.
func started(text string) func() string {
	return func() string { return ownStart() + text }
}

// ownDigits are shuffled for each prompt's own start. Each is a token of its
// own, or two with the space before it, in the vocabularies in use; and whatever
// each of them costs, the sum is the same in every order.
const ownDigits = "0123456789abcdef"

// ownStart returns a text that is unlike that of any other prompt (there are
// 2·10¹³), and of as many tokens.
func ownStart() string {
	digits := []byte(ownDigits)
	rand.Shuffle(len(digits), func(i, j int) { digits[i], digits[j] = digits[j], digits[i] })
	var b strings.Builder
	for _, d := range digits {
		b.WriteByte(d)
		b.WriteByte(' ')
	}
	return b.String()
}

// ourWords returns n words of the list, over and over.
func ourWords(n int) string { return wordsFrom(0, n) }

// wordsFrom returns n words from that place of the list on, over and over.
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

// words is a text of 64 words, all plain English that every vocabulary has.
const words = `the old mill by the river had stood empty for many years when a young man came
down the road and asked who owned it now and why no one cared for the wheel
that still turned a little when the water was high the people of the town told
him that it had been left to a girl who lived far away and`

var wordList = strings.Fields(words)
