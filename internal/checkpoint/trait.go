package checkpoint

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Trait is one field of what a sweep measures, and on what.
type Trait struct {
	Key   string // of the checkpoint
	Name  string // in words
	Value string // empty where it is not known
	// Canonical is what is compared, where one Value can be written in several ways; empty for
	// Value itself.
	Canonical string
	// Text is what a Value that is a hash was made of, or a description of it; empty where
	// Value speaks for itself, and in files that lack it.
	Text string
	// Told says that it may not be known, as what only a server's log tells, which may begin too
	// late, and what older checkpoints lack: that is no difference then.
	Told bool
}

// Differs reports whether the trait and that of another can't both be of one sweep.
func (t Trait) Differs(other Trait) bool {
	return t.compared() != other.compared() && !(t.Told && (t.Value == "" || other.Value == ""))
}

func (t Trait) compared() string { return cmp.Or(t.Canonical, t.Value) }

// Shown returns how two values that differ are printed: of texts the first line in which
// they do, and hashes only where nothing else tells them apart.
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

// withHash is for texts that are the same, as of a file that was edited, or not known.
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

// firstDifference returns the first lines in which two texts differ, "no line" beyond the
// end of one.
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

// bare matches text that can stand in a sentence without quotes.
var bare = regexp.MustCompile(`^(\{\w+: [\d.]+\}|no line)$`)

func shownText(text string) string {
	if bare.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}
