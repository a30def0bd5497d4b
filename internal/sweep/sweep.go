package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Runner measures on a server. An error that is a *measurement.Failure of a cell's
// class belongs to the cell; one of another class is a server that can't be
// reached just now; any other ends the sweep.
type Runner interface {
	// Ready returns when the server answers, and an error once it has been away
	// for too long.
	Ready(ctx context.Context) error
	// Load brings the model into memory with a pair of settings and ends with
	// the warm-up prompt.
	// A numBatch of 0 is the server's own choice.
	Load(ctx context.Context, numCtx, numBatch int, warmup func() string) (measurement.Loaded, error)
	// Sample has the loaded model read one prompt, and further ones where the answer lacks its
	// figures: each call of prompt returns one of the same length that begins unlike all others.
	Sample(ctx context.Context, prompt func() string) (measurement.Sample, error)
	// Unload frees the model's memory.
	Unload(ctx context.Context) error
	// Settle unloads the model and returns when its memory is given back, or
	// after a time in which it should have been.
	Settle(ctx context.Context) error
}

// Sweep measures the cells of a plan that its store does not hold yet.
type Sweep struct {
	Plan     []cell.Key
	Runner   Runner
	Store    *checkpoint.Store
	Prompter *Prompter

	// Identify returns the checkpoint's header as it is now, by what is measured and by what. Nil says
	// that nothing of it can change.
	Identify func(ctx context.Context, when Moment) (checkpoint.Header, error)

	// Known is the evidence that is the same for every cell: what is known of the
	// server, the model and what is asked for.
	Known check.Evidence

	Strategy    Strategy      // which cells, in which order; nil for Exhaustive
	Prune       bool          // pass over what needs more memory than a cell that ran out of it
	Repeat      int           // samples per cell
	Rounds      bool          // one sample of every cell, then the next of every cell
	CellTimeout time.Duration // for a load and all samples of a cell
	RetryFailed bool          // measure cells again that failed before
	Redo        bool          // measure cells again that the caller lets through, whatever is known of them

	ReferenceEvery int // cells between two measurements of the reference cell; 0 for none
	Leaders        int // leading cells that are measured again in the end
	// RepeatUntilClear says that an exhaustive sweep takes more samples where its advice can't
	// tell, within RepeatTime.
	RepeatUntilClear bool
	Baseline         config.Baseline // whether to measure the server's own num_batch in the end
	Retake           bool            // measure disturbed cells again
	// HostCells are measured before and after the plan, under the name of the Host,
	// where several hosts share a sweep.
	HostCells []cell.Key
	Host      string

	// Deadline is when the process will be killed, and BudgetEnd when no cell
	// shall be begun any more. Zero means never.
	Deadline, BudgetEnd time.Time
	BudgetCells         int // of the plan to load in this run; 0 for any number

	// Filtered says that the caller may pass cells over, so that how many are
	// still to come is not known.
	Filtered bool

	// OnSample is told of each sample once it is saved. Log takes lines for people,
	// each beginning with "# " so that no reader of benchmarks minds them, among
	// them one for each cell where there is no OnProgress.
	OnSample   func(*checkpoint.Result, measurement.Sample) error
	OnProgress func(Progress)
	Log        io.Writer
	Now        func() time.Time // time.Now, but for tests
	// Sleep waits for so long, or until the context ends, which is an error; nil for the clock's.
	Sleep func(context.Context, time.Duration) error
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
	ErrDeadline    = errors.New("the time that go test allows is too short for another cell; -timeout 0 lifts it, and the same command resumes the sweep")
	ErrBudget      = errors.New("the budget is spent")
)

// ErrNoCell is that of a filter which passes over every cell.
var ErrNoCell = errors.New("no cell has such a name")

// noCell says which names there are.
func noCell(plan []cell.Key) error {
	var ctxs, batches []int
	for _, c := range plan {
		ctxs, batches = append(ctxs, c.Ctx), append(batches, c.Batch)
	}
	return fmt.Errorf("%w: num_ctx is %s, and num_batch %s; the first cell is Sweep/%v", ErrNoCell, cell.Some(cell.Distinct(ctxs)), cell.Some(cell.Distinct(batches)), plan[0])
}

// crashLimit is how often a server may go away under one cell before the cell
// is held to be the cause.
const crashLimit = 3

// unloadTimeout bounds the clearing up after a cell that hung.
const unloadTimeout = 30 * time.Second

// Run calls back for every cell of the plan that stands in the checkpoint, and
// then for those that the strategy wants, until it wants no more or the sweep
// must stop. A cell's name tells further samples of it apart: in rounds by the
// round's number, in a search by how many it is to have. What is called decides
// whether to call measure, which measures the cell or says why not; it may do so
// once. What is measured beside the plan follows by itself.
func (s *Sweep) Run(ctx context.Context, call func(name string, measure func() Outcome)) Summary {
	run := newRun(s)
	choice := run.begin()
	run.sayAutomatic()
	if len(choice.Cells) > 0 {
		run.stop = run.prepare(ctx)
	}
	if len(choice.Cells) > 0 && run.stop == nil {
		run.stop = run.hostCells(ctx, 0)
	}
	if !s.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, s.Deadline, ErrDeadline)
		defer cancel()
	}
	matched := false
	each := func(name string, measure func() Outcome) {
		call(name, func() Outcome { matched = true; return measure() })
	}
	if !s.Redo {
		run.tellStanding(each)
	}
	choice = run.choices(ctx, choice, each)
	if run.retake(ctx, each) && run.stop == nil {
		choice = run.choices(ctx, run.next(), each) // of a search that knows better now
	}
	if s.Filtered && !matched && run.stop == nil && len(s.Plan) > 0 {
		run.stop = noCell(s.Plan)
	}
	if run.stop == nil && !s.Filtered {
		run.afterPlan(ctx, call)
	}
	run.endUnproven()
	if err := run.keepAnswer(run.answer(choice)); err != nil && run.stop == nil {
		run.stop = err
	}
	return run.summary()
}

