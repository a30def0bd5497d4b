package checkpoint

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Trait is one field of a sweep's identity.
type Trait struct {
	Key   string // in the checkpoint
	Name  string // in messages
	Value string // empty where it is not known
	// Canonical is compared in place of Value, where that can be written in several ways; empty for
	// Value itself.
	Canonical string
	// Text is the text whose hash Value is, or a description of it; empty where Value is
	// readable itself, and in files that lack it.
	Text string
	// Told says that an empty Value means "not known" and is no difference: the figure comes from
	// the server's log, which may begin too late, or older checkpoints lack it.
	Optional bool
}

// Differs reports whether two values of a trait can't belong to one sweep.
func (t Trait) Differs(other Trait) bool {
	return t.compared() != other.compared() && !(t.Optional && (t.Value == "" || other.Value == ""))
}

func (t Trait) compared() string { return cmp.Or(t.Canonical, t.Value) }

// Shown returns two different values as they are printed: the first different line of texts,
// and hashes only where there is no other difference.
func (t Trait) Shown(other Trait) (string, string) {
	switch {
	case t.Text == "" && other.Text == "":
		return strconv.Quote(t.Value), strconv.Quote(other.Value)
	case t.Text != "" && other.Text != "" && t.Text != other.Text:
		a, b := firstDifference(t.Text, other.Text)
		return shownText(a), shownText(b)
	}
	return t.withHash(), other.withHash()
}

// withHash returns the value as printed with its hash, for texts that are equal, as of a file that
// was edited, or not known.
func (t Trait) withHash() string {
	if t.Value == "" {
		return "none"
	}
	hash := fmt.Sprintf("sha256 %.12s", t.Value)
	if t.Text == "" || strings.Contains(t.Text, "\n") {
		return hash
	}
	return shownText(t.Text) + " (" + hash + ")"
}

// firstDifference returns the first lines in which two texts differ, "no line" past the end of
// one.
func firstDifference(a, b string) (string, string) {
	for a != "" && b != "" {
		lineA, restA, _ := strings.Cut(a, "\n")
		lineB, restB, _ := strings.Cut(b, "\n")
		if lineA != lineB {
			return lineA, lineB
		}
		a, b = restA, restB
	}
	line := func(text string) string {
		if text == "" {
			return "no line"
		}
		line, _, _ := strings.Cut(text, "\n")
		return line
	}
	return line(a), line(b)
}

// unquoted matches text that needs no quotes in a message.
var unquoted = regexp.MustCompile(`^(\{\w+: [\d.]+\}|no line)$`)

func shownText(text string) string {
	if unquoted.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
