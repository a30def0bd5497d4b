package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/check"
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
	// A numBatch of 0 is the server's own choice.
	Load(ctx context.Context, numCtx, numBatch int, warmup string) (parse.Loaded, error)
	// Sample has the loaded model read one prompt.
	Sample(ctx context.Context, prompt string) (parse.Sample, error)
	// Unload frees the model's memory.
	Unload(ctx context.Context) error
	// Settle unloads the model and returns when its memory is given back, or
	// after a time in which it should have been.
	Settle(ctx context.Context) error
}

// Sweep measures the cells of a plan that its store does not hold yet.
type Sweep struct {
	Plan     []Cell
	Runner   Runner
	Store    *Store
	Prompter *Prompter

	// Known is the evidence that is the same for every cell: what is known of the
	// server, the model and what is asked for.
	Known check.Evidence

	Repeat      int           // samples per cell
	Rounds      bool          // one sample of every cell, then the next of every cell
	CellTimeout time.Duration // for a load and all samples of a cell
	RetryFailed bool          // measure cells again that failed before

	ReferenceEvery int  // cells between two measurements of the reference cell; 0 for none
	Leaders        int  // leading cells that are measured again in the end
	Baseline       bool // measure the server's own num_batch in the end

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
// the sweep must stop; in rounds, for every cell of each round, whose number is
// part of the name. each decides whether to call measure, which measures the
// cell or says why not; it may do so once. What is measured beside the plan
// follows by itself.
func (s *Sweep) Run(ctx context.Context, each func(name string, measure func() Outcome)) Summary {
	run := newRun(s)
	run.begin()
	run.stop = run.prepare(ctx)
	if !s.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, s.Deadline, ErrDeadline)
		defer cancel()
	}
	for _, step := range run.steps() {
		if run.stop != nil {
			break
		}
		if run.stop = run.mustStop(ctx, !run.stands(step)); run.stop != nil {
			break
		}
		each(step.name, func() Outcome { return run.cell(ctx, step) })
	}
	if run.stop == nil && !s.Filtered {
		run.stop = run.beside(ctx)
	}
	return run.summary()
}

// step is a cell that is to have so many samples.
type step struct {
	Cell
	number int // in the plan, from 1
	want   int // samples
	name   string
}

// steps returns the plan cell by cell, or once for each round.
func (s *Sweep) steps() []step {
	var steps []step
	if !s.Rounds {
		for i, c := range s.Plan {
			steps = append(steps, step{c, i + 1, s.Repeat, c.String()})
		}
		return steps
	}
	for round := 1; round <= s.Repeat; round++ {
		for i, c := range s.Plan {
			steps = append(steps, step{c, i + 1, round, fmt.Sprintf("%v/round=%d", c, round)})
		}
	}
	return steps
}

// run is the state of one Run.
type run struct {
	*Sweep
	start     time.Time
	todo      int             // steps still to measure
	spent     []time.Duration // on each step gone through in this run, without the time that a server was away or the machine slept
	failed    int             // of these
	failedNow map[Cell]bool   // cells
	warned    bool            // of the deadline
	said      bool            // which cells are copies
	gpu       bool            // the server has put a model into GPU memory
	tokens    map[int]int     // learned count of the prompt's tokens, by num_ctx where it depends on that, else under 0
	loaded    Cell            // whose load is in force
	probes    []check.Known   // the prompts of the sizing
	stop      error
}

func newRun(s *Sweep) *run {
	r := &run{Sweep: s, start: s.Now(), failedNow: make(map[Cell]bool), tokens: make(map[int]int), gpu: s.Known.GPU}
	for _, result := range s.Store.Checkpoint().Results {
		r.gpu = r.gpu || result.SizeVRAM > 0
		if len(result.Samples) > 0 {
			r.tokens[r.promptKey(result.NumCtx)] = result.Samples[0].PromptEvalCount
		}
	}
	if sizing := s.Store.Checkpoint().Sweep.Sizing; sizing != (Sizing{}) {
		s.Prompter.Resize(sizing)
	}
	return r
}

// prepare refuses what is known to be wrong without a load, and clears the
// memory for the first.
func (r *run) prepare(ctx context.Context) error {
	if r.todo == 0 {
		return nil
	}
	if r.Prompter.Sized() {
		if err := r.Prompter.fits(r.Plan); err != nil {
			return err
		}
		r.sayCopies()
	}
	return r.unloadFirst(ctx)
}

// unloadFirst has the first cell load the model for real, also where somebody
// else, or this sweep before it was killed, left it in memory with the same
// settings.
func (r *run) unloadFirst(ctx context.Context) error {
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
func (r *run) stands(s step) bool {
	result, known := r.Store.Result(s.Cell)
	if !known || result.Failed() {
		return known && (!r.RetryFailed || r.failedNow[s.Cell])
	}
	return len(result.Samples) == 0 || len(result.Samples) >= s.want
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

// mustStop says why nothing further can be begun. What needs no measuring takes
// no time, so it is let through.
func (r *run) mustStop(ctx context.Context, takesTime bool) error {
	if ctx.Err() != nil {
		return stopCause(ctx)
	}
	if !takesTime {
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

// cell takes a step of the plan unless that is done already.
func (r *run) cell(ctx context.Context, s step) Outcome {
	if r.stands(s) {
		result, _ := r.Store.Result(s.Cell)
		return Outcome{Skip: standsText(result)}
	}
	begun := r.Now()
	result, _ := r.Store.Result(s.Cell)
	if result.Failed() {
		result = Result{}
	}
	result.NumCtx, result.NumBatch = s.Ctx, s.Batch
	err := r.measure(ctx, &task{result: &result, want: s.want, save: r.Store.Put, onSample: r.OnSample})
	if err != nil {
		r.stop = err
		return Outcome{Err: err}
	}
	r.spent = append(r.spent, min(r.since(begun), r.CellTimeout))
	r.todo--
	r.progress(s, result)
	if result.Failed() {
		r.failed++
		r.failedNow[s.Cell] = true
		return Outcome{Skip: failureText(result)}
	}
	if r.stop = r.reference(ctx); r.stop != nil {
		return Outcome{Err: r.stop}
	}
	return Outcome{}
}
