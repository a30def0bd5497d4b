package bench

import (
	"io"
	"strings"
)

// comments writes each line behind "# ", so that no reader of benchmarks takes
// it for one of its own.
type comments struct {
	w       io.Writer
	midLine bool
}

func (c *comments) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		if !c.midLine {
			line = "# " + line
		}
		c.midLine = !strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(c.w, line); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}
