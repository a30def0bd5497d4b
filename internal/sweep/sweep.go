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
// class is the failure of that cell; one of another class means that the server
// can't be reached just now; any other error ends the sweep.
type Runner interface {
	// Ready waits until the server answers, and returns an error once it has been
	// away for too long.
	Ready(ctx context.Context) error
	// Load loads the model with the settings of a cell and sends it a warm-up prompt. A
	// num_batch of 0 leaves it to the server.
	Load(ctx context.Context, c cell.Key, warmup func() string) (measurement.Loaded, error)
	// Sample sends one prompt to the loaded model, and another one where the answer has no
	// figures. Each call of prompt returns a prompt of the same length with another nonce.
	Sample(ctx context.Context, prompt func() string) (measurement.Sample, error)
	// Unload frees the model's memory.
	Unload(ctx context.Context) error
	// Settle unloads the model and waits until its memory is given back, but not
	// for ever.
	Settle(ctx context.Context) error
}

// Sweep measures the cells of a plan that are not in its store yet.
type Sweep struct {
	Plan     []cell.Key
	Runner   Runner
	Store    *checkpoint.Store
	Prompter *Prompter

	// Identify returns the checkpoint's header with the current identity of server and model. Nil
	// turns the check off.
	Identify func(ctx context.Context, when Moment) (checkpoint.Header, error)

	// Known is the evidence that is the same for every cell: about the server, the
	// model and the requested settings.
	Evidence check.Evidence

	Probe       bool          // a search may probe the loaded cell, if the Runner is a Prober
	Strategy    Strategy      // which cells, in which order; nil for Exhaustive
	Prune       bool          // skip cells that need at least the memory of one that ran out of it
	Repeat      int           // samples per cell
	Rounds      bool          // one sample of every cell, then the next of every cell
	CellTimeout time.Duration // for a load and all samples of a cell
	RetryFailed bool          // measure failed cells again
	Redo        bool          // measure all cells again that the caller does not skip

	ReferenceEvery int // cells between two measurements of the reference cell; 0 for none
	Leaders        int // number of leading cells to measure again at the end
	// RepeatUntilClear has an exhaustive sweep take more samples until its advice is clear,
	// within RepeatTime.
	RepeatUntilClear bool
	Baseline         config.Baseline // whether to measure the server's own num_batch at the end
	Retake           bool            // measure disturbed cells again
	// HostCells are measured before and after the plan, under the name in Host, to
	// compare the hosts that share a sweep.
	HostCells []cell.Key
	Host      string

	// Deadline is when the process will be killed, and BudgetEnd when no further
	// cell is begun. Zero means never.
	Deadline, BudgetEnd time.Time
	BudgetCells         int // most cells of the plan to load in this run; 0 for no limit

	// Filtered says that the caller may skip cells, so that the number of cells to
	// measure is not known.
	Filtered bool

	// OnSample is called for each sample once it is saved, and OnProgress, if it is
	// set, when a cell begins and ends. Log gets lines for people: among benchmark
	// lines, use a writer of [lines.Comments]. Without OnProgress it gets a line for each
	// cell.
	OnSample   func(*checkpoint.Result, measurement.Sample) error
	OnProgress func(Progress)
	Log        io.Writer
	Now        func() time.Time // the clock, mostly time.Now
	// Sleep waits for a duration, and returns an error where the context ends before; nil for a timer.
	Sleep func(context.Context, time.Duration) error
}

// Outcome is the result of one cell's subtest.
type Outcome struct {
	// Skip is the reason why the cell has no new rate: it is already measured, it
	// failed, or it was pruned. It is empty for a cell that was measured.
	Skip string
	// Err is set where the sweep stops.
	Err error
}

// Planned stops: all samples are saved, and the same command resumes the sweep.
// Other errors, such as a server that stays away or a checkpoint that can't be
// saved, are not among them.
var (
	ErrInterrupted = errors.New("interrupted")
	ErrDeadline    = errors.New("the time that go test allows is too short for another cell; -timeout 0 lifts the limit, and the same command resumes the sweep")
	ErrBudget      = errors.New("the budget is spent")
)

// ErrNoCell means that the caller has skipped every cell.
var ErrNoCell = errors.New("no cell matches")

// noCell returns ErrNoCell with the names that exist.
func noCell(plan []cell.Key) error {
	var ctxs, batches []int
	for _, c := range plan {
		ctxs, batches = append(ctxs, c.Ctx), append(batches, c.Batch)
	}
	var others string
	for _, a := range cell.SettingAxes(plan) {
		others += fmt.Sprintf(", %s one of %s", a.Name, strings.Join(a.Values, ", "))
	}
	return fmt.Errorf("%w: num_ctx is one of %s, and num_batch one of %s%s; the first cell is Sweep/%s", ErrNoCell, cell.Some(cell.Distinct(ctxs)), cell.Some(cell.Distinct(batches)), others, plan[0].Pattern())
}

// crashLimit is how often a server may go away during one cell before that
// counts as the cell's failure.
const crashLimit = 3

// unloadTimeout limits the time to unload a cell that hung.
const unloadTimeout = 30 * time.Second

