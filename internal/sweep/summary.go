package sweep

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
)

// Summary is how a run ended.
type Summary struct {
	Planned  int // cells
	Measured int // cells measured in this run
	Failed   int // cells that failed in this run
	Repeats  int // samples that this run took by itself, since the advice could not tell
	Stood    int // cells of the plan that stood in the checkpoint with a rate, now or before
	Missing  int // cells of the plan that still lack samples
	Pruned   int // cells of the plan that were passed over for want of memory
	// Search says that a search decided which cells to measure, and PassedOver how
	// many it did not; they are missing only as long as it has not come to its end.
	Search     bool
	PassedOver int

	Elapsed time.Duration

	// Stop says why the run ended before the plan's end; nil when it did not.
	Stop error
}

// Usable reports why the run is a failure as a whole, nil when it is not: an
// interrupt, a server or a checkpoint that can't be used, a sweep that the time limit
// of go test cut, or a plan none of whose cells has a rate. A budget is no failure while
// there is a rate: its end was asked for, and that of a time limit, which is ten minutes
// where none is named, mostly was not.
func (s Summary) Usable() error {
	switch cut := errors.Is(s.Stop, ErrDeadline); {
	case cut && s.Stood > 0 && s.Search:
		return fmt.Errorf("the search was cut: %w", s.Stop)
	case cut && s.Stood > 0:
		return fmt.Errorf("the sweep was cut, and %d of %d cells lack samples: %w", s.Missing, s.Planned, s.Stop)
	case s.Stop != nil && !cut && !errors.Is(s.Stop, ErrBudget):
		return s.Stop
	}
	if s.Stood == 0 && s.Planned > 0 { // of many shards some may have no cell
		if s.Stop != nil {
			return fmt.Errorf("nothing was measured: %w", s.Stop)
		}
		return errors.New("nothing could be measured: no cell of the plan has a rate")
	}
	return nil
}

// Print says in a line or two how the run ended.
func (s Summary) Print(w io.Writer) error {
	repeats := ""
	if s.Repeats > 0 {
		repeats = fmt.Sprintf(" and %s more taken", english.Plural(s.Repeats, "sample", ""))
	}
	line := fmt.Sprintf("This run: %d cells measured and %d failed%s in %v; %d of %d have a rate, ",
		s.Measured, s.Failed, repeats, round(s.Elapsed), s.Stood, s.Planned)
	if s.Pruned > 0 {
		line += fmt.Sprintf("%d are pruned, ", s.Pruned)
	}
	if s.Search && s.Missing == 0 {
		line += fmt.Sprintf("the search did without %d", s.PassedOver)
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
		Measured: len(r.spent) - r.failed - r.repeats,
		Failed:   r.failed - r.suspects.dropped,
		Repeats:  r.repeats,
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
		case result.Known().Open(r.Repeat) || result.Failed() && r.RetryFailed && !r.failedNow[c]:
			sum.Missing++
		}
		if known && !result.Failed() {
			sum.Stood++
		}
	}
	if sum.Search && r.done {
		sum.Missing = 0
	}
	return sum
}
