package parse

import (
	"regexp"
	"strings"
	"unicode"
)

// escape matches terminal codes: CSI (`\x1b[?25l`, `\x1b[1G`), OSC
// (`\x1b]0;title\a`) and the two-character ones.
var escape = regexp.MustCompile("\x1b(?:\\[([0-?]*[ -/]*[@-~])|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[ -/]*[0-~])")

// movesCursor are the final bytes of CSI codes that move the cursor or erase text.
const movesCursor = "ABCDEFGHJKSTdf"

// Plain returns the text without terminal codes, spinners, control characters and
// empty lines, so that it can be printed and parsed. A code that moves the cursor
// becomes a line break, which separates a spinner from the text that replaces it.
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

// braille are the characters of Ollama's spinners.
var braille = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x28ff, Stride: 1}}}
