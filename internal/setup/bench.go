// Package setup makes all ready that a sweep needs, and clears up after it:
// config, lock, server or engine, leftovers, identity, checkpoint, runner,
// benchmark lines, reports. It holds no logic of measuring; it knows which part
// goes with which.
package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Options say what to sweep and where to write about it.
type Options struct {
	Config       string // file
	Overrides    *config.Overrides
	EngineSource string    // folder of the embedded engine's module
	Stdout       io.Writer // benchmark lines, and all else on lines that begin with "# "
	// Terminal is what Stdout leads to where a progress bar is to be drawn below what is
	// written, else nil.
	Terminal *os.File
	// Deadline is when the process will be killed, zero for never.
	Deadline time.Time
	// Filtered says that Run's caller may pass cells over, and Named that it lets through
	// only those that the user names.
	Filtered, Named bool
	// Cells, where it is not 0, is how many are measured in this run, whatever the
	// config's budget.
	Cells int
}

// Session is a sweep that is ready to run. Make one with Open and end it with
// Close.
type Session struct {
	config config.Config
	host   *url.URL      // of the server, without what follows
	user   *url.Userinfo // nil where it wants none
	sweep  sweep.Sweep
	ctx    context.Context // ends with Open's, and with an engine that ends by itself
	screen *screen         // nil without a bar
	say    io.Writer       // lines for people
	undo   []func() error  // what clearing up has to do, the last first
	// clearBy is when the server has to be cleared up, which is done in several steps.
	clearBy time.Time
	locked  *checkpoint.Lock // of the out folder, until Close
	dir     *outdir.Dir      // the out folder
	failed  error            // of clearing up after the run
	lost    error            // why what was measured is not on disk, nil where it is

	refresher refresher
}

// Open makes all ready, cheap checks first. What can't be used is an error
// here, before a model is loaded.
func Open(ctx context.Context, o Options) (*Session, error) {
	b := &Session{ctx: ctx}
	if o.Terminal != nil {
		b.screen = &screen{out: o.Stdout, fd: int(o.Terminal.Fd()), now: time.Now}
		o.Stdout = b.screen
	}
	b.say = lines.Comments(o.Stdout)
	err := b.open(o)
	if err == nil {
		return b, nil
	}
	err = errors.Join(err, b.Close())
	if errors.Is(err, sweep.ErrInterrupted) {
		fmt.Fprintln(b.say, "stopped before the first pair was measured; to go on: the same command again")
	}
	return nil, err
}

func (b *Session) open(o Options) (err error) {
	if b.config, err = config.Read(o.Config, o.Overrides); err != nil {
		return err
	}
	if o.Cells > 0 {
		b.config.Budget = config.Budget{Cells: o.Cells}
	}
	plan, leftOut := b.config.Plan()
	if b.config.Redo && !o.Named && len(plan) > 0 {
		return fmt.Errorf("redo: name the cells to measure again, like -run 'Sweep/%v$'; to measure all again, use -fresh, which keeps the old checkpoint under another name", plan[0])
	}
	prompter, err := sweep.NewPrompter(b.config.Prompt, b.config.NumPredict)
	if err != nil {
		return err
	}
	subject, err := newSubject(b.config)
	if err != nil {
		return err
	}
	if b.host, b.user, err = b.parseHost(); err != nil {
		return err
	}
	if err := b.checkDir(); err != nil {
		return err
	}
	if err := b.lock(); err != nil {
		return err
	}
	if err := b.claimDir(); err != nil {
		return err
	}
	server, err := b.startServer(o)
	if err != nil {
		return err
	}
	if err := b.openLog(server); err != nil {
		return err
	}
	identity := newIdentity(server, subject, b.config, o.Stdout)
	store, known, err := b.openStore(identity, subject, prompter, o.Overrides.Command(o.Config))
	if err != nil {
		return err
	}
	if err := b.watch(server, subject, store); err != nil {
		return err
	}
	b.sayLeftOut(leftOut)
	runner, err := b.startRunner(server, subject)
	if err != nil {
		return err
	}
	onSample, err := b.benchLines(o.Stdout, store.Checkpoint())
	if err != nil {
		return err
	}
	b.sweep = sweep.Sweep{
		Plan:     plan,
		Runner:   runner,
		Store:    store,
		Prompter: prompter,
		Known:    known,
		Identify: func(ctx context.Context, when sweep.Moment) (checkpoint.Header, error) {
			return identity.again(ctx, store.Checkpoint().Sweep, when)
		},
		Strategy:    strategy(b.config),
		Prune:       b.config.Prune,
		Repeat:      b.config.Repeat,
		Rounds:      b.config.Order == config.OrderRound,
		CellTimeout: b.config.CellTimeout,
		RetryFailed: b.config.RetryFailed,
		Redo:        b.config.Redo,

		ReferenceEvery: b.config.ReferenceEvery,
		Leaders:        b.config.Leaders(),
		Baseline:       b.config.Baseline,
		Retake:         b.config.Retake,
		HostCells:      b.config.HostCells(),

		RepeatUntilClear: b.config.RepeatUntilClear,

		Deadline:    beforeDeadline(o.Deadline),
		BudgetEnd:   budgetEnd(b.config.Budget.Time),
		BudgetCells: b.config.Budget.Cells,
		Filtered:    o.Filtered,
		OnSample:    onSample,
		Log:         b.say,
		Now:         time.Now,
	}
	if b.screen != nil {
		b.sweep.OnProgress = b.screen.tell
	}
	if b.config.Shard != (cell.Shard{}) {
		b.sweep.Host, err = hostName(server)
	}
	return err
}

