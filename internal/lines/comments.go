package lines

import (
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// mark begins a comment line, which readers of benchmark files ignore.
const mark = "# "

// maxLine is the number of bytes after which a line is broken: readers of benchmark files fail on a
// line of 64 KiB.
const maxLine = 32 << 10

// Comments returns a writer that prefixes each line with "# ", unless it begins so already. Several
// goroutines may use it, if each writes whole lines.
func Comments(w io.Writer) io.Writer { return &comments{w: w} }

type comments struct {
	w io.Writer

	mu      sync.Mutex
	midLine bool
}

func (c *comments) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for line := range strings.Lines(visible(string(text))) {
		for _, part := range split(line) {
			if !c.midLine && !strings.HasPrefix(part, mark) {
				b.WriteString(mark)
			}
			b.WriteString(part)
			c.midLine = !strings.HasSuffix(part, "\n")
		}
	}
	if _, err := io.WriteString(c.w, b.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}

// split breaks a line of more than maxLine bytes into several.
func split(line string) (parts []string) {
	for len(line) > maxLine {
		end := maxLine
		for !utf8.RuneStart(line[end]) {
			end--
		}
		parts, line = append(parts, line[:end]+"\n"), line[end:]
	}
	return append(parts, line)
}

// Text returns s for a writer that prefixes the first line and may indent the others, as package
// testing does: all lines but the first begin with "# ".
func Text(s string) string {
	first, rest, more := strings.Cut(strings.TrimSuffix(visible(s), "\n"), "\n")
	if !more {
		return first
	}
	var b strings.Builder
	(&comments{w: &b}).Write([]byte(rest))
	return first + "\n" + b.String()
}
