// Package setup sets up a sweep and cleans up after it: config, lock, server or
// engine, leftovers of killed sweeps, identity, checkpoint, runner, benchmark
// lines, reports. It connects the parts, and does not measure itself.
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

// Options are the inputs and outputs of a sweep.
type Options struct {
	Config       string            // file
	Overrides    *config.Overrides // flags that override keys of the file
	EngineSource string            // folder of the embedded engine's module
	Stdout       io.Writer         // benchmark lines, and other lines that begin with "# "
	// Terminal is the terminal that Stdout writes to, where it can show a progress bar, else nil.
	Terminal *os.File
	// Deadline is when the process will be killed, zero for never.
	Deadline time.Time
	// Filtered says that the callback of Run may skip cells, and Named that it skips all but
	// those that the user names.
	Filtered, Named bool
	// Cells, where it is not 0, is the number of cells to measure in this run, and overrides the
	// config's budget.
	Cells int
}

// Sweep is a sweep that is ready to run. Make one with [Open] and end it with
// Close.
type Sweep struct {
	config  config.Config
	host    *url.URL      // of the server, without user and password
	user    *url.Userinfo // nil where the server needs none
	process *process      // of the engine, nil without one
	sweep   sweep.Sweep
	screen  *screen   // nil without a progress bar
	log     io.Writer // lines for people
	cleanup cleanup
	locked  *checkpoint.Lock // of the out folder, until Close
	dir     *outdir.Dir      // the out folder
	failed  error            // of the cleanup after the run
	lost    error            // why samples are not in the checkpoint, nil where they are

	refresher refresher
}

// Open sets up the sweep, cheap checks first. It returns an error for anything that
// can't be used, before a model is loaded.
func Open(ctx context.Context, o Options) (*Sweep, error) {
	b := new(Sweep)
	if o.Terminal != nil {
		b.screen = &screen{out: o.Stdout, fd: int(o.Terminal.Fd()), now: time.Now}
		o.Stdout = b.screen
	}
	b.log = lines.Comments(o.Stdout)
	err := b.open(ctx, o)
	if err == nil {
		return b, nil
	}
	err = errors.Join(err, b.Close())
	if errors.Is(err, sweep.ErrInterrupted) {
		fmt.Fprintln(b.log, "stopped before the first cell was measured; to resume: run the same command again")
	}
	return nil, err
}

func (b *Sweep) open(ctx context.Context, o Options) (err error) {
	if b.config, err = config.Read(o.Config, o.Overrides); err != nil {
		return err
	}
	if err := NameBinaries(ctx, &b.config); err != nil {
		return err
	}
	if o.Cells > 0 {
		b.config.Budget = config.Budget{Cells: o.Cells}
	}
	plan, leftOut := b.config.Plan()
	if b.config.Redo && !o.Named && len(plan) > 0 {
		return fmt.Errorf("redo: name the cells to measure again, like -run 'Sweep/%s$'; to measure all again, use -fresh, which keeps the old checkpoint under another name", plan[0].Pattern())
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
	server, err := b.startServer(ctx, o)
	if err != nil {
		return err
	}
	ctx, stop := b.process.whileRunning(ctx)
	defer stop()
	if err := b.openLog(server); err != nil {
		return err
	}
	identity := newIdentity(server, subject, b.config, b.log)
	store, known, err := b.openStore(ctx, identity, subject, prompter, o.Overrides.Command(o.Config))
	if err != nil {
		return err
	}
	if err := b.watch(ctx, server, subject, store); err != nil {
		return err
	}
	b.printLeftOut(leftOut)
	if err := b.suggestSearch(o, store.Checkpoint()); err != nil {
		return err
	}
	runner, err := b.startRunner(ctx, server, subject)
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
		Evidence: known,
		Identify: func(ctx context.Context, when sweep.Moment) (checkpoint.Header, error) {
			if b.process.down() { // the next load starts it
				return store.Checkpoint().Sweep, nil
			}
			return identity.update(ctx, store.Checkpoint().Sweep, when)
		},
		Strategy:    strategy(b.config),
		Probe:       b.config.Probe,
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
		Log:         b.log,
		Now:         time.Now,
	}
	if b.screen != nil {
		b.sweep.OnProgress = b.screen.update
	}
	if b.config.Shard != (cell.Shard{}) {
		b.sweep.Host, err = hostName(server)
	}
	return err
}

// strategy returns the strategy that the config names.
func strategy(c config.Config) sweep.Strategy {
	if k, ok := search.KindOf(c.Strategy); ok {
		return k.New(float64(c.Tolerance), c.Repeat)
	}
	return sweep.Exhaustive{Repeat: c.Repeat, Rounds: c.Order == config.OrderRound}
}

// Run runs the sweep (see [sweep.Sweep.Run]) and cleans up at once, because reports of
// many cells take a while and an interrupted run writes none.
func (b *Sweep) Run(ctx context.Context, each func(name string, measure func() sweep.Outcome)) sweep.Summary {
	b.screen.show(len(b.sweep.Plan))
	b.refresher.next = time.Now().Add(firstRefresh)
	summary := b.sweep.Run(ctx, func(name string, measure func() sweep.Outcome) {
		each(name, func() sweep.Outcome {
			outcome := measure()
			b.refresh()
			return outcome
		})
	})
	b.screen.hide()
	b.failed = b.cleanup.run()
	b.restore(&summary)
	if b.lost == nil && errors.Is(summary.Stop, sweep.ErrInterrupted) {
		fmt.Fprintln(b.log, "everything is saved and cleaned up; "+b.howToResume(summary))
	}
	return summary
}