// strategy returns what decides on cells.
func strategy(c config.Config) sweep.Strategy {
	if s := search.Named(c.Strategy, c.Tolerance, c.Repeat); s != nil {
		return s
	}
	return sweep.Exhaustive{Repeat: c.Repeat, Rounds: c.Order == config.OrderRound}
}

// Run measures (see sweep.Sweep.Run) and clears up at once, since reports of many
// cells take a while and an interrupted run has none.
func (b *Session) Run(each func(name string, measure func() sweep.Outcome)) sweep.Summary {
	b.screen.show(len(b.sweep.Plan))
	summary := b.sweep.Run(b.ctx, func(name string, measure func() sweep.Outcome) {
		each(name, func() sweep.Outcome {
			outcome := measure()
			b.refresh()
			return outcome
		})
	})
	b.screen.hide()
	b.failed = b.clearUp()
	b.restore(&summary)
	if b.lost == nil && errors.Is(summary.Stop, sweep.ErrInterrupted) {
		fmt.Fprintln(b.say, "all is saved and cleared up; "+b.howToGoOn(summary))
	}
	return summary
}

// restore sees to it that what was measured is in the checkpoint, and nowhere else, at the end: it
// is written again where the out folder was removed, renamed or taken over while the sweep ran.
// What is lost is said.
func (b *Session) restore(summary *sweep.Summary) {
	store := b.sweep.Store
	if err := store.Fold(); err != nil && summary.Stop == nil {
		summary.Stop = err
	}
	cells := len(store.Checkpoint().Results)
	path, err := store.Restore(time.Now())
	switch {
	case err != nil:
		b.lost = fmt.Errorf("%d cells are lost: their checkpoint was removed or renamed while the sweep ran, and can't be written again: %w", cells, err)
		summary.Stop = b.lost
		fmt.Fprintf(b.say, "%v; only what is printed here is left of them\n", b.lost)
	case path == store.Path():
		fmt.Fprintf(b.say, "warning: checkpoint %s was removed or renamed while the sweep ran: it is written again, with all %d cells that it had; other files of its folder may be lost\n", path, cells)
	case path != "":
		b.lost = fmt.Errorf("checkpoint %s, or its journal, is somebody else's now: what this sweep has measured, %d cells, is in %s", store.Path(), cells, path)
		if summary.Stop == nil {
			summary.Stop = b.lost
		}
		fmt.Fprintf(b.say, "warning: %v; one checkpoint of both: go run ./scripts/report -in %s -in %s -out DIR\n", b.lost, shell.Quoted(store.Path()), shell.Quoted(path))
	}
}

// Report writes the reports and says what was found, where all is and how to resume. Where no
// cell was asked for there is nothing to report.
func (b *Session) Report(summary sweep.Summary) error {
	if errors.Is(summary.Stop, sweep.ErrNoCell) {
		return nil
	}
	cp := b.sweep.Store.Checkpoint()
	var files []string
	var failed error // to write a file: what is printed is all the more needed then
	if len(cp.Results) > 0 {
		if b.lost == nil {
			files, failed = report.Write(b.config.Out, cp)
		}
		if err := report.Print(b.say, cp, report.Options{Dir: b.config.Out}); err != nil {
			return errors.Join(failed, err)
		}
	}
	for _, look := range []string{report.PageFile, report.TableFile} {
		if slices.Contains(files, look) {
			fmt.Fprintf(b.say, "Page: %s; in words: go run ./scripts/report -v -in %s\n", filepath.Join(b.config.Out, look), shell.Quoted(b.config.Out))
			break
		}
	}
	if err := summary.Print(b.say); err != nil {
		return errors.Join(failed, err)
	}
	if b.lost == nil {
		fmt.Fprintln(b.say, b.howToGoOn(summary))
	}
	return failed
}

