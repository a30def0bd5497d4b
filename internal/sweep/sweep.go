package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// Runner measures on a server. An error that is a *parse.Failure of a cell's
// class belongs to the cell; one of another class is a server that can't be
// reached just now; any other ends the sweep.
type Runner interface {
	// Ready returns when the server answers, and an error once it has been away
	// for too long.
	Ready(ctx context.Context) error
	// Load brings the model into memory with a pair of settings and ends with
	// the warm-up prompt.
	Load(ctx context.Context, numCtx, numBatch int, warmup string) (parse.Loaded, error)
	// Sample has the loaded model read one prompt.
	Sample(ctx context.Context, prompt string) (parse.Sample, error)
	// Unload frees the model's memory.
	Unload(ctx context.Context) error
}

// Sweep measures the cells of a plan that its store does not hold yet.
type Sweep struct {
	Plan     []Cell
	Runner   Runner
	Store    *Store
	Prompter *Prompter

	Repeat      int           // samples per cell
	CellTimeout time.Duration // for a load and all samples of a cell
	RetryFailed bool          // measure cells again that failed before

	// Deadline is when the process will be killed, and BudgetEnd when no cell
	// shall be begun any more. Zero means never.
	Deadline, BudgetEnd time.Time

	// Filtered says that the caller may pass cells over, so that how many are
	// still to come is not known.
	Filtered bool

	// OnSample is told of each sample once it is saved. Log takes progress lines,
	// each beginning with "# " so that no reader of benchmarks minds them.
	OnSample func(*Result, parse.Sample) error
	Log      io.Writer
	Now      func() time.Time // time.Now, but for tests
}

// Outcome is what became of one cell.
type Outcome struct {
	// Skip says why the cell has no new measurement: one stands already, or the
	// cell failed, or the sweep is ending. Empty for a cell measured now.
	Skip string
	// Err ends the sweep.
	Err error
}

// Stops in good order: what was measured is saved, and the same command goes
// on. A server that stays away or a checkpoint that can't be saved is another
// error.
var (
	ErrInterrupted = errors.New("interrupted")
	ErrDeadline    = errors.New("the time that go test allows is too short for another cell; -timeout 0 lifts it")
	ErrBudget      = errors.New("the budget is spent")
)

// crashLimit is how often a server may go away under one cell before the cell
// is held to be the cause.
const crashLimit = 3

// unloadTimeout bounds the clearing up after a cell that hung.
const unloadTimeout = 30 * time.Second

// Run calls each for every cell of the plan, in order, until all are done or
// the sweep must stop. each decides whether to call measure, which measures the
// cell or says why not; it may do so once.
func (s *Sweep) Run(ctx context.Context, each func(c Cell, measure func() Outcome)) Summary {
	run := &run{Sweep: s, start: s.Now()}
	run.begin()
	run.stop = run.unloadFirst(ctx)
	if !s.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, s.Deadline, ErrDeadline)
		defer cancel()
	}
	for i, c := range s.Plan {
		if run.stop != nil {
			break
		}
		if run.stop = run.mustStop(ctx, c); run.stop != nil {
			break
		}
		each(c, func() Outcome { return run.cell(ctx, i, c) })
	}
	return run.summary()
}

// run is the state of one Run.
type run struct {
	*Sweep
	start  time.Time
	todo   int             // cells still to measure
	spent  []time.Duration // on each cell gone through in this run
	failed int             // of these
	warned bool
	stop   error
}

// unloadFirst has the first cell load the model for real, also where somebody
// else, or this sweep before it was killed, left it in memory with the same
// settings.
func (r *run) unloadFirst(ctx context.Context) error {
	if r.todo == 0 {
		return nil
	}
	err := r.Runner.Unload(ctx)
	var failure *parse.Failure
	switch {
	case ctx.Err() != nil:
		return stopCause(ctx)
	case errors.As(err, &failure) && !failure.Class.OfCell():
		return nil // the first cell waits for the server, which then has nothing loaded
	}
	return err
}

// stands reports whether the checkpoint has all that is wanted of the cell: as
// many samples as asked for, or an older tool's one rate, or a failure.
func (s *Sweep) stands(c Cell) bool {
	r, known := s.Store.Result(c)
	if !known || r.Failed() {
		return known && !s.RetryFailed
	}
	return len(r.Samples) == 0 || len(r.Samples) >= s.Repeat
}

func standsText(r Result) string {
	if r.Failed() {
		return fmt.Sprintf("failed on %s: %s (-retry-failed measures it again)", r.Timestamp.Format(time.DateOnly), failureText(r))
	}
	return fmt.Sprintf("stands in the checkpoint: %.2f tokens/s, measured on %s", *r.PromptEvalRate, r.Timestamp.Format(time.DateOnly))
}

// failureText puts class and server's words on one line.
func failureText(r Result) string {
	f := parse.Failure{Class: *r.Error, Detail: r.Detail}
	return strings.Join(strings.Fields(f.Error()), " ")
}

