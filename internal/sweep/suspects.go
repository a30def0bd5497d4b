package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const (
	// suspectsFrom is the number of failed cells in a row after which the server is tested. Each time
	// that it works, the number doubles, up to mostSuspects: where a part of the grid does not fit into
	// memory, all of its cells fail, and the next run repeats those that are not saved yet.
	suspectsFrom = 3
	mostSuspects = 12
	// defaultCtx is a num_ctx at which every working model works.
	defaultCtx = 2048
)

// suspects are the newest failures, after which nothing has worked yet. They may be the server's
// fault and not the cells': a driver is gone, a proxy ends each request, another program has taken
// the memory. They are not saved until something works, so that a run that ends before leaves their
// cells unmeasured.
type suspects struct {
	all     []suspect
	most    int  // the server is tested from so many on; 0 for suspectsFrom
	worked  bool // the server has worked in this run
	dropped int  // failed cells of the plan that were not saved
}

// suspect is a failure that is not saved yet.
type suspect struct {
	checkpoint.Result
	keep func() error // saves it
}

// mayBeServersFault reports whether a failure may be the server's fault. Failures of the other classes
// prove that the server works.
func mayBeServersFault(r *checkpoint.Result) bool {
	return r.Failed() && *r.Error != measurement.PromptTruncated && *r.Error != measurement.ContextClamped
}

// suspected returns a cell's newest failure that is not saved yet.
func (r *run) suspected(c cell.Key) (checkpoint.Result, bool) {
	for _, s := range slices.Backward(r.suspects.all) {
		if s.Cell() == c {
			return s.Result, true
		}
	}
	return checkpoint.Result{}, false
}

// holdBack adds a failure that is not to be saved yet.
func (r *run) holdBack(result checkpoint.Result, keep func() error) {
	r.suspects.all = append(r.suspects.all, suspect{result, keep})
}

// keepSuspects saves the failures that were held back, because something works after them.
func (r *run) keepSuspects() error {
	for len(r.suspects.all) > 0 {
		if err := r.suspects.all[0].keep(); err != nil {
			return err
		}
		r.suspects.all = r.suspects.all[1:]
	}
	return nil
}

// noteServerWorks saves the failures that were held back, because the server works.
func (r *run) noteServerWorks() error {
	r.suspects.worked, r.suspects.most = true, suspectsFrom
	return r.keepSuspects()
}

// checkServer tests the server where enough cells have failed in a row.
func (r *run) checkServer(ctx context.Context) error {
	if len(r.suspects.all) < max(r.suspects.most, suspectsFrom) || r.timeUp(ctx) != nil {
		return nil // time is checked again before the next cell
	}
	return r.testServer(ctx)
}

// checkServerAfterRetake tests the server where a disturbed cell failed when it was measured again.
// This failure is not saved. A budget that is spent by then does not stop the sweep.
func (r *run) checkServerAfterRetake(ctx context.Context, result checkpoint.Result) error {
	if ctx.Err() == nil && r.timeUp(ctx) != nil {
		return nil
	}
	r.holdBack(result, func() error { return nil })
	return r.testServer(ctx)
}

// testServer measures a cell again that worked before or, where there is none, makes a load with the
// server's own num_batch. Where that works, the failures belong to their cells and are saved. Where it
// fails, they are dropped, and the error ends the sweep.
func (r *run) testServer(ctx context.Context) error {
	if err := r.timeUp(ctx); err != nil {
		return err
	}
	failed := r.suspects.all[0].Cell().String()
	if n := len(r.suspects.all); n > 1 {
		failed = fmt.Sprintf("%d cells in a row", n)
	}
	name, t := r.testTask()
	fmt.Fprintf(r.Log, "%s failed: loading %s, to check whether the server still works\n", failed, name)
	if err := r.measure(ctx, t); err != nil {
		return err
	}
	if mayBeServersFault(t.result) {
		r.dropSuspects()
		return fmt.Errorf("%s failed, and then %s: the server does not work, so the failed cells count as not measured; check its log, and once it works run the same command again; its error: %s", failed, name, failureText(*t.result))
	}
	fmt.Fprintln(r.Log, "the server works: the failures belong to their cells")
	r.suspects.worked = true
	r.suspects.most = min(2*max(r.suspects.most, suspectsFrom), mostSuspects)
	return r.keepSuspects()
}