// restore makes sure that the samples are on disk at the end: where the checkpoint was removed,
// renamed or taken over by another sweep while this one ran, it writes the samples again, under
// another name where needed. It reports lost samples.
func (b *Sweep) restore(summary *sweep.Summary) {
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
		fmt.Fprintf(b.log, "%v; only the lines printed here are left of them\n", b.lost)
	case path == store.Path():
		fmt.Fprintf(b.log, "warning: checkpoint %s was removed or renamed while the sweep ran: it is written again, with all %d cells that it had; other files of its folder may be lost\n", path, cells)
	case path != "":
		b.lost = fmt.Errorf("checkpoint %s or its journal was changed by something else: the %d cells of this sweep are in %s", store.Path(), cells, path)
		if summary.Stop == nil {
			summary.Stop = b.lost
		}
		fmt.Fprintf(b.log, "warning: %v; to merge both: go run ./scripts/report -in %s -in %s -out DIR\n", b.lost, shell.Quoted(store.Path()), shell.Quoted(path))
	}
}

// Report writes the reports, and prints the result, where the files are and how to resume. Where -run
// selected no cell there is nothing to report.
func (b *Sweep) Report(summary sweep.Summary) error {
	if errors.Is(summary.Stop, sweep.ErrNoCell) {
		return nil
	}
	cp := b.sweep.Store.Checkpoint()
	var files []string
	var failed error // to write a file, after which the printed report is needed even more
	if len(cp.Results) > 0 {
		if b.lost == nil {
			files, failed = report.Write(b.config.Out, cp)
		}
		if err := report.Print(b.log, cp, report.Options{Dir: b.config.Out}); err != nil {
			return errors.Join(failed, err)
		}
	}
	for _, look := range []string{report.PageFile, report.TableFile} {
		if slices.Contains(files, look) {
			fmt.Fprintf(b.log, "Page: %s; as text: go run ./scripts/report -v -in %s\n", filepath.Join(b.config.Out, look), shell.Quoted(b.config.Out))
			break
		}
	}
	if err := summary.Print(b.log); err != nil {
		return errors.Join(failed, err)
	}
	if b.lost == nil {
		fmt.Fprintln(b.log, b.howToResume(summary))
	}
	return failed
}

// howToResume returns the command that resumes the sweep or, where it is complete, measures cells again.
func (b *Sweep) howToResume(summary sweep.Summary) string {
	const again = "to measure again: some cells with -redo and -run, all with -fresh; both keep the old checkpoint"
	effect, cut := "; it measures the missing cells", summary.Missing > 0 || summary.Stop != nil
	if summary.Search {
		effect = "; it continues the search"
	}
	switch {
	case errors.Is(summary.Stop, checkpoint.ErrOtherSweep):
		return "to resume: restore the old state and run the same command again, or start a new sweep in another -out folder"
	case b.config.Redo && summary.Stop != nil:
		return "to resume: name the remaining cells with -run; the same command measures all of its cells again"
	case summary.Missing > 0 && b.config.Redo:
		return "to resume: run the same command with -run Sweep, and without -skip and -redo" + effect
	case cut && b.sweep.Filtered:
		return "to resume: run the same command with -run Sweep, and without -skip and -fresh" + effect
	case cut && b.config.Fresh == checkpoint.FreshAlways:
		return "to resume: run the same command without -fresh" + effect
	case cut:
		return "to resume: run the same command again" + effect
	}
	if summary.Search && summary.PassedOver > 0 {
		return "to measure the other cells too: -strategy exhaustive; " + again
	}
	return again
}

// Close cleans up where Run has not, and unlocks the out folder.
func (b *Sweep) Close() error {
	err := errors.Join(b.failed, b.cleanup.run())
	b.failed = nil
	return errors.Join(err, b.locked.Unlock())
}

// lock keeps a second sweep out of the out folder for as long as this process
// lives, and makes the folder.
func (b *Sweep) lock() error {
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

// openStore gets the identity of server and model, and opens the checkpoint with it.
// It returns the evidence for the checks too.
func (b *Sweep) openStore(ctx context.Context, i *identity, subject subject, prompter *sweep.Prompter, command string) (*checkpoint.Store, check.Evidence, error) {
	header, known, err := subject.header(ctx, i, prompter)
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
		fmt.Fprintln(b.log, store.Note)
	}
	return store, known, b.dir.Claim(checkpoint.FileName)
}

// benchLines returns a function that writes a sample to bench.txt and to standard output. Where the
// file can't be written the sweep continues, since the checkpoint has the same samples.
func (b *Sweep) benchLines(stdout io.Writer, cp *checkpoint.Checkpoint) (func(*checkpoint.Result, measurement.Sample) error, error) {
	file, err := report.OpenBenchLog(b.config.Out, cp)
	if err != nil {
		return nil, err
	}
	b.cleanup.add(file.Close)
	lines := report.NewBenchWriter(stdout, cp.Sweep)
	failing := false
	return func(r *checkpoint.Result, s measurement.Sample) error {
		err := file.Sample(r, s)
		if err != nil && !failing {
			fmt.Fprintf(b.log, "warning: %s can't be kept up to date: %v\n", report.BenchFile, err)
		}
		failing = err != nil
		return lines.Sample(r, s)
	}, nil
}

// printLeftOut names the combinations of settings that are not measured.
func (b *Sweep) printLeftOut(leftOut []cell.Key) {
	if len(leftOut) > 0 {
		fmt.Fprintf(b.log, "left out: %s, because servers cap num_batch at num_ctx\n", cell.Names(leftOut))
	}
}

// beforeDeadline returns when the run must end, so that there is time for reports
// and cleanup before the process is killed.
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
