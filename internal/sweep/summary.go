package sweep

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Summary is how a run ended.
type Summary struct {
	Planned  int // cells
	Measured int // cells measured in this run
	Failed   int // cells that failed in this run
	Stood    int // cells of the plan that stood in the checkpoint with a rate, now or before
	Missing  int // cells of the plan that still lack samples

	Elapsed time.Duration

	// Stop says why the run ended before the plan's end; nil when it did not.
	Stop error
}

// Usable reports why the run is a failure as a whole, nil when it is not: an
// interrupt, a server or a checkpoint that can't be used, or a plan none of
// whose cells has a rate. A time limit is not a failure while there is a rate.
func (s Summary) Usable() error {
	if s.Stop != nil && !errors.Is(s.Stop, ErrDeadline) && !errors.Is(s.Stop, ErrBudget) {
		return s.Stop
	}
	if s.Stood == 0 {
		if s.Stop != nil {
			return fmt.Errorf("nothing was measured: %w", s.Stop)
		}
		return errors.New("nothing could be measured: no cell of the plan has a rate")
	}
	return nil
}

// Print says in a line or two how the run ended.
func (s Summary) Print(w io.Writer) error {
	lines := []string{fmt.Sprintf("%d cells planned: %d measured and %d failed in this run, which took %v; %d have a rate, %d are missing",
		s.Planned, s.Measured, s.Failed, round(s.Elapsed), s.Stood, s.Missing)}
	if s.Stop != nil {
		lines = append(lines, fmt.Sprintf("stopped: %v", s.Stop))
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func (r *run) summary() Summary {
	sum := Summary{
		Planned:  len(r.Plan),
		Measured: len(r.spent) - r.failed,
		Failed:   r.failed,
		Elapsed:  r.since(r.start),
		Stop:     r.stop,
	}
	for _, c := range r.Plan {
		if !r.stands(step{Cell: c, want: r.Repeat}) {
			sum.Missing++
		}
		if result, ok := r.Store.Result(c); ok && !result.Failed() {
			sum.Stood++
		}
	}
	return sum
}
