package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Stats are the statistics of a sweep.
type Stats struct {
	// Planned counts the cells of the plan and any other cell that has a result.
	// Each is measured, failed, pruned or missing.
	Planned  int
	Measured int
	Failed   int
	Pruned   int // skipped because a cell that needs no more memory ran out of it
	Missing  int
	// LeftOut counts the combinations of the axes whose num_batch is above num_ctx.
	// They are no cells, and not among the planned.
	LeftOut int
	// Failures counts the failed cells by class, the most frequent class first.
	Failures []ClassCount

	// Max, Min, Mean and Median are over the cells' rates, in tokens per second.
	// They are zero, and Best is nil, while no cell is measured.
	Max, Min, Mean, Median float64
	// Best is the cell with the highest rate.
	Best *checkpoint.Result
	// Verdict is the statistical result, nil while no cell is measured.
	Verdict *sweep.Verdict
	// Drift is the drift of the reference cell, nil where it was not measured again.
	Drift *verdict.Drift
	// Spread is how much the hosts of the sweep differ, nil where there is only one.
	Spread *verdict.Spread
	// disturbed are the disturbances of cells.
	disturbed disturbances
	// OneSample says that no cell was measured more than once.
	OneSample bool
	// Search is the answer of the search, nil without one.
	Search *checkpoint.Answer

	picks map[cell.Key]bool // the search's estimates of the fastest cell of each num_ctx
}

// ClassCount is the number of cells that failed with a failure class.
type ClassCount struct {
	Class measurement.Class
	Cells int
}

// stats computes the statistics of the grid. Best points into its results.
func (g *grid) stats() Stats {
	var s Stats
	var rates []float64
	classes := make(map[measurement.Class]int)
	s.OneSample = true
	for c := range g.cells() {
		at, r := g.at(c)
		switch at {
		case measured:
			rates = append(rates, *r.PromptEvalRate)
			s.OneSample = s.OneSample && len(r.Samples) <= 1
		case failed:
			s.Failed++
			classes[*r.Error]++
		case missing:
			s.Missing++
		case pruned:
			s.Pruned++
		case leftOut:
			s.LeftOut++
		}
	}
	s.Measured = len(rates)
	s.Planned = s.Measured + s.Failed + s.Pruned + s.Missing
	s.Search, s.picks = g.cp.Sweep.Search, g.picks()
	for class, n := range classes {
		s.Failures = append(s.Failures, ClassCount{class, n})
	}
	slices.SortFunc(s.Failures, func(a, b ClassCount) int {
		return cmp.Or(-cmp.Compare(a.Cells, b.Cells), cmp.Compare(a.Class, b.Class))
	})
	if len(rates) == 0 {
		s.OneSample = false
		return s
	}
	s.Max, s.Min = slices.Max(rates), slices.Min(rates)
	s.Mean, s.Median = stat.Mean(rates, nil), verdict.Median(rates)
	if v, ok := g.verdict(); ok {
		s.Verdict = &v
		s.Best = g.results[v.Best.Key]
	}
	s.disturbed = g.disturbed()
	if d, ok := sweep.Drift(g.cp); ok {
		s.Drift = &d
	}
	if spread, ok := sweep.Spread(g.cp); ok {
		s.Spread = &spread
	}
	return s
}

// failedText is the number of failed cells, in all and by class.
func (s Stats) failedText() string {
	text := fmt.Sprintf("%d failed", s.Failed)
	var classes []string
	for _, f := range s.Failures {
		classes = append(classes, fmt.Sprintf("%d %s", f.Cells, OneLine(string(f.Class))))
	}
	if len(classes) > 0 {
		text += " (" + strings.Join(classes, ", ") + ")"
	}
	return text
}

// rest is the number of planned cells that are neither measured nor failed, as text.
func (s Stats) rest() string {
	text := fmt.Sprintf("%d missing", s.Missing)
	if s.Search != nil {
		text = fmt.Sprintf("%d not measured by the search", s.Missing)
	}
	if s.Pruned > 0 {
		text = fmt.Sprintf("%d pruned, ", s.Pruned) + text
	}
	return text
}

// picks returns the search's estimates of the fastest cell of each num_ctx, measured or not.
func (g *grid) picks() map[cell.Key]bool {
	if g.cp.Sweep.Search == nil {
		return nil
	}
	picks := make(map[cell.Key]bool)
	for _, c := range g.cp.Sweep.Search.Columns {
		picks[c.Cell()] = true
	}
	return picks
}

// print writes the statistics; with full it adds the failure classes and the distribution of
// rates. No line looks like a configuration line of the benchmark format.
func (s Stats) print(w io.Writer, full bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Cells: %d planned, %d measured, %d failed, %s\n", s.Planned, s.Measured, s.Failed, s.rest())
	if full {
		for _, f := range s.Failures {
			fmt.Fprintf(&b, "  %d failed: %s\n", f.Cells, OneLine(string(f.Class)))
		}
		if s.LeftOut > 0 {
			fmt.Fprintf(&b, "  %d left out: num_batch above num_ctx\n", s.LeftOut)
		}
	}
	switch {
	case s.Best == nil:
		fmt.Fprintln(&b, "Rate: no cell measured yet")
	case full:
		fmt.Fprintf(&b, "Rate: max %.2f, min %.2f, mean %.2f, median %.2f tokens/s\n", s.Max, s.Min, s.Mean, s.Median)
	}
	if s.Best != nil {
		paragraph(&b, "", "Best: "+s.bestText())
	}
	if text := s.disturbed.text(); text != "" {
		paragraph(&b, "", "Disturbed: "+text)
		if cells := s.disturbed.cells(); full && cells != "" {
			note(&b, "in doubt: %s", cells)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// bestText describes the best cell and how certain it is.
func (s Stats) bestText() string {
	v := s.Verdict
	text := fmt.Sprintf("%s, rate=%.2f tokens/s%s; ", s.Best.Cell().Text(), *s.Best.PromptEvalRate, intervalText(s.Best))
	switch n := len(v.Tied); n {
	case 0:
		text += "no other cell is tied with it"
	case 1:
		text += fmt.Sprintf("1 cell is tied with it within %s %%", percent(v.TiedWithin))
	default:
		text += fmt.Sprintf("%d cells are tied with it within %s %%", n, percent(v.TiedWithin))
	}
	if v.Basis == verdict.Assumed {
		return text + "; with so few cells and samples noise can't be distinguished from real differences"
	}
	text += fmt.Sprintf("; a sample scatters by %.1f %%", 100*v.Noise)
	if a := s.Search; a != nil && a.Done {
		text += fmt.Sprintf("; the search has ended: the chance that an unmeasured cell is faster by more than the tolerance is %s %%", percent(a.Chance))
	}
	return text
}

// intervalText formats the 95 % interval of a cell's median. It is empty with
// fewer than six samples, which have no finite interval.
func intervalText(r *checkpoint.Result) string {
	in, ok := verdict.IntervalOf(r.SampleRates())
	if !ok || !in.Bounded {
		return ""
	}
	return fmt.Sprintf(" (95 %% interval %.2f to %.2f, %d samples)", in.Low, in.High, in.N)
}
