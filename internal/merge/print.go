package merge

import (
	"fmt"
	"io"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// maxListed is how many items of a kind are printed.
const maxListed = 20

// Print prints what was merged, and the problems.
func (m *Merged) Print(w io.Writer) error {
	var b strings.Builder
	sources := m.Checkpoint.Sweep.Merged
	fmt.Fprintf(&b, "Merged %d checkpoints:\n", len(sources))
	some(&b, len(sources), func(i int) string {
		s := sources[i]
		shard := ""
		if s.Shard != (cell.Shard{}) {
			shard = fmt.Sprintf("shard %v, ", s.Shard)
		}
		return fmt.Sprintf("  %s: %s%d cells", report.OneLine(s.From), shard, s.Cells)
	})
	some(&b, len(m.PassedOver), func(i int) string { return "Skipped: " + report.OneLine(m.PassedOver[i]) })
	if m.Aside != "" {
		fmt.Fprintf(&b, "Moved aside: the previous merged checkpoint has samples that none of these has; it is now %s\n", report.OneLine(m.Aside))
	}
	if n := len(m.Pooled); n > 0 {
		fmt.Fprintf(&b, "Pooled: %d cells have samples from several: %s\n", n, cell.Names(m.Pooled[:min(n, maxListed)])+more(n))
	}
	if m.Copies > 0 {
		fmt.Fprintf(&b, "Copies: %d samples are in several, and count once\n", m.Copies)
	}
	some(&b, len(m.Contradictions), func(i int) string {
		c := m.Contradictions[i]
		return fmt.Sprintf("Contradiction: %s: %s", c.Key.Text(), report.OneLine(c.Text))
	})
	some(&b, len(m.Lacking), func(i int) string { return m.Lacking[i].text() })
	_, err := io.WriteString(w, b.String())
	return err
}

// some prints a line for each of n items, up to maxListed.
func some(b *strings.Builder, n int, line func(i int) string) {
	for i := range min(n, maxListed) {
		fmt.Fprintln(b, line(i))
	}
	if rest := more(n); rest != "" {
		fmt.Fprintln(b, " "+rest)
	}
}

func more(n int) string {
	if n <= maxListed {
		return ""
	}
	return fmt.Sprintf(" and %d more", n-maxListed)
}

func (l Lacking) text() string {
	n := len(l.Cells)
	cells := fmt.Sprintf("%d cells", n)
	if n > 0 {
		cells += ": " + cell.Names(l.Cells[:min(n, maxListed)]) + more(n)
	}
	switch {
	case l.Command == "":
		return fmt.Sprintf("Not planned: %s: no checkpoint has them in its grid; a config with all their num_ctx and num_batch measures them", cells)
	case l.From == "":
		return fmt.Sprintf("Missing: shard %v has no checkpoint, %s\n  %s", l.Shard, cells, report.OneLine(l.Command))
	case n == 0:
		return fmt.Sprintf("Missing: the search of %s is not finished\n  %s", report.OneLine(l.From), report.OneLine(l.Command))
	}
	return fmt.Sprintf("Missing: %s lacks samples of %s\n  %s", report.OneLine(l.From), cells, report.OneLine(l.Command))
}
