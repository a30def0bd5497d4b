package parse

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestPlain(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain text", "one\ntwo\n", "one\ntwo"},
		{"colours stay on the line", "\x1b[1mbold\x1b[0m text", "bold text"},
		{"a moved cursor breaks the line", "⠙ waiting \x1b[K\x1b[2K\x1b[1Gdone", "waiting\ndone"},
		{"a title", "\x1b]0;title\x07text\x1b]8;;x\x1b\\link", "textlink"},
		{"control characters", "a\x00b\x07c\u0085d\u202ee\tf", "abcde f"},
		{"CRLF and empty lines", "a\r\n\r\n\r\nb", "a\nb"},
		{"a code cut short", "text\x1b[", "text"},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
	} {
		assert.Equal(t, test.want, Plain([]byte(test.text)), test.name)
	}
	assert.Equal(t, `gathering model components
copying file sha256:28ac1434608a51b8b6133e8e07abde8214b6ec135ea215144ac3ab527e99868d 100%
parsing GGUF
using existing layer sha256:28ac1434608a51b8b6133e8e07abde8214b6ec135ea215144ac3ab527e99868d
creating new layer sha256:fcf9eea9fe37427ac3faf0eb5f2e87320d3fddb274c4baddb393b8db2292aa30
writing manifest
success`, Plain(captured(t, "create.stderr")))
}

func FuzzPlain(f *testing.F) {
	f.Add(captured(f, "run.terminal"))
	f.Add(captured(f, "create.stderr"))
	f.Add([]byte("\x1b]0;x\x1b[1;2H\x9b31m\u202e"))
	f.Fuzz(func(t *testing.T, text []byte) {
		plain := Plain(text)
		if !utf8.ValidString(plain) {
			t.Fatalf("%q is not UTF-8", plain)
		}
		for _, r := range plain {
			if r != '\n' && unicode.IsControl(r) {
				t.Fatalf("%q in %q", r, plain)
			}
		}
		if again := Plain([]byte(plain)); again != plain {
			t.Fatalf("%q became %q", plain, again)
		}
	})
}
