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

// Resize takes the sizing of an earlier run of the same sweep.
func (p *Prompter) Resize(s checkpoint.Sizing) { p.sizing = s }

// A sizing reads a prompt of the list's first words, and then the list from there on in
// parts of so many words, each behind those first. A part that is too long for the num_ctx
// that is loaded is halved, down to leastPart.
const (
	leastWords = 2
	partWords  = 16
	leastPart  = 2
)

// Size learns the tokenizer by short prompts, and the length of a file's prompt
// by reading it in parts. Each prompt of the sizing stays below half of the
// num_ctx that is loaded, where no server cuts it. count has the server read a
// prompt and returns its tokens. smallest is the num_ctx that the file's prompt
// has to fit: one that is far longer is not read to its end. A server whose counts
// make no sense is an error of kind unsizable.
//
// All words of the list are read whatever is loaded, so that prompts come out the same
// under each num_ctx: vocabularies that tear no word apart across a space, which are those
// in use, count the same in parts of any size.
func (p *Prompter) Size(loaded, smallest int, count func(prompt func() string) (int, error)) error {
	least, err := count(started(ourWords(leastWords)))
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

// listTokens counts the tokens that the list of words takes, beside the least that a
// prompt has.
func listTokens(least, loaded int, count func(func() string) (int, error)) (whole int, err error) {
	tooSmall := func(tokens, words int) error {
		return unsizable(fmt.Sprintf("num_ctx=%d is too small to size a prompt: the server counts %d tokens in one of %d words; use a larger num_ctx", loaded, tokens, words))
	}
	if least >= loaded/2 {
		return 0, tooSmall(least, leastWords)
	}
	for read, size := 0, partWords; read < len(wordList); {
		n, err := count(started(ourWords(leastWords) + " " + wordsFrom(leastWords+read, size)))
		switch {
		case err != nil:
			return 0, err
		case n <= least:
			return 0, unsizable(fmt.Sprintf("the server counts %d tokens in a prompt of %d words and %d in one of %d, so that nothing can be said of a prompt's length: is something between this program and Ollama?", least, leastWords, n, leastWords+size))
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

// unsizable says why nothing can be known of a prompt's length before it is
// sent. A file's prompt can be sent all the same.
type unsizable string

func (u unsizable) Error() string { return string(u) }

// firstPart is the length in bytes of the first part of a file that is read. A
// byte is a token in the worst of vocabularies, and a quarter in most.
const firstPart = 256

// farTooLong is how often a prompt is as long as num_ctx where it is no use to
// count on.
const farTooLong = 8

// fileTokens counts the tokens of a prompt from a file, or, of one that is far
// too long, estimates them from what was read so far.
func fileTokens(text string, fixed float64, loaded, smallest int, count func(func() string) (int, error)) (int, error) {
	sum, size, whole := 0.0, firstPart, len(text)
	for text != "" {
		part := cut(text, size)
		n, err := count(started(strings.TrimPrefix(part, " ")))
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

// cut returns the first bytes of the text, at most size of them where there is
// a place to cut: before a space, so that no word is torn.
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

// fits reports, for a file, what is wrong where its prompt is longer than the
// smallest num_ctx of the plan holds.
func (p *Prompter) fits(plan []cell.Key) error {
	n, least := p.sizing.FileTokens, smallest(plan)
	if n+p.numPredict <= least {
		return nil
	}
	return fmt.Errorf("prompt %s has %d tokens, which with num_predict %d do not fit the smallest num_ctx %d: the server would cut it without a word; use a shorter text, leave out num_ctx below %d, or use {fill: 0.9}, which is sized for each num_ctx",
		p.spec.File, n, p.numPredict, least, n+p.numPredict)
}

// smallest returns the least num_ctx of a plan, of which there is one cell.
func smallest(plan []cell.Key) int {
	least := plan[0].Ctx
	for _, c := range plan {
		least = min(least, c.Ctx)
	}
	return least
}
