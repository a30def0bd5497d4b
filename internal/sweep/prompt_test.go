package sweep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// byteTokens counts the tokens of a vocabulary in which a byte is one token, and a space three.
func byteTokens(prompt string) int { return len(prompt) + 2*strings.Count(prompt, " ") }

func counting(count func(string) int) func(func() string) (int, error) {
	return func(prompt func() string) (int, error) { return count(prompt()), nil }
}

func TestPromptOfTokens(t *testing.T) {
	for _, count := range []func(string) int{
		byteTokens,
		func(s string) int { return len(strings.Fields(s)) },
		func(s string) int { return 40 + len(s)/4 },
	} {
		p, err := NewPrompter(config.Prompt{Tokens: 960}, 2)
		require.NoError(t, err)
		require.False(t, p.Sized())
		require.NoError(t, p.Size(4096, 4096, counting(count)))
		require.True(t, p.Sized())
		prompt, err := p.Prompts(4096)
		require.NoError(t, err)
		assert.InDelta(t, 960, count(prompt()), 20)
		assert.InDelta(t, p.Tokens(4096), count(prompt()), 20)
		assert.LessOrEqual(t, count(p.Warmup(256)()), mostWarmup+20, "a warm-up is short")
		assert.LessOrEqual(t, count(p.Warmup(100)()), 100+5, "and no longer than one batch")
		warmup := p.Warmup(8)
		assert.Equal(t, "the", warmup(), "a word is the least")
		assert.Equal(t, "old", warmup(), "no two begin alike")
	}
}

func TestPromptFillsContext(t *testing.T) {
	p, err := NewPrompter(config.Prompt{Fill: 0.5}, 2)
	require.NoError(t, err)
	require.NoError(t, p.Size(1024, 1024, counting(byteTokens)))
	for _, ctx := range []int{1024, 4096, 65536} {
		prompt, err := p.Prompts(ctx)
		require.NoError(t, err)
		assert.InDelta(t, ctx/2, byteTokens(prompt()), 20)
	}
	_, err = p.Prompts(64)
	assert.ErrorContains(t, err, "a prompt of 30 tokens has no room for text")
}

func TestPromptOfAFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p")
	require.NoError(t, os.WriteFile(file, []byte("\n some text\n"), 0o644))
	p, err := NewPrompter(config.Prompt{File: file}, 2)
	require.NoError(t, err)
	prompts, err := p.Prompts(1)
	require.NoError(t, err)
	a, b := prompts(), prompts()
	assert.True(t, strings.HasSuffix(a, " some text"))
	assert.NotEqual(t, a, b)
	assert.Len(t, b, len(a))

	require.NoError(t, os.WriteFile(file, []byte(" \n"), 0o644))
	_, err = NewPrompter(config.Prompt{File: file}, 2)
	assert.ErrorContains(t, err, "is empty")
	_, err = NewPrompter(config.Prompt{File: dir}, 2)
	assert.ErrorContains(t, err, "reading prompt")
}

func TestPromptIdentity(t *testing.T) {
	sha := func(spec config.Prompt) string {
		p, err := NewPrompter(spec, 2)
		require.NoError(t, err)
		return p.SHA256()
	}
	assert.Equal(t, sha(config.Prompt{Tokens: 5}), sha(config.Prompt{Tokens: 5}))
	assert.NotEqual(t, sha(config.Prompt{Tokens: 5}), sha(config.Prompt{Tokens: 6}))
	assert.NotEqual(t, sha(config.Prompt{Tokens: 5}), sha(config.Prompt{Fill: 0.5}))
}

func TestPromptCantBeSizedByAnOddServer(t *testing.T) {
	p, err := NewPrompter(config.Prompt{Tokens: 5}, 2)
	require.NoError(t, err)
	err = p.Size(1000, 1000, counting(func(string) int { return 10 }))
	assert.ErrorContains(t, err, "the server counts 10 tokens in a prompt of 2 words and 10 in one of 18")
	assert.False(t, p.Sized())
}

func TestPromptWords(t *testing.T) {
	assert.Zero(t, len(wordList)%partWords, "a sizing goes once through the list")
}

// TestNonce: nonces differ, and have the same length in tokens.
func TestNonce(t *testing.T) {
	seen := make(map[string]bool)
	cost := func(s string) (n int) { // each digit costs something else
		for _, d := range strings.Fields(s) {
			n += strings.Index(nonceDigits, d)
		}
		return n
	}
	for range 1000 {
		start := nonce()
		assert.False(t, seen[start])
		seen[start] = true
		assert.Len(t, start, 2*len(nonceDigits))
		assert.Equal(t, 120, cost(start))
	}
}

func TestPromptString(t *testing.T) {
	assert.Equal(t, "{tokens: 400}", config.Prompt{Tokens: 400}.String())
	assert.Equal(t, "{fill: 0.9}", config.Prompt{Fill: 0.9}.String())
	assert.Equal(t, "long.txt", config.Prompt{File: "/data/prompts/long.txt"}.String())
}
