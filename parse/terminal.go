package parse

import (
	"regexp"
	"strings"
	"unicode"
)

// escape matches terminal codes: CSI (`\x1b[?25l`, `\x1b[1G`), OSC
// (`\x1b]0;title\a`) and the two-character ones.
var escape = regexp.MustCompile("\x1b(?:\\[([0-?]*[ -/]*[@-~])|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[ -/]*[0-~])")

// movesCursor are the final bytes of the CSI codes after which text stands in
// another place of the screen, or what stood there is gone.
const movesCursor = "ABCDEFGHJKSTdf"

// Plain returns the text without terminal codes, spinners and control
// characters, so that it can be shown and parsed. Where the cursor moved, a new
// line begins: a spinner and the text that takes its place are told apart.
// Empty lines are left out.
func Plain(text []byte) string {
	s := strings.ToValidUTF8(string(text), "\uFFFD")
	s = escape.ReplaceAllStringFunc(s, func(code string) string {
		if strings.HasPrefix(code, "\x1b[") && strings.ContainsRune(movesCursor, rune(code[len(code)-1])) {
			return "\n"
		}
		return ""
	})
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r':
			return '\n'
		case r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, braille):
			return -1
		}
		return r
	}, s)
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// braille are the characters that Ollama's spinners are made of.
var braille = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x28ff, Stride: 1}}}
