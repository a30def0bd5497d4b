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
	// suspectsFrom is after how many failed cells in a row a cell that worked is measured again. Each
	// time that it works, it is twice as many, up to mostSuspects: where a part of the grid does not
	// fit into memory, all of its cells fail, and the next run measures what is not yet saved again.
	suspectsFrom = 3
	mostSuspects = 12
	// defaultCtx is a num_ctx at which any model works that works at all.
	defaultCtx = 2048
)

// suspects are the newest failures, after which nothing has worked so far. They may be the server's
// and not the cells': a driver that is gone, a proxy that ends each request, another program that
// took the memory. Until something works they are in memory alone, so that a run that ends before
// leaves their cells unmeasured.
type suspects struct {
	all     []suspect
	most    int  // from so many on a cell that worked is measured again; 0 for suspectsFrom
	worked  bool // something did in this run
	dropped int  // of the plan's that were not kept
}

// suspect is a failure that is not saved yet.
type suspect struct {
	checkpoint.Result
	keep func() error // saves it
}

// mayBeServers reports whether a failure says nothing of the server: of the other classes the server
// has to work to find them.
func mayBeServers(r *checkpoint.Result) bool {
	return r.Failed() && *r.Error != measurement.PromptTruncated && *r.Error != measurement.ContextClamped
}

// suspected returns the newest failure of a cell that is not saved yet.
func (r *run) suspected(c cell.Key) (checkpoint.Result, bool) {
	for _, s := range slices.Backward(r.suspects.all) {
		if s.Cell() == c {
			return s.Result, true
		}
	}
	return checkpoint.Result{}, false
}

// suspect holds a failure back.
func (r *run) suspect(result checkpoint.Result, keep func() error) {
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

// works notes that the server works.
func (r *run) works() error {
	r.suspects.worked, r.suspects.most = true, suspectsFrom
	return r.keepSuspects()
}

// doubt looks at the server where enough cells have failed in a row.
func (r *run) doubt(ctx context.Context) error {
	if len(r.suspects.all) < max(r.suspects.most, suspectsFrom) || r.timeUp(ctx) != nil {
		return nil // whether there is time for the next cell is found out before it
	}
	return r.prove(ctx)
}

// doubtRetake looks at the server where a cell that worked failed when it was measured again, of which
// nothing is saved. A budget that is spent by then is no reason to stop.
func (r *run) doubtRetake(ctx context.Context, result checkpoint.Result) error {
	if ctx.Err() == nil && r.timeUp(ctx) != nil {
		return nil
	}
	r.suspect(result, func() error { return nil })
	return r.prove(ctx)
}

// prove measures a cell again that worked or, where none has, makes a load with the server's own
// settings. Where that works, the failures are the cells' own, and else they are not kept, and the
// error says so.
func (r *run) prove(ctx context.Context) error {
	if err := r.timeUp(ctx); err != nil {
		return err
	}
	failed := r.suspects.all[0].Cell().String()
	if n := len(r.suspects.all); n > 1 {
		failed = fmt.Sprintf("%d cells in a row", n)
	}
	name, t := r.proof()
	fmt.Fprintf(r.Log, "# %s failed: a load of %s, to find out whether the server still works\n", failed, name)
	if err := r.measure(ctx, t); err != nil {
		return err
	}
	if mayBeServers(t.result) {
		r.dropSuspects()
		return fmt.Errorf("%s failed, and then %s: the server does not work, and what failed counts as not measured; look into its log, and once it works the same command measures the rest; it says: %s", failed, name, failureText(*t.result))
	}
	fmt.Fprintln(r.Log, "# the server works: the failures are the cells' own")
	r.suspects.worked = true
	r.suspects.most = min(2*max(r.suspects.most, suspectsFrom), mostSuspects)
	return r.keepSuspects()
}

// proof returns what shows whether the server works, by name, and the task of measuring it, which
// keeps nothing.
func (r *run) proof() (name string, t *task) {
	result, ok := r.newestRate()
	t = &task{result: &checkpoint.Result{NumCtx: result.NumCtx, NumBatch: result.NumBatch, Warnings: slices.Clone(result.Warnings)}, want: 1, save: func(checkpoint.Result) error { return nil }}
	if ok {
		return fmt.Sprintf("%v, which worked before", result.Cell()), t
	}
	t.want, t.result.NumCtx = 0, min(defaultCtx, smallest(r.cells()))
	return besideName(t.result.Cell(), 0), t
}

// newestRate returns the result of the cell that was the last to get a rate, of those that are
// swept and are none of the suspects: it is the next to them in size, mostly, so that it fails too
// where another program has taken the memory.
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

// endSuspects decides about the failures that nothing came after, where the strategy wants no more
// cells or the budget is spent. A few are kept if this run has seen the server work.
func (r *run) endSuspects(ctx context.Context) {
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
		err = r.prove(ctx)
	}
	if err != nil {
		r.stop, r.done = err, false
	}
}

// dropSuspects has the cells count as not measured whose failures were held back and not kept.
func (r *run) dropSuspects() {
	for _, s := range r.suspects.all {
		c := s.Cell()
		if r.failedNow[c] {
			r.suspects.dropped++
		}
		delete(r.failedNow, c)
		delete(r.state.Known, c)
		if result, ok := r.Store.Result(c); ok {
			r.state.Known[c] = result.Known()
		}
	}
	r.suspects.all = nil
	r.prune()
}

// endUnproven says which failures a run that ends does not keep.
func (r *run) endUnproven() {
	if n := len(r.suspects.all); n > 0 {
		fmt.Fprintf(r.Log, "# %s failed last, and nothing worked after that: they count as not measured, and the next run measures them\n", english.Plural(n, "cell", ""))
		r.dropSuspects()
	}
}
