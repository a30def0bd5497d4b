package lines

import (
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// mark begins a line that no reader of benchmarks takes for one of its own.
const mark = "# "

// longest is after how many bytes a line is broken: readers of benchmarks give up on a file with a
// line of 64 KiB.
const longest = 32 << 10

// Comments returns a writer that begins each line with "# " where it does not already. It may be
// used by several goroutines, each of which writes whole lines.
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
		for _, part := range broken(line) {
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

// broken returns the parts of a line that are each a line of their own: most lines are one part.
func broken(line string) (parts []string) {
	for len(line) > longest {
		end := longest
		for !utf8.RuneStart(line[end]) {
			end--
		}
		parts, line = append(parts, line[:end]+"\n"), line[end:]
	}
	return append(parts, line)
}

// Text returns text that something else prints behind a prefix of its own, as package testing does:
// its further lines, which may be indented, begin with "# ".
func Text(s string) string {
	first, rest, more := strings.Cut(strings.TrimSuffix(visible(s), "\n"), "\n")
	if !more {
		return first
	}
	var b strings.Builder
	(&comments{w: &b}).Write([]byte(rest))
	return first + "\n" + b.String()
}
