package ollamarun

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

var testWords = strings.Fields("the old mill by the river had stood empty for many years")

func wordsOf(first, n int) string {
	text := make([]string, n)
	for i := range text {
		text[i] = testWords[(first+i)%len(testWords)]
	}
	return strings.Join(text, " ")
}

// TestFindUnits finds the units of vocabularies in which each word takes a number of tokens.
func TestFindUnits(t *testing.T) {
	bytes := func(text string) int { return len(text) + 2*strings.Count(text, " ") }
	tokens := func(two ...string) func(string) int {
		return func(text string) int {
			n := 0
			for _, word := range strings.Fields(text) {
				if n++; slices.Contains(two, word) {
					n++
				}
			}
			return n
		}
	}
	for _, test := range []struct {
		name   string
		tokens func(string) int // of a text
		units  string           // all different ones, sorted
	}{
		{"words", tokens(), "by empty for had many mill old river stood the years"},
		{"some words of two tokens", tokens("mill", "river"), "by empty for had many old stood the years"},
		{"bytes", bytes, "a d e h i l n o r s t u"},
	} {
		units, err := findUnits(t.Context(), wordsOf, func(_ context.Context, text string) (int, error) { return 1 + test.tokens(text), nil })
		require.NoError(t, err, test.name)
		sorted := slices.Compact(slices.Sorted(slices.Values(units)))
		assert.Equal(t, test.units, strings.TrimSpace(strings.ReplaceAll(strings.Join(sorted, " "), "  ", " ")), test.name)
		text := &passText{units: units}
		start := strings.Join(text.start(40), "")
		assert.Equal(t, 40, test.tokens(start), test.name)
		assert.Equal(t, 40+9, test.tokens(start+strings.Join(text.take(9, ""), "")), test.name)
	}
	_, err := findUnits(t.Context(), wordsOf, func(_ context.Context, text string) (int, error) { return 2 * bytes(text), nil })
	var unprobeable *measurement.Unprobeable
	require.ErrorAs(t, err, &unprobeable)
	assert.False(t, unprobeable.Temporary)
}

// TestTake: a text begins neither like the one before nor like the rest of the kept prompt, since the
// server may have either.
func TestTake(t *testing.T) {
	text := &passText{units: []string{" the", " old", " the", " mill"}}
	first := text.take(1, "")
	for n := range 20 {
		unlike := text.units[n%len(text.units)]
		next := text.take(n+1, unlike)
		assert.Len(t, next, n+1)
		assert.NotEqual(t, first[0], next[0])
		assert.NotEqual(t, unlike, next[0])
		first = next
	}
	few := &passText{units: []string{" the"}}
	assert.Equal(t, few.take(3, " the"), few.take(3, " the"), "there is no other")
	assert.NotEqual(t, (&passText{units: testWords}).start(30), (&passText{units: testWords}).start(30))
}

// TestPassUnits: of the units of a pass, none is already in the kept prompt at its place.
func TestPassUnits(t *testing.T) {
	p := &prober{head: 2, text: passText{units: strings.Split(letters, "")}}
	p.kept = p.text.start(500)
	for n := 8; n < 490; n++ {
		depth := 500 - n
		units := p.units(depth, n)
		require.Len(t, units, depth-2+n)
		assert.Equal(t, p.kept[:depth-2], units[:depth-2])
		assert.NotEqual(t, p.kept[depth-2], units[depth-2])
	}
}
