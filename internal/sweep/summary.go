package sweep

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
)

// Summary is the result of a run.
type Summary struct {
	Planned  int // cells
	Measured int // cells measured in this run
	Failed   int // cells that failed in this run
	Repeats  int // samples that this run took automatically, because the advice was not clear
	Rated    int // cells of the plan that have a rate, of this run or an earlier one
	Missing  int // cells of the plan that still lack samples
	Pruned   int // cells of the plan that were skipped because they need too much memory
	// Search reports that a search decided which cells to measure, and PassedOver is the number
	// of cells that it did not measure; they are missing only until the search has ended.
	Search     bool
	PassedOver int

	Elapsed time.Duration

	// Stop is the reason why the run stopped before the end of the plan, nil where it did not.
	Stop error
}

// Usable returns an error where the run as a whole failed: by an interrupt, a server or a
// checkpoint that can't be used, the time limit of go test, or because no cell of the plan
// has a rate. A spent budget is no failure while there is a rate, since the user has set it;
// the time limit is one, since it is ten minutes by default.
func (s Summary) Usable() error {
	switch cut := errors.Is(s.Stop, ErrDeadline); {
	case cut && s.Rated > 0 && s.Search:
		return fmt.Errorf("the search was cut: %w", s.Stop)
	case cut && s.Rated > 0:
		return fmt.Errorf("the sweep was cut, and %d of %d cells lack samples: %w", s.Missing, s.Planned, s.Stop)
	case s.Stop != nil && !cut && !errors.Is(s.Stop, ErrBudget):
		return s.Stop
	}
	if s.Rated == 0 && s.Planned > 0 { // a shard may have no cell
		if s.Stop != nil {
			return fmt.Errorf("nothing was measured: %w", s.Stop)
		}
		return errors.New("nothing could be measured: no cell of the plan has a rate")
	}
	return nil
}

// Print writes the summary in one or two lines.
func (s Summary) Print(w io.Writer) error {
	repeats := ""
	if s.Repeats > 0 {
		repeats = fmt.Sprintf(", with %s,", english.Plural(s.Repeats, "more sample", ""))
	}
	line := fmt.Sprintf("This run: %d cells measured and %d failed%s in %v; %d of %d have a rate, ",
		s.Measured, s.Failed, repeats, round(s.Elapsed), s.Rated, s.Planned)
	if s.Pruned > 0 {
		line += fmt.Sprintf("%d are pruned, ", s.Pruned)
	}
	if s.Search && s.Missing == 0 {
		line += fmt.Sprintf("the search did not need %d", s.PassedOver)
	} else {
		line += fmt.Sprintf("%d are missing", s.Missing)
	}
	lines := []string{line}
	if s.Stop != nil {
		lines = append(lines, fmt.Sprintf("stopped: %v", s.Stop))
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func (r *run) summary() Summary {
	sum := Summary{
		Planned:  len(r.Plan),
		Measured: len(r.tally.spent) - r.tally.failed - r.tally.repeats,
		Failed:   r.tally.failed - r.suspects.dropped,
		Repeats:  r.tally.repeats,
		Elapsed:  r.since(r.start),
		Stop:     r.stop,
	}
	sum.Search = r.Store.Checkpoint().Sweep.Search != nil
	for _, c := range r.Plan {
		result, known := r.Store.Result(c)
		_, pruned := r.pruned[c]
		switch {
		case pruned:
			sum.Pruned++
		case !known:
			sum.PassedOver++
			sum.Missing++
		case result.Measured().Open(r.Repeat) || result.Failed() && r.RetryFailed && !r.tally.failedCells[c]:
			sum.Missing++
		}
		if known && !result.Failed() {
			sum.Rated++
		}
	}
	if sum.Search && r.outlook.done {
		sum.Missing = 0
	}
	return sum
}
