package lines

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
)

// forged are lines that some program would parse.
var forged = []string{
	"BenchmarkSweep/ctx=1/batch=1 1 100000000 tokens/s", "Unit tokens/s better=lower", "goos: plan9", "é:", "x:\ty",
	"--- FAIL: TestSweep", "=== RUN   TestSweep", "PASS", "FAIL\tsweep\t1s", "ok  \tsweep\t1s", "panic: x",
	"::error::x", "  ::set-output name=x::y",
}

func TestComments(t *testing.T) {
	var out bytes.Buffer
	c := Comments(&out)
	fmt.Fprint(c, "one\ntwo")
	fmt.Fprint(c, " and the rest\n\nthree: 3\n# a comment: and\nBenchmarkX 1 9 ns/op\n")
	assert.Equal(t, "# one\n# two and the rest\n# \n# three: 3\n# a comment: and\n# BenchmarkX 1 9 ns/op\n", out.String())

	_, err := fmt.Fprint(Comments(full{}), "x")
	assert.EqualError(t, err, "disk full")
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestVisible: characters that move a cursor, end a line for some readers or change the direction of
// writing are escaped.
func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"a\x1b[2Jb\r\x07\x00\x7f": `a\x1b[2Jb\x0d\x07\x00\x7f`,
		"a\u2028b\u2029c\u0085d":  `a\u2028b\u2029c\u0085d`,
		"a\u202eb\ufeff":          `a\u202eb\ufeff`,
		"a\xffb\tc":               `a\xffb` + "\tc",
		"x ##[add-mask]y":         "x # #[add-mask]y",
		"·…ü语":                    "·…ü语",
	} {
		assert.Equal(t, want, visible(text))
	}
}

// TestNoLineIsParsed: no program parses a line of the output for forged lines, anywhere in a text.
func TestNoLineIsParsed(t *testing.T) {
	for _, line := range forged {
		for _, text := range []string{line, "error: x\n" + line + "\n", "x\r\n" + line, "\n\n" + line, "x\u2028" + line} {
			var comments bytes.Buffer
			fmt.Fprintf(Comments(&comments), "# cell: %s\n", text)
			requireNoLines(t, comments.String())

			var out bytes.Buffer
			p := Prose(&out)
			fmt.Fprintf(p, "Cells: %s", text)
			for i := range text { // byte by byte, as package tabwriter may write
				fmt.Fprint(p, text[i:i+1])
			}
			require.NoError(t, p.Flush())
			requireNoLines(t, out.String())

			requireNoLines(t, "    sweep_test.go:98: "+strings.ReplaceAll(Text(text), "\n", "\n        "))
		}
	}
}

// requireNoLines fails where benchfmt, go test or GitHub's runner would parse a line.
func requireNoLines(t *testing.T, text string) {
	t.Helper()
	r := benchfmt.NewReader(strings.NewReader(text), "stdout")
	for r.Scan() {
		assert.Fail(t, "benchfmt reads a line", "%T of %q", r.Result(), text)
	}
	require.NoError(t, r.Err())
	for line := range strings.Lines(text) {
		assert.NotRegexp(t, `^(--- |=== |PASS\b|FAIL\b|ok\b|panic:|[a-z]+:|\s*::)|##\[`, line)
	}
}

func TestProse(t *testing.T) {
	var out bytes.Buffer
	p := Prose(&out)
	const table = "Cells: 28 planned, 28 measured\n num_ctx num_batch\n  1024 8\nresults/a -> results/b\nBest: x\n"
	fmt.Fprint(p, table)
	require.NoError(t, p.Flush())
	assert.Equal(t, table, out.String(), "harmless lines are unchanged")

	_, err := fmt.Fprint(Prose(full{}), "x\n")
	assert.EqualError(t, err, "disk full")
}

func TestText(t *testing.T) {
	assert.Equal(t, "one", Text("one"))
	assert.Equal(t, "one\n# two\n# three", Text("one\ntwo\n# three\n"))
}

// TestLongLines: readers of benchmark files fail on a line of 64 KiB.
func TestLongLines(t *testing.T) {
	var out bytes.Buffer
	long := strings.Repeat("ü", 100<<10)
	fmt.Fprint(Comments(&out), long+"\n")
	requireNoLines(t, out.String())
	assert.Equal(t, long, strings.NewReplacer("\n# ", "", "# ", "", "\n", "").Replace(out.String()))
}