// testTask returns the task that shows whether the server works, and its name. Its result is not saved.
func (r *run) testTask() (name string, t *task) {
	result, ok := r.newestRate()
	t = &task{result: &checkpoint.Result{NumCtx: result.NumCtx, NumBatch: result.NumBatch, Key: result.Key, Warnings: slices.Clone(result.Warnings)}, want: 1, save: func(checkpoint.Result) error { return nil }}
	if ok {
		return fmt.Sprintf("%v, which worked before", result.Cell()), t
	}
	t.want = 0
	t.result.SetCell(cell.Key{Ctx: min(defaultCtx, smallest(r.cells())), Settings: r.unsuspectedSettings()})
	return auxiliaryName(t.result.Cell(), 0), t
}

// unsuspectedSettings returns settings besides num_ctx and num_batch that none of the suspects has, if
// possible on another process of the server: it may not start with one value of a setting. It returns those
// of the first cell where the suspects have all.
func (r *run) unsuspectedSettings() cell.Settings {
	all := cell.AllSettings(r.cells())
	for _, part := range []func(cell.Settings) cell.Settings{cell.Settings.Server, func(s cell.Settings) cell.Settings { return s }} {
		suspected := make(map[cell.Settings]bool)
		for _, s := range r.suspects.all {
			suspected[part(s.Cell().Settings)] = true
		}
		if i := slices.IndexFunc(all, func(s cell.Settings) bool { return !suspected[part(s)] }); i >= 0 {
			return all[i]
		}
	}
	return all[0]
}

// newestRate returns the result of the cell of this sweep that was the last to get a rate, without the
// suspects. Mostly it is the next to them in size, so that it fails too where another program has
// taken the memory.
func (r *run) newestRate() (newest checkpoint.Result, ok bool) {
	swept := make(map[cell.Key]bool)
	for _, c := range r.cells() {
		_, suspected := r.suspected(c)
		swept[c] = !suspected
	}
	for _, result := range r.Store.Checkpoint().Results {
		if result.PromptEvalRate != nil && swept[result.Cell()] && !result.Timestamp.Before(newest.Timestamp) {
			newest, ok = result, true
		}
	}
	return newest, ok
}

// settleSuspects decides about the last failures where the strategy wants no more cells or the budget
// is spent. A few are saved without a test if the server has worked in this run.
func (r *run) settleSuspects(ctx context.Context) {
	n := len(r.suspects.all)
	for _, by := range r.pruned {
		if _, ok := r.suspected(by); ok {
			n++
		}
	}
	inOrder := r.stop == nil || errors.Is(r.stop, ErrBudget) || errors.Is(r.stop, ErrDeadline)
	var err error
	switch {
	case n == 0 || !inOrder:
		return
	case n < suspectsFrom && r.suspects.worked:
		err = r.keepSuspects()
	case r.timeUp(ctx) == nil:
		err = r.testServer(ctx)
	}
	if err != nil {
		r.stop, r.outlook.done = err, false
	}
}

// dropSuspects drops the failures that were held back: their cells count as not measured.
func (r *run) dropSuspects() {
	for _, s := range r.suspects.all {
		c := s.Cell()
		if r.tally.failedCells[c] {
			r.suspects.dropped++
		}
		delete(r.tally.failedCells, c)
		delete(r.state.Measured, c)
		if result, ok := r.Store.Result(c); ok {
			r.state.Measured[c] = result.Measured()
		}
	}
	r.suspects.all = nil
	r.prune()
}

// dropUnsettled drops the failures that are still held back when the run ends, and prints how many.
func (r *run) dropUnsettled() {
	if n := len(r.suspects.all); n > 0 {
		fmt.Fprintf(r.Log, "%s failed last, and nothing worked after that: they count as not measured, and the next run measures them\n", english.Plural(n, "cell", ""))
		r.dropSuspects()
	}
}