// mustStop says why no further cell can be begun. Cells that need no measuring
// don't take time, so they are let through.
func (r *run) mustStop(ctx context.Context, next Cell) error {
	if ctx.Err() != nil {
		return stopCause(ctx)
	}
	if r.stands(next) {
		return nil
	}
	now := r.Now()
	if !r.BudgetEnd.IsZero() && now.After(r.BudgetEnd) {
		return ErrBudget
	}
	if !r.Deadline.IsZero() && now.Add(mean(r.spent)).After(r.Deadline) {
		return ErrDeadline
	}
	return nil
}

// stopCause turns the end of a context into the reason that its owner gave.
func stopCause(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		return ErrInterrupted
	}
	return cause
}

// cell measures one cell of the plan unless that is done already.
func (r *run) cell(ctx context.Context, i int, c Cell) Outcome {
	if r.stands(c) {
		result, _ := r.Store.Result(c)
		return Outcome{Skip: standsText(result)}
	}
	begun := r.Now()
	result, err := r.measure(ctx, c)
	if err != nil {
		r.stop = err
		return Outcome{Err: err}
	}
	r.spent = append(r.spent, r.Now().Sub(begun))
	r.todo--
	r.progress(i, result)
	if result.Failed() {
		r.failed++
		return Outcome{Skip: failureText(result)}
	}
	return Outcome{}
}

// measure takes the samples that the cell still lacks. The error is one that
// ends the sweep; a cell's own failure stands in the result.
func (r *run) measure(ctx context.Context, c Cell) (Result, error) {
	result, _ := r.Store.Result(c)
	if result.Failed() {
		result = Result{}
	}
	result.NumCtx, result.NumBatch = c.Ctx, c.Batch
	for crashes := 0; ; {
		err := r.attempt(ctx, &result)
		if err == nil {
			return result, nil
		}
		var failure *parse.Failure
		switch {
		case ctx.Err() != nil:
			return result, stopCause(ctx)
		case !errors.As(err, &failure):
			return result, err
		case failure.Class.OfCell():
			return result, r.fail(&result, *failure)
		}
		if crashes++; crashes == crashLimit {
			return result, r.fail(&result, parse.Failure{
				Class:  parse.RunnerCrashed,
				Detail: fmt.Sprintf("the server went away %d times under this cell: %s", crashes, failure.Detail),
			})
		}
		fmt.Fprintf(r.Log, "# %v: %s: waiting for it, then measuring the cell again\n", c, failure)
		if err := r.Runner.Ready(ctx); err != nil {
			if ctx.Err() != nil {
				err = stopCause(ctx)
			}
			return result, err
		}
	}
}

// attempt loads the cell and samples it until it has enough, within the cell's
// time.
func (r *run) attempt(ctx context.Context, result *Result) error {
	cellCtx, cancel := context.WithTimeout(ctx, r.CellTimeout)
	defer cancel()
	err := r.sample(cellCtx, result)
	if err == nil || cellCtx.Err() == nil || ctx.Err() != nil {
		return err
	}
	// The time is up, whatever the runner made of it. The request is given up,
	// but a server may go on loading, which would stand in the next cell's way.
	unloadCtx, cancel := context.WithTimeout(ctx, unloadTimeout)
	defer cancel()
	detail := fmt.Sprintf("not done within %v (cell_timeout)", r.CellTimeout)
	if err := r.Runner.Unload(unloadCtx); err != nil {
		detail += fmt.Sprintf("; then unloading failed: %v", err)
	}
	return &parse.Failure{Class: parse.Timeout, Detail: detail}
}

func (r *run) sample(ctx context.Context, result *Result) error {
	loaded, err := r.Runner.Load(ctx, result.NumCtx, result.NumBatch, r.Prompter.Warmup())
	if err != nil {
		return err
	}
	if !r.Prompter.Sized() {
		probe, err := r.Runner.Sample(ctx, r.Prompter.Probe())
		if err != nil {
			return err
		}
		if err := r.Prompter.Size(loaded.Warmup.PromptEvalCount, probe.PromptEvalCount); err != nil {
			return err
		}
	}
	result.Warmup = &loaded.Warmup
	result.ContextLength, result.Size, result.SizeVRAM = loaded.ContextLength, loaded.Size, loaded.SizeVRAM
	for len(result.Samples) < r.Repeat {
		prompt, err := r.Prompter.Next(result.NumCtx)
		if err != nil {
			return err
		}
		sample, err := r.Runner.Sample(ctx, prompt)
		if err != nil {
			return err
		}
		if err := r.keep(result, sample); err != nil {
			return err
		}
	}
	return nil
}

// keep saves a sample, and only then tells of it.
func (r *run) keep(result *Result, sample parse.Sample) error {
	if _, ok := sample.PromptEvalRate(); !ok {
		return &parse.Failure{Class: parse.NoFigures, Detail: "the server's answer has no prompt eval count and duration"}
	}
	result.Samples = append(result.Samples, sample)
	result.setRate()
	result.Timestamp = r.Now()
	if err := r.Store.Put(*result); err != nil {
		return err
	}
	if r.OnSample == nil {
		return nil
	}
	return r.OnSample(result, sample)
}

// fail saves the cell as failed. Samples that it had are kept, but no rate: a
// cell that fails after its third prompt is not one to recommend.
func (r *run) fail(result *Result, f parse.Failure) error {
	result.Error, result.Detail = &f.Class, f.Detail
	result.setRate()
	result.Timestamp = r.Now()
	return r.Store.Put(*result)
}
