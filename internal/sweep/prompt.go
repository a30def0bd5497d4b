package sweep

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// Prompt says what is sent in each measurement: the text of a file, or a text
// of our own of so many tokens, or one that fills so much of num_ctx.
type Prompt struct {
	File   string  `yaml:"-"`
	Tokens int     `yaml:"tokens"` // tokens, the server's template included
	Fill   float64 `yaml:"fill"`   // part of num_ctx, above 0 and below 1
}

// UnmarshalYAML reads a file name, `{tokens: 8192}` or `{fill: 0.9}`.
func (p *Prompt) UnmarshalYAML(n *yaml.Node) error {
	*p = Prompt{}
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&p.File)
	}
	if err := onlyKeys(n, "tokens", "fill"); err != nil {
		return err
	}
	type plain Prompt
	return n.Decode((*plain)(p))
}

func (p Prompt) check() error {
	switch {
	case p == Prompt{}:
		return errors.New("missing: name a file, or {tokens: 8192}, or {fill: 0.9} of num_ctx")
	case p.File != "":
		return readable(p.File)
	case p.Tokens != 0 && p.Fill != 0:
		return errors.New("tokens and fill exclude each other")
	case p.Tokens < 0:
		return fmt.Errorf("tokens %d must be 1 or more", p.Tokens)
	case p.Tokens == 0 && (!(p.Fill > 0) || p.Fill >= 1):
		return fmt.Errorf("fill %v must lie above 0 and below 1", p.Fill)
	}
	return nil
}

// Prompter makes the prompts of a sweep. Each starts with digits of its own,
// because a server evaluates a prompt that begins like the last one only in
// part, yet counts it whole.
type Prompter struct {
	spec       Prompt
	numPredict int
	text       string // of the file

	// What the server's tokenizer makes of our words, once it is known.
	sized   bool
	fixed   float64 // tokens beside the words
	perWord float64 // tokens
}

// NewPrompter reads the prompt's file, if it has one.
func NewPrompter(spec Prompt, numPredict int) (*Prompter, error) {
	p := &Prompter{spec: spec, numPredict: numPredict, sized: spec.File != ""}
	if spec.File == "" {
		return p, nil
	}
	text, err := os.ReadFile(spec.File)
	if err != nil {
		return nil, fmt.Errorf("reading prompt: %w", err)
	}
	if p.text = strings.TrimSpace(string(text)); p.text == "" {
		return nil, fmt.Errorf("prompt %s is empty: put a long text in it, or use {tokens: 8192}", spec.File)
	}
	return p, nil
}

// SHA256 identifies what is asked for, apart from each prompt's own digits.
func (p *Prompter) SHA256() string {
	text := p.text
	if text == "" {
		text = fmt.Sprintf("tokens=%d fill=%v words=%s", p.spec.Tokens, p.spec.Fill, words)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// The lengths of two short prompts in words. The first warms up a loaded model;
// where a prompt must be sized, the second, longer by once the list of words,
// tells what a word costs on average.
const (
	warmupWords = 8
	probeWords  = warmupWords + 64
)

// Warmup returns the short prompt that ends a load.
func (p *Prompter) Warmup() string { return nonce() + ourWords(warmupWords) }

// Probe returns the longer prompt of a sizing.
func (p *Prompter) Probe() string { return nonce() + ourWords(probeWords) }

// Sized reports whether prompts can be made.
func (p *Prompter) Sized() bool { return p.sized }

// Size learns the tokenizer from the token counts of the two short prompts.
func (p *Prompter) Size(warmupTokens, probeTokens int) error {
	perWord := float64(probeTokens-warmupTokens) / (probeWords - warmupWords)
	if perWord <= 0 {
		return fmt.Errorf("the server counts %d tokens in a prompt of %d words and %d in one of %d, so a prompt can't be sized by tokens: name a file as the prompt",
			warmupTokens, warmupWords, probeTokens, probeWords)
	}
	p.fixed = float64(warmupTokens) - warmupWords*perWord
	p.perWord = perWord
	p.sized = true
	return nil
}

// Next returns a prompt for a cell of this num_ctx.
func (p *Prompter) Next(numCtx int) (string, error) {
	if p.text != "" {
		return nonce() + p.text, nil
	}
	target := float64(p.spec.Tokens)
	if p.spec.Fill > 0 {
		target = p.spec.Fill*float64(numCtx) - float64(p.numPredict)
	}
	n := int(math.Floor((target - p.fixed) / p.perWord))
	if n < 1 {
		return "", fmt.Errorf("a prompt of %.0f tokens has no room for text: the server's template and the prompt's own start take %.0f", target, p.fixed)
	}
	return nonce() + ourWords(n), nil
}

// nonce returns twelve digits, each its own token with the space before it in
// the vocabularies in use, so that every prompt is of the same length.
func nonce() string {
	var digits [12]byte
	rand.Read(digits[:]) // never fails
	var b strings.Builder
	for _, d := range digits {
		fmt.Fprintf(&b, "%d ", d%10)
	}
	return b.String()
}

// ourWords returns n words of the list, over and over.
func ourWords(n int) string {
	list := strings.Fields(words)
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(list[i%len(list)])
	}
	return b.String()
}

// words is a text of 64 words, all plain English that every vocabulary has.
const words = `the old mill by the river had stood empty for many years when a young man came
down the road and asked who owned it now and why no one cared for the wheel
that still turned a little when the water was high the people of the town told
him that it had been left to a girl who lived far away and`
