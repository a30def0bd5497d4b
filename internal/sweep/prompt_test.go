package sweep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// byteTokens counts as a vocabulary of bytes does in which a space is three.
func byteTokens(prompt string) int { return len(prompt) + 2*strings.Count(prompt, " ") }

func TestPromptOfTokens(t *testing.T) {
	for _, count := range []func(string) int{
		byteTokens,
		func(s string) int { return len(strings.Fields(s)) },
		func(s string) int { return 40 + len(s)/4 },
	} {
		p, err := NewPrompter(Prompt{Tokens: 960}, 2)
		require.NoError(t, err)
		require.False(t, p.Sized())
		require.NoError(t, p.Size(count(p.Warmup()), count(p.Probe())))
		require.True(t, p.Sized())
		prompt, err := p.Next(4096)
		require.NoError(t, err)
		assert.InDelta(t, 960, count(prompt), 20)
	}
}

func TestPromptFillsContext(t *testing.T) {
	p, err := NewPrompter(Prompt{Fill: 0.5}, 2)
	require.NoError(t, err)
	require.NoError(t, p.Size(byteTokens(p.Warmup()), byteTokens(p.Probe())))
	for _, ctx := range []int{1024, 4096, 65536} {
		prompt, err := p.Next(ctx)
		require.NoError(t, err)
		assert.InDelta(t, ctx/2, byteTokens(prompt), 20)
	}
	_, err = p.Next(64)
	assert.ErrorContains(t, err, "a prompt of 30 tokens has no room for text")
}

func TestPromptOfAFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p")
	require.NoError(t, os.WriteFile(file, []byte("\n some text\n"), 0o644))
	p, err := NewPrompter(Prompt{File: file}, 2)
	require.NoError(t, err)
	assert.True(t, p.Sized())
	a, err := p.Next(1)
	require.NoError(t, err)
	b, err := p.Next(1)
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(a, " some text"))
	assert.NotEqual(t, a, b)
	assert.Len(t, b, len(a))

	require.NoError(t, os.WriteFile(file, []byte(" \n"), 0o644))
	_, err = NewPrompter(Prompt{File: file}, 2)
	assert.ErrorContains(t, err, "is empty")
	_, err = NewPrompter(Prompt{File: dir}, 2)
	assert.ErrorContains(t, err, "reading prompt")
}

func TestPromptIdentity(t *testing.T) {
	sha := func(spec Prompt) string {
		p, err := NewPrompter(spec, 2)
		require.NoError(t, err)
		return p.SHA256()
	}
	assert.Equal(t, sha(Prompt{Tokens: 5}), sha(Prompt{Tokens: 5}))
	assert.NotEqual(t, sha(Prompt{Tokens: 5}), sha(Prompt{Tokens: 6}))
	assert.NotEqual(t, sha(Prompt{Tokens: 5}), sha(Prompt{Fill: 0.5}))
}

func TestPromptCantBeSizedByAnOddServer(t *testing.T) {
	p, err := NewPrompter(Prompt{Tokens: 5}, 2)
	require.NoError(t, err)
	assert.ErrorContains(t, p.Size(10, 10), "name a file as the prompt")
}

func TestPromptWords(t *testing.T) {
	assert.Len(t, strings.Fields(words), probeWords-warmupWords, "the probe is longer by once the list")
}
