package lines

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible returns the text with its control characters escaped, such as "\x1b" and "\u2028":
// they would move a terminal's cursor, end a line for some readers or change the direction of writing.
// Tabs and line ends are kept. "##[", a command to GitHub's runner anywhere in a line, is broken up.
func visible(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1, r < 0x80 && r != '\n' && r != '\t' && unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r >= 0x80 && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return strings.ReplaceAll(b.String(), "##[", "# #[")
}
