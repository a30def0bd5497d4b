package simulate

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gonum.org/v1/gonum/stat"

	"github.com/ollama-sweep/ollama-sweep/internal/search"
)

// allSurfaces is the name of the scores on all surfaces together.
const allSurfaces = "all"

// Score summarizes the plays of one strategy. Regret is in %.
type Score struct {
	Surfaces string `json:"surfaces"` // a surface's name, a grid size, or "all"
	Strategy string `json:"strategy"`
	Runs     int    `json:"runs"`

	Cells    float64 `json:"cells"`              // mean cost
	MaxCells float64 `json:"max_cells"`          // highest cost
	Share    float64 `json:"share"`              // mean cost in % of the plan's cells
	Failed   float64 `json:"failed"`             // mean number of cells that failed
	Loads    float64 `json:"loads"`              // mean, in % of the plan's cells, each of which an exhaustive sweep loads once
	Restarts float64 `json:"restarts,omitempty"` // mean number of restarts of the server for other settings of it

	Mean   float64 `json:"regret_mean"`
	Median float64 `json:"regret_median"`
	P95    float64 `json:"regret_p95"`
	Worst  float64 `json:"regret_worst"`
	Over2  float64 `json:"over_2_percent"` // % of the runs whose regret is above 2 %

	// Columns is nil for a strategy that recommends no cell for each num_ctx.
	Columns *ColumnScore `json:"columns,omitempty"`

	ThoughtMS float64 `json:"thinking_ms"` // mean computing time of a call of Next
}

// ColumnScore is the regret of the cells recommended for each num_ctx, in %.
type ColumnScore struct {
	Mean     float64 `json:"mean"`
	P95      float64 `json:"p95"`
	WorstP95 float64 `json:"worst_p95"` // 95th percentile of each run's worst column
}

func score(surfaces, strategy string, runs []Run) Score {
	s := Score{Surfaces: surfaces, Strategy: strategy, Runs: len(runs)}
	var cost, share, failed, loads, regret, columns, worst []float64
	var thought time.Duration
	var restarts int
	var steps, over int
	for _, r := range runs {
		cost, share, failed = append(cost, r.Cost), append(share, 100*r.Share), append(failed, float64(r.Failed))
		loads = append(loads, 100*r.LoadShare)
		regret = append(regret, 100*r.Regret)
		restarts += r.Restarts
		if r.Regret > 0.02 {
			over++
		}
		for _, c := range r.Columns {
			columns = append(columns, 100*c)
		}
		if len(r.Columns) > 0 {
			worst = append(worst, 100*slices.Max(r.Columns))
		}
		thought += r.Thought
		steps += r.Steps
	}
	s.Cells, s.MaxCells, s.Share, s.Failed = stat.Mean(cost, nil), slices.Max(cost), stat.Mean(share, nil), stat.Mean(failed, nil)
	s.Loads, s.Restarts = stat.Mean(loads, nil), float64(restarts)/float64(len(runs))
	s.Mean, s.Median, s.P95, s.Worst = stat.Mean(regret, nil), quantile(0.5, regret), quantile(0.95, regret), slices.Max(regret)
	s.Over2 = 100 * float64(over) / float64(len(runs))
	if len(columns) > 0 {
		s.Columns = &ColumnScore{stat.Mean(columns, nil), quantile(0.95, columns), quantile(0.95, worst)}
	}
	s.ThoughtMS = float64(thought.Microseconds()) / 1000 / float64(steps)
	return s
}

// quantile returns the smallest value that at least a share p of all values does not exceed.
func quantile(p float64, values []float64) float64 {
	slices.Sort(values)
	return stat.Quantile(p, stat.Empirical, values, nil)
}

// Print writes the scores as tables for people: by surface, and by group of surfaces, without
// groups of one surface. A closing sentence summarizes the requested strategies.
func (c Comparison) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	groups := slices.DeleteFunc(slices.Clone(c.Overall), func(s Score) bool { return s.Runs == c.Surfaces[0].Runs })
	for i, part := range [][]Score{c.Surfaces, groups} {
		what := "surface"
		if i > 0 {
			what = "\nsurfaces"
		}
		if len(part) == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\tstrategy\tcells\t%%\tfailed\tregret %%: mean\tmedian\tp95\tworst\tover 2 %%\tcolumns %%: mean\tp95\tworst p95\tdecision ms\t\n", what)
		for _, s := range part {
			columns := "–\t–\t–"
			if s.Columns != nil {
				columns = fmt.Sprintf("%.2f\t%.2f\t%.1f", s.Columns.Mean, s.Columns.P95, s.Columns.WorstP95)
			}
			fmt.Fprintf(t, "%s\t%s\t%.1f\t%.2f\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%s\t%.1f\t\n", s.Surfaces, s.Strategy, s.Cells, s.Share, s.Failed,
				s.Mean, s.Median, s.P95, s.Worst, s.Over2, columns, s.ThoughtMS)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", c.sentence())
	return err
}

// sentence summarizes what the requested strategies would have cost and lost:
//
//	On average, best would have cost 17 % of the loads and lost 0.4 %.
func (c Comparison) sentence() string {
	var parts []string
	for _, s := range c.Overall {
		if s.Surfaces != allSurfaces || !slices.Contains(c.Requested, s.Strategy) {
			continue
		}
		lost := fmt.Sprintf("lost %.1f %%", s.Mean)
		if k, _ := search.KindOf(s.Strategy); k.Columns && s.Columns != nil {
			lost = fmt.Sprintf("lost %.1f %% of each num_ctx's best rate", s.Columns.Mean)
		}
		parts = append(parts, fmt.Sprintf("%s would have cost %.0f %% of the loads and %s", s.Strategy, s.Loads, lost))
	}
	if len(parts) == 0 {
		return ""
	}
	return "On average, " + strings.Join(parts, "; ") + "."
}