func (b *Session) howToGoOn(summary sweep.Summary) string {
	const again = "to measure again: some cells with -redo and -run, all with -fresh; both keep the old checkpoint"
	goesOn, cut := "measures what is missing", summary.Missing > 0 || summary.Stop != nil
	if summary.Search {
		goesOn = "goes on with the search"
	}
	switch {
	case errors.Is(summary.Stop, checkpoint.ErrOtherSweep):
		return "to go on: the same command again once all is as it was, or another -out folder for what is there now"
	case b.config.Redo && summary.Stop != nil:
		return "to go on: name the cells that are left with -run; the same command measures all of its cells again"
	case summary.Missing > 0 && b.config.Redo:
		return "to go on: the same command with -run Sweep, and without -skip and -redo, " + goesOn
	case cut && b.sweep.Filtered:
		return "to go on: the same command with -run Sweep, and without -skip and -fresh, " + goesOn
	case cut && b.config.Fresh == checkpoint.FreshAlways:
		return "to go on: the same command without -fresh " + goesOn
	case cut:
		return "to go on: the same command again " + goesOn
	}
	if summary.Search && summary.PassedOver > 0 {
		return "to measure the other cells too: -strategy exhaustive; " + again
	}
	return again
}

// Close clears up where Run has not, and gives the out folder free.
func (b *Session) Close() error {
	err := errors.Join(b.failed, b.clearUp())
	b.failed = nil
	return errors.Join(err, b.locked.Unlock())
}

// clearUp unloads the model, deletes what is ours on the server and ends our
// engine. It needs no context: an interrupted sweep clears up like any other.
func (b *Session) clearUp() error {
	b.clearBy = time.Now().Add(closeTimeout)
	var errs []error
	for i := len(b.undo) - 1; i >= 0; i-- {
		errs = append(errs, b.undo[i]())
	}
	b.undo = nil
	return errors.Join(errs...)
}

func (b *Session) atEnd(undo func() error) { b.undo = append(b.undo, undo) }

// lock keeps a second sweep out of the out folder for as long as this process
// lives, and makes the folder.
func (b *Session) lock() error {
	if err := os.MkdirAll(b.config.Out, 0o755); err != nil {
		return fmt.Errorf("making the out folder: %w", err)
	}
	locked, err := checkpoint.LockFolder(b.config.Out)
	if err != nil {
		return err
	}
	b.locked = locked
	return nil
}

// openStore asks the server what is swept and opens the checkpoint with that.
// What it knows besides is for the checks.
func (b *Session) openStore(i *identity, subject subject, prompter *sweep.Prompter, command string) (*checkpoint.Store, check.Evidence, error) {
	header, known, err := subject.header(b.ctx, i, prompter)
	if err != nil {
		return nil, check.Evidence{}, err
	}
	if header.Place, err = b.place(i.server); err != nil {
		return nil, check.Evidence{}, err
	}
	header.Command = command
	header.Run = report.OneLine(os.Getenv("SWEEP_RUN"))
	store, err := checkpoint.Open(b.config.Out, header, b.config.Fresh, time.Now())
	if err != nil {
		return nil, check.Evidence{}, err
	}
	store.Lock = b.locked
	if store.Note != "" {
		fmt.Fprintln(b.say, store.Note)
	}
	return store, known, b.dir.Claim(checkpoint.FileName)
}

// benchLines returns what adds a sample to bench.txt and to standard output. A file that
// can't be written stops nothing, since the checkpoint has all that is in it.
func (b *Session) benchLines(stdout io.Writer, cp *checkpoint.Checkpoint) (func(*checkpoint.Result, measurement.Sample) error, error) {
	file, err := report.OpenBenchLog(b.config.Out, cp)
	if err != nil {
		return nil, err
	}
	b.atEnd(file.Close)
	lines := report.NewBenchWriter(stdout, cp.Sweep)
	failing := false
	return func(r *checkpoint.Result, s measurement.Sample) error {
		err := file.Sample(r, s)
		if err != nil && !failing {
			fmt.Fprintf(b.say, "warning: %s can't be kept up to date: %v\n", report.BenchFile, err)
		}
		failing = err != nil
		return lines.Sample(r, s)
	}, nil
}

// sayLeftOut names the pairs that are no cells.
func (b *Session) sayLeftOut(leftOut []cell.Key) {
	if len(leftOut) > 0 {
		fmt.Fprintf(b.say, "left out: %s, because servers cap num_batch at num_ctx\n", cell.Names(leftOut))
	}
}

// beforeDeadline is when the run must have come to its end, in time for reports
// and clearing up before the process is killed.
func beforeDeadline(deadline time.Time) time.Time {
	if deadline.IsZero() {
		return deadline
	}
	return deadline.Add(-min(20*time.Second, time.Until(deadline)/5))
}

func budgetEnd(budget time.Duration) time.Time {
	if budget == 0 {
		return time.Time{}
	}
	return time.Now().Add(budget)
}
