package sweep

import (
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
)

// Sized reports whether prompts can be made.
func (p *Prompter) Sized() bool { return p.sizing.PerWord > 0 || p.sizing.Uncounted }

// SetSizing sets the sizing to that of an earlier run of the same sweep.
func (p *Prompter) SetSizing(s checkpoint.Sizing) { p.sizing = s }

// A sizing sends a prompt of the list's first leastWords words, and then the rest of the list
// in parts of partWords words, each after the same first words. A part that is too long for
// the loaded num_ctx is halved, down to leastPart.
const (
	leastWords = 2
	partWords  = 16
	leastPart  = 2
)

// Size measures how many tokens a word takes with short prompts, and the length of a
// file's prompt by sending it in parts. Each of these prompts stays below half of the
// loaded num_ctx, where no server cuts it. count sends a prompt to the server and
// returns its tokens. smallest is the num_ctx that the file's prompt has to fit: a file
// that is far longer is not read to its end. A server whose counts make no sense gives
// an error of type unsizable.
//
// All words of the list are counted whatever is loaded, so that prompts are the same for
// every num_ctx. The size of the parts does not matter, because the tokens of common
// vocabularies don't span several words.
func (p *Prompter) Size(loaded, smallest int, count func(prompt func() string) (int, error)) error {
	least, err := count(withNonce(firstWords(leastWords)))
	if err != nil {
		return err
	}
	whole, err := listTokens(least, loaded, count)
	if err != nil {
		return err
	}
	s := checkpoint.Sizing{PerWord: float64(whole) / float64(len(wordList))}
	s.Fixed = float64(least) - leastWords*s.PerWord
	if p.text != "" {
		if s.FileTokens, err = fileTokens(p.text, s.Fixed, loaded, smallest, count); err != nil {
			return err
		}
	}
	p.sizing = s
	return nil
}

// listTokens counts the tokens that the list of words adds to the shortest prompt.
func listTokens(least, loaded int, count func(func() string) (int, error)) (whole int, err error) {
	tooSmall := func(tokens, words int) error {
		return unsizable(fmt.Sprintf("num_ctx=%d is too small to size a prompt: the server counts %d tokens in one of %d words; use a larger num_ctx", loaded, tokens, words))
	}
	if least >= loaded/2 {
		return 0, tooSmall(least, leastWords)
	}
	for read, size := 0, partWords; read < len(wordList); {
		n, err := count(withNonce(firstWords(leastWords) + " " + wordsFrom(leastWords+read, size)))
		switch {
		case err != nil:
			return 0, err
		case n <= least:
			return 0, unsizable(fmt.Sprintf("the server counts %d tokens in a prompt of %d words and %d in one of %d, so the length of a prompt can't be computed: is a proxy between this program and Ollama?", least, leastWords, n, leastWords+size))
		case n < loaded/2:
			whole += n - least
			read += size
		case size == leastPart:
			return 0, tooSmall(n, leastWords+size)
		default:
			size /= 2
		}
	}
	return whole, nil
}

// unsizable says why a prompt's length can't be known before it is sent. A file's
// prompt can still be sent.
type unsizable string

func (u unsizable) Error() string { return string(u) }

// firstPart is the length in bytes of the first part of a file. A byte is a token in
// the worst vocabulary, and a quarter of one in most.
const firstPart = 256

// farTooLong is the multiple of num_ctx at which counting a prompt further is useless.
const farTooLong = 8

// fileTokens counts the tokens of a prompt from a file. For one that is far too long it
// estimates them from the first parts.
func fileTokens(text string, fixed float64, loaded, smallest int, count func(func() string) (int, error)) (int, error) {
	sum, size, whole := 0.0, firstPart, len(text)
	for text != "" {
		part := cut(text, size)
		n, err := count(withNonce(strings.TrimPrefix(part, " ")))
		if err != nil {
			return 0, err
		}
		if n >= loaded/2 && len(part) > 1 {
			size = len(part) / 2
			continue
		}
		text = text[len(part):]
		tokens := max(1, float64(n)-fixed)
		sum += tokens
		estimate := fixed + sum*float64(whole)/float64(whole-len(text))
		if estimate > farTooLong*float64(smallest) {
			return int(math.Round(estimate)), nil
		}
		size = max(1, int((0.4*float64(loaded)-fixed)/tokens*float64(len(part))))
	}
	return int(math.Round(fixed + sum)), nil
}

// cut returns the first part of the text, at most size bytes if possible. It ends
// before a space where there is one.
func cut(text string, size int) string {
	if len(text) <= size {
		return text
	}
	if i := strings.LastIndexFunc(text[:size], unicode.IsSpace); i > 0 {
		return text[:i]
	}
	for i := range text {
		if i >= size {
			return text[:i]
		}
	}
	return text
}

// fits returns an error where a file's prompt is too long for the smallest num_ctx of
// the plan.
func (p *Prompter) fits(plan []cell.Key) error {
	n, least := p.sizing.FileTokens, smallest(plan)
	if n+p.numPredict <= least {
		return nil
	}
	return fmt.Errorf("prompt %s has %d tokens, which with num_predict %d do not fit the smallest num_ctx %d: the server would cut it silently; use a shorter text, leave out num_ctx below %d, or use {fill: 0.9}, which is sized for each num_ctx",
		p.spec.File, n, p.numPredict, least, n+p.numPredict)
}

// smallest returns the smallest num_ctx of a plan, which must not be empty.
func smallest(plan []cell.Key) int {
	least := plan[0].Ctx
	for _, c := range plan {
		least = min(least, c.Ctx)
	}
	return least
}