// run is the state of one Run.
type run struct {
	*Sweep
	start     time.Time
	strategy  Strategy
	state     State
	named     map[string]bool       // the names that each was called with
	pruned    map[cell.Key]cell.Key // cells that are passed over, and the failed one each needs more memory than
	want      int                   // samples that each cell is to have now
	todo      int                   // loads of the plan still to come, where the strategy counts them
	counts    bool                  // the strategy counts them
	ahead     Range                 // the same of a search, as it said last
	done      bool                  // the strategy wants nothing more
	spent     []time.Duration       // on each load of the plan in this run, without the time that a server was away or the machine slept
	timings   timings               // of the same
	failed    int                   // of these
	repeats   int                   // of these, for more samples than Repeat
	failedNow map[cell.Key]bool     // cells
	retaken   map[cell.Key]bool     // cells that were measured again
	vain      int                   // of these the last in a row that were disturbed once more
	redone    map[cell.Key]bool     // cells that this redo has replaced or passed over
	copied    bool                  // the checkpoint was, before the first of these
	warned    bool                  // of the deadline
	said      bool                  // which cells are copies
	gpu       bool                  // the server has put a model into GPU memory
	tokens    map[int]int           // learned count of the prompt's tokens, by num_ctx where it depends on that, else under 0
	loaded    cell.Key              // whose load is in force
	loadedAs  measurement.Loaded    // what the server said of it
	attended  bool                  // how it attends was held against the first load, since the server started
	probes    []check.Known         // the prompts of the sizing
	suspects  suspects
	stop      error
}

func newRun(s *Sweep) *run {
	r := &run{
		Sweep: s, start: s.Now(), want: s.Repeat, named: make(map[string]bool), failedNow: make(map[cell.Key]bool), retaken: make(map[cell.Key]bool), redone: make(map[cell.Key]bool),
		tokens: make(map[int]int), gpu: s.Known.GPU,
	}
	cp := s.Store.Checkpoint()
	for _, result := range cp.Results {
		r.gpu = r.gpu || result.SizeVRAM > 0
		if len(result.Samples) > 0 {
			r.tokens[r.promptKey(result.NumCtx)] = result.Samples[0].PromptEvalCount
		}
	}
	if sizing := cp.Sweep.Sizing; sizing != (checkpoint.Sizing{}) {
		s.Prompter.Resize(sizing)
	}
	r.strategy = s.Strategy
	if r.strategy == nil {
		r.strategy = Exhaustive{Repeat: s.Repeat, Rounds: s.Rounds}
	}
	if s.Redo {
		r.strategy = redo{r}
	}
	r.state = State{Plan: s.Plan, Known: cp.Known()}
	if s.RetryFailed || s.Redo {
		for _, c := range s.Plan {
			if r.state.Known[c].Failed {
				delete(r.state.Known, c)
			}
		}
	}
	r.prune()
	return r
}

// cells returns those of the plan and those that tell hosts apart.
func (r *run) cells() []cell.Key { return append(slices.Clip(r.Plan), r.HostCells...) }

// prepare refuses what is known to be wrong without a load, and clears the
// memory for the first.
func (r *run) prepare(ctx context.Context) error {
	if r.Prompter.Sized() {
		if err := r.Prompter.fits(r.cells()); err != nil {
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
	var failure *measurement.Failure
	switch {
	case ctx.Err() != nil:
		return stopCause(ctx)
	case errors.As(err, &failure) && !failure.Class.OfCell():
		return nil // the first cell waits for the server, which then has nothing loaded
	}
	return err
}

func standsText(r checkpoint.Result) string {
	if r.Failed() {
		return fmt.Sprintf("failed on %s: %s (-retry-failed or -redo measures it again)", r.Timestamp.Format(time.DateOnly), failureText(r))
	}
	return fmt.Sprintf("stands in the checkpoint: %.2f tokens/s, measured on %s (-redo measures it again)", *r.PromptEvalRate, r.Timestamp.Format(time.DateOnly))
}

// failureText puts class and server's words on one line.
func failureText(r checkpoint.Result) string {
	f := measurement.Failure{Class: *r.Error, Detail: r.Detail}
	return strings.Join(strings.Fields(f.Error()), " ")
}

// mustStop says why the step can't be begun.
func (r *run) mustStop(ctx context.Context, s step) error {
	if r.BudgetCells > 0 && len(r.spent) >= r.BudgetCells && !r.goesOn(s) {
		return ErrBudget
	}
	return r.timeUp(ctx)
}

// timeUp says why nothing further can be begun.
func (r *run) timeUp(ctx context.Context) error {
	if ctx.Err() != nil {
		return stopCause(ctx)
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
