package sweep

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// cutting returns the counts of a server with num_ctx ctx that cuts a longer prompt
// to the length that to returns.
func cutting(ctx int, count func(string) int, to func(ctx int) int) func(func() string) (int, error) {
	return func(prompts func() string) (int, error) {
		prompt := prompts()
		if n := count(prompt); n <= ctx {
			return n, nil
		}
		return to(ctx), nil
	}
}

func whole(ctx int) int { return ctx }
func half(ctx int) int  { return ctx/2 + 2 }

func filePrompt(t *testing.T, text string) *Prompter {
	t.Helper()
	file := filepath.Join(t.TempDir(), "p")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	p, err := NewPrompter(config.Prompt{File: file}, 2)
	require.NoError(t, err)
	return p
}

func TestSizeOfAFile(t *testing.T) {
	text := strings.Repeat("It was the best of times,\nit was the worst of times. ", 60)
	words := func(s string) int { return 5 + len(strings.Fields(s)) }
	for name, count := range map[string]func(string) int{"bytes": byteTokens, "words": words} {
		t.Run(name, func(t *testing.T) {
			for _, to := range []func(int) int{whole, half} {
				for _, ctx := range []int{512, 2048, 8192} {
					p := filePrompt(t, text)
					require.NoError(t, p.Size(ctx, 8192, cutting(ctx, count, to)))
					prompt, err := p.Prompts(ctx)
					require.NoError(t, err)
					assert.InEpsilon(t, count(prompt()), p.Tokens(ctx), 0.02, "of a server with num_ctx=%d", ctx)
				}
			}
		})
	}
}

func TestPromptThatDoesNotFit(t *testing.T) {
	text := strings.TrimSpace(strings.Repeat("word ", 3680))
	p := filePrompt(t, text)
	words := func(s string) int { return len(strings.Fields(s)) }
	require.NoError(t, p.Size(1024, 1024, cutting(1024, words, whole)))
	err := p.fits([]cell.Key{{Ctx: 4096, Batch: 64}, {Ctx: 1024, Batch: 64}})
	assert.ErrorContains(t, err, "has 3696 tokens, which with num_predict 2 do not fit the smallest num_ctx 1024")
	assert.ErrorContains(t, err, "leave out num_ctx below 3698, or use {fill: 0.9}")
	assert.NoError(t, p.fits([]cell.Key{{Ctx: 4096, Batch: 64}}))

	// A text that is far too long is not sent to its end.
	asked := 0
	p = filePrompt(t, strings.Repeat(text+" ", 100))
	require.NoError(t, p.Size(1024, 1024, func(prompt func() string) (int, error) { asked++; return words(prompt()), nil }))
	assert.Less(t, asked, 30)
	assert.Error(t, p.fits([]cell.Key{{Ctx: 65536, Batch: 64}}))
}

func TestSizeInASmallContext(t *testing.T) {
	p, err := NewPrompter(config.Prompt{Tokens: 150}, 2)
	require.NoError(t, err)
	require.NoError(t, p.Size(256, 256, cutting(256, byteTokens, whole)))
	prompt, err := p.Prompts(256)
	require.NoError(t, err)
	assert.InDelta(t, 150, byteTokens(prompt()), 20)

	p, err = NewPrompter(config.Prompt{Tokens: 90}, 2)
	require.NoError(t, err)
	assert.ErrorContains(t, p.Size(100, 100, cutting(100, byteTokens, half)), "num_ctx=100 is too small to size a prompt")
	assert.False(t, p.Sized())
}

// TestSizeIsTheSameUnderEveryNumCtx: prompts do not depend on the num_ctx that is loaded first.
func TestSizeIsTheSameUnderEveryNumCtx(t *testing.T) {
	vowels := func(s string) int {
		return 20 + 2*len(strings.Fields(s)) + strings.Count(s, "e") + strings.Count(s, "o")
	}
	for name, count := range map[string]func(string) int{"bytes": byteTokens, "vowels": vowels} {
		t.Run(name, func(t *testing.T) {
			var first checkpoint.Sizing
			for _, loaded := range []int{65536, 4096, 1024, 512, 400, 300, 256} {
				for _, to := range []func(int) int{whole, half} {
					p, err := NewPrompter(config.Prompt{Tokens: 400}, 2)
					require.NoError(t, err)
					require.NoError(t, p.Size(loaded, 256, cutting(loaded, count, to)))
					if first == (checkpoint.Sizing{}) {
						first = p.sizing
					}
					assert.Equal(t, first, p.sizing, "num_ctx=%d", loaded)
					prompt, err := p.Prompts(4096)
					require.NoError(t, err)
					assert.InDelta(t, 400, count(prompt()), 8)
				}
			}
		})
	}
}

func TestSizeFails(t *testing.T) {
	boom := errors.New("boom")
	for n := range 6 {
		p := filePrompt(t, strings.Repeat("some text ", 100))
		asked := 0
		err := p.Size(4096, 4096, func(prompts func() string) (int, error) {
			prompt := prompts()
			if asked++; asked > n {
				return 0, boom
			}
			return byteTokens(prompt), nil
		})
		assert.ErrorIs(t, err, boom)
		assert.False(t, p.Sized())
	}
}

func TestCut(t *testing.T) {
	assert.Equal(t, "ab", cut("ab", 5))
	assert.Equal(t, "ab", cut("ab cd", 4))
	assert.Equal(t, "abc", cut("abcdef", 3))
	assert.Equal(t, "äö", cut("äöü", 3), "a character is not split")
	text := "one two\nthree  four 漢字漢字漢字"
	for size := 1; size < len(text); size++ {
		var all string
		for rest := text; rest != ""; {
			part := cut(rest, size)
			require.NotEmpty(t, part)
			all, rest = all+part, rest[len(part):]
		}
		assert.Equal(t, text, all)
	}
}
