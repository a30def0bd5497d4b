package lines

import (
	"bytes"
	"io"
	"regexp"
)

// Prose returns a writer for the output of a command that prints no benchmark lines: lines that some
// program would parse become comments, and others are unchanged. Flush writes an unfinished last
// line.
func Prose(w io.Writer) *ProseWriter { return &ProseWriter{w: w} }

// ProseWriter is a writer made by Prose.
type ProseWriter struct {
	w    io.Writer
	line []byte // the unfinished line
}

// parsed matches the lines that programs parse: benchmarks, their units and their configuration
// (golang.org/x/perf/benchfmt), results of go test, commands to GitHub's runner.
var parsed = regexp.MustCompile(`^(?:Benchmark|Unit\b|\p{Ll}[^\s\p{Lu}:]*:(?:[ \t]|$)|(?:---|===) |(?:PASS|FAIL|ok)\b|panic:|\s*::)`)

func (p *ProseWriter) Write(text []byte) (int, error) {
	p.line = append(p.line, text...)
	end := bytes.LastIndexByte(p.line, '\n') + 1
	if end == 0 {
		return len(text), nil
	}
	whole := p.line[:end]
	p.line = bytes.Clone(p.line[end:])
	return len(text), p.lines(whole)
}

func (p *ProseWriter) lines(whole []byte) error {
	var b bytes.Buffer
	for line := range bytes.Lines([]byte(visible(string(whole)))) {
		if parsed.Match(bytes.TrimSuffix(line, []byte("\n"))) {
			b.WriteString(mark)
		}
		b.Write(line)
	}
	_, err := p.w.Write(b.Bytes())
	return err
}

// Flush writes a last line without a line end.
func (p *ProseWriter) Flush() error {
	last := p.line
	p.line = nil
	if len(last) == 0 {
		return nil
	}
	return p.lines(last)
}