// Run calls back for every cell of the plan that is already measured, and then for
// those that the strategy wants, until it wants no more or the sweep must stop. A
// cell that is measured more than once has another name each time: in rounds with
// the number of the round, in a search with the number of samples. The callback may
// call measure once, which measures the cell or returns why not, or skip the cell.
// Auxiliary measurements are taken without a callback.
func (s *Sweep) Run(ctx context.Context, call func(name string, measure func() Outcome)) Summary {
	run := newRun(s)
	choice := run.begin()
	run.printAutomatic()
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
		run.reportMeasured(each)
	}
	choice = run.choices(ctx, choice, each)
	if run.retake(ctx, each) && run.stop == nil {
		choice = run.choices(ctx, run.next(), each) // a search may choose other cells now
	}
	if s.Filtered && !matched && run.stop == nil && len(s.Plan) > 0 {
		run.stop = noCell(s.Plan)
	}
	if run.stop == nil && !s.Filtered {
		run.afterPlan(ctx, call)
	}
	run.dropUnsettled()
	if err := run.keepAnswer(run.answer(choice)); err != nil && run.stop == nil {
		run.stop = err
	}
	return run.summary()
}

// run is the state of one Run.
type run struct {
	*Sweep
	start       time.Time
	strategy    Strategy
	state       State
	want        int                   // samples that each cell needs now
	named       map[string]bool       // the names that each was called with
	pruned      map[cell.Key]cell.Key // cells that are skipped, by the failed cell whose memory they need at least
	copiesNamed bool                  // by warnOfCopies

	server   serverState
	prompts  promptCounts
	tally    tally
	outlook  outlook
	retakes  retakeState
	redone   redone
	suspects suspects
	probing  probing

	stop error // why the sweep stops
}

func newRun(s *Sweep) *run {
	r := &run{
		Sweep:   s,
		start:   s.Now(),
		want:    s.Repeat,
		named:   make(map[string]bool),
		server:  serverState{gpu: s.Evidence.GPU},
		prompts: promptCounts{tokens: make(map[promptKey]int)},
		tally:   tally{failedCells: make(map[cell.Key]bool)},
		retakes: retakeState{cells: make(map[cell.Key]bool)},
		redone:  redone{cells: make(map[cell.Key]bool)},
		probing: probing{printed: make(map[string]bool)},
	}
	cp := s.Store.Checkpoint()
	for _, result := range cp.Results {
		r.server.gpu = r.server.gpu || result.SizeVRAM > 0
		if len(result.Samples) > 0 {
			r.prompts.tokens[r.promptKey(result.Cell())] = result.Samples[0].PromptEvalCount
		}
	}
	if sizing := cp.Sweep.Sizing; sizing != (checkpoint.Sizing{}) {
		s.Prompter.SetSizing(sizing)
	}
	r.strategy = s.Strategy
	if r.strategy == nil {
		r.strategy = Exhaustive{Repeat: s.Repeat, Rounds: s.Rounds}
	}
	if s.Redo {
		r.strategy = redo{r}
	}
	r.state = State{Plan: s.Plan, Measured: cp.Measured()}
	if s.RetryFailed || s.Redo {
		for _, c := range s.Plan {
			if r.state.Measured[c].Failed {
				delete(r.state.Measured, c)
			}
		}
	}
	r.prune()
	return r
}

// cells returns the cells of the plan and those that compare hosts.
func (r *run) cells() []cell.Key { return append(slices.Clip(r.Plan), r.HostCells...) }

// prepare makes the checks that need no load, and unloads the model.
func (r *run) prepare(ctx context.Context) error {
	if r.Prompter.Sized() {
		if err := r.Prompter.fits(r.cells()); err != nil {
			return err
		}
		r.warnOfCopies()
	}
	return r.unloadFirst(ctx)
}

// unloadFirst makes sure that the first cell loads the model, also where another
// client, or this sweep before it was killed, left it in memory with the same
// settings.
func (r *run) unloadFirst(ctx context.Context) error {
	err := r.Runner.Unload(ctx)
	var failure *measurement.Failure
	switch {
	case ctx.Err() != nil:
		return stopCause(ctx)
	case errors.As(err, &failure) && !failure.Class.FailsCell():
		return nil // the first cell waits for the server, which has nothing loaded then
	}
	return err
}

func measuredText(r checkpoint.Result) string {
	if r.Failed() {
		return fmt.Sprintf("failed on %s: %s (-retry-failed or -redo measures it again)", r.Timestamp.Format(time.DateOnly), failureText(r))
	}
	return fmt.Sprintf("already measured: %.2f tokens/s on %s (-redo measures it again)", *r.PromptEvalRate, r.Timestamp.Format(time.DateOnly))
}

// failureText returns the class and the server's message in one line.
func failureText(r checkpoint.Result) string {
	f := measurement.Failure{Class: *r.Error, Detail: r.Detail}
	return strings.Join(strings.Fields(f.Error()), " ")
}

// mustStop returns why the step can't begin, nil where it can.
func (r *run) mustStop(ctx context.Context, s step) error {
	if r.BudgetCells > 0 && len(r.tally.spent) >= r.BudgetCells && !r.reusesLoad(s) {
		return ErrBudget
	}
	return r.timeUp(ctx)
}

// timeUp returns why no further measurement can begin, nil where one can.
func (r *run) timeUp(ctx context.Context) error {
	if ctx.Err() != nil {
		return stopCause(ctx)
	}
	now := r.Now()
	if !r.BudgetEnd.IsZero() && now.After(r.BudgetEnd) {
		return ErrBudget
	}
	if !r.Deadline.IsZero() && now.Add(mean(r.tally.spent)).After(r.Deadline) {
		return ErrDeadline
	}
	return nil
}

// stopCause returns the reason for which the context was ended.
func stopCause(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		return ErrInterrupted
	}
	return cause
}
