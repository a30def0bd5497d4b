package merge

import (
	"fmt"
	"io"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
)

// mostListed is how many of a kind are listed.
const mostListed = 20

// Print says what was merged, and what does not add up.
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
	some(&b, len(m.PassedOver), func(i int) string { return "Passed over: " + report.OneLine(m.PassedOver[i]) })
	if m.Aside != "" {
		fmt.Fprintf(&b, "Aside: what was merged there before had samples that are in none of these; it is now %s\n", report.OneLine(m.Aside))
	}
	if n := len(m.Pooled); n > 0 {
		fmt.Fprintf(&b, "Pooled: %d cells have samples of several: %s\n", n, cell.Names(m.Pooled[:min(n, mostListed)])+more(n))
	}
	if m.Copies > 0 {
		fmt.Fprintf(&b, "Copies: %d samples stand in several, and count once\n", m.Copies)
	}
	some(&b, len(m.Contradictions), func(i int) string {
		c := m.Contradictions[i]
		return fmt.Sprintf("Contradiction: num_ctx=%d, num_batch=%d: %s", c.Ctx, c.Batch, report.OneLine(c.Text))
	})
	some(&b, len(m.Lacking), func(i int) string { return m.Lacking[i].text() })
	_, err := io.WriteString(w, b.String())
	return err
}

// some writes a line for each of n, but not for too many.
func some(b *strings.Builder, n int, line func(i int) string) {
	for i := range min(n, mostListed) {
		fmt.Fprintln(b, line(i))
	}
	if rest := more(n); rest != "" {
		fmt.Fprintln(b, " "+rest)
	}
}

func more(n int) string {
	if n <= mostListed {
		return ""
	}
	return fmt.Sprintf(" and %d more", n-mostListed)
}

func (l Lacking) text() string {
	n := len(l.Cells)
	cells := fmt.Sprintf("%d cells", n)
	if n > 0 {
		cells += ": " + cell.Names(l.Cells[:min(n, mostListed)]) + more(n)
	}
	switch {
	case l.Command == "":
		return fmt.Sprintf("Not planned: %s: they are in nobody's grid; a config with every num_ctx and num_batch of both measures them", cells)
	case l.From == "":
		return fmt.Sprintf("Missing: shard %v has no checkpoint, %s\n  %s", l.Shard, cells, report.OneLine(l.Command))
	case n == 0:
		return fmt.Sprintf("Missing: the search of %s has not come to its end\n  %s", report.OneLine(l.From), report.OneLine(l.Command))
	}
	return fmt.Sprintf("Missing: %s lacks samples of %s\n  %s", report.OneLine(l.From), cells, report.OneLine(l.Command))
}
