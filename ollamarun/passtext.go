package ollamarun

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// passText makes texts of an exact number of tokens, from units that are one token each: words with the
// space before them or, for a vocabulary of single characters, letters.
type passText struct {
	units []string
	next  int    // place of the next text in units
	first string // first unit of the newest text
}

const (
	probeWords = 64 // words from which the units are chosen
	// leastUnits is the fewest words of one token that make texts which differ enough.
	leastUnits = 8
	// letters are the units where a vocabulary has single characters only, as that of the tiny model.
	letters = "etaoinsrhdlu"
	// nonceUnits are at the start of a kept prompt: units in random order, so that no other prompt
	// begins like it.
	nonceUnits = 12
)

// findUnits returns the units of a model's vocabulary among the words. Count returns the number of
// tokens of a prompt.
func findUnits(ctx context.Context, words func(first, n int) string, count func(context.Context, string) (int, error)) ([]string, error) {
	var list []string
	for i := range probeWords {
		list = append(list, " "+words(i, 1))
	}
	base := words(rand.IntN(probeWords), 1) + strings.Join(shuffled(list)[:leastUnits], "")
	own, err := count(ctx, base)
	if err != nil {
		return nil, err
	}
	added := func(text string) (int, error) {
		n, err := count(ctx, base+text)
		return n - own, err
	}
	units, err := singles(list, added)
	if err != nil || len(units) >= leastUnits {
		return units, err
	}
	if n, err := added(letters); err != nil || n == len(letters) {
		return strings.Split(letters, ""), err
	}
	return nil, &measurement.Unprobeable{Reason: "the model's vocabulary has too few words of one token, so the size of a pass can't be set"}
}

// singles returns those words that are one token each, in their order. It halves the list until all
// words of a part are, or none is.
func singles(words []string, added func(string) (int, error)) ([]string, error) {
	n, err := added(strings.Join(words, ""))
	switch {
	case err != nil || n >= 2*len(words):
		return nil, err // mostly others: not worth a search
	case n == len(words):
		return words, nil
	case len(words) == 1:
		return nil, nil
	}
	half := len(words) / 2
	left, err := singles(words[:half], added)
	if err != nil {
		return nil, err
	}
	right, err := singles(words[half:], added)
	return append(left[:len(left):len(left)], right...), err
}

// shuffled returns the units in random order.
func shuffled(units []string) []string {
	all := slices.Clone(units)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// start returns the units of a prompt of n tokens that no other prompt begins like.
func (t *passText) start(n int) []string {
	units := make([]string, 0, n)
	for range min(n, nonceUnits) {
		units = append(units, t.units[rand.IntN(len(t.units))])
	}
	units[0] = strings.TrimPrefix(units[0], " ")
	return append(units, t.take(n-len(units), "")...)
}

// take returns n units. As far as there are others, the first one differs from that of the units before,
// and from the given one.
func (t *passText) take(n int, unlike string) []string {
	for range t.units {
		if unit := t.units[t.next]; unit != t.first && unit != unlike {
			break
		}
		t.next = (t.next + 1) % len(t.units)
	}
	t.first = t.units[t.next]
	units := make([]string, 0, n)
	for range n {
		units = append(units, t.units[t.next])
		t.next = (t.next + 1) % len(t.units)
	}
	return units
}
