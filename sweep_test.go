// Package ollamasweep holds the sweep, which is a Go test: one subtest per pair
// of num_ctx and num_batch, measured on a real Ollama.
//
//	go test -run Sweep -timeout 0                    # on an embedded engine and a tiny model
//	go test -run Sweep -timeout 0 -config my.yaml    # on your own
package ollamasweep

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/ollama-sweep/ollama-sweep/internal/report"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// engineSource is the module of the embedded engine.
const engineSource = "scripts/engine"

var (
	configFile = flag.String("config", "testdata/demo.yaml", "`file` that says what to sweep")
	overrides  sweep.Overrides
)

func TestMain(m *testing.M) {
	overrides.Register(flag.CommandLine)
	// The client library takes 8 MB for each request, at which the collector
	// would run every time, beside the measurement: 3 ms a cell.
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// TestSweep measures the cells that the checkpoint does not hold yet, each in a
// subtest of its own. A cell that fails is skipped with the reason: failed
// cells are data.
func TestSweep(t *testing.T) {
	if !flagGiven("test.run") && !flagGiven("config") {
		t.Skip("measures a real Ollama for seconds to days; start it with go test -run Sweep -timeout 0")
	}
	ctx := interruptible(t)
	stdout := &prefixed{w: os.Stdout}
	b := open(ctx, t, stdout)

	summary := b.sweep.Run(b.ctx, func(c sweep.Cell, measure func() sweep.Outcome) {
		t.Run(c.String(), func(t *testing.T) {
			switch outcome := measure(); {
			case outcome.Err != nil:
				t.Skip("the sweep stops: " + outcome.Err.Error())
			case outcome.Skip != "":
				t.Skip(outcome.Skip)
			}
		})
	})

	if err := b.report(stdout, summary); err != nil {
		t.Error(err)
	}
	if err := summary.Usable(); err != nil {
		t.Error(err)
	}
}

// bench is a sweep with everything around it.
type bench struct {
	config sweep.Config
	sweep  *sweep.Sweep
	ctx    context.Context // of the sweep: ends with the interrupt or the engine
}

// open makes all ready that the sweep needs, cheap checks first, and has it
// undone when the test ends. What can't be used fails the test here, before a
// model is loaded.
func open(ctx context.Context, t *testing.T, stdout io.Writer) *bench {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := sweep.ReadConfig(*configFile, &overrides)
	check(err)
	plan, leftOut := cfg.Plan()
	prompter, err := sweep.NewPrompter(cfg.Prompt, cfg.NumPredict)
	check(err)
	subject, err := newSubject(cfg)
	check(err)
	check(lock(t, cfg.Out))

	server, command, ctx, err := startServer(ctx, t, cfg, stdout)
	check(err)
	check(server.Ready(ctx))
	leftovers, err := server.DeleteLeftovers(ctx)
	check(err)
	for _, name := range leftovers {
		fmt.Fprintf(stdout, "deleted %s, left by a run that was killed\n", name)
	}
	header, err := subject.header(ctx, server, cfg, prompter)
	check(err)
	store, err := sweep.OpenStore(cfg.Out, header, cfg.Fresh, time.Now())
	check(err)
	if store.Note != "" {
		fmt.Fprintln(stdout, store.Note)
	}
	sayLeftOut(stdout, leftOut)

	runner, err := subject.runner(ctx, server, command, cfg)
	check(err)
	t.Cleanup(func() {
		// Not ctx, which is over when the sweep was interrupted.
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := runner.Close(ctx); err != nil && server.Reachable(ctx) {
			t.Errorf("clearing up on the server: %v", err)
		}
	})
	onSample, err := benchLines(t, cfg.Out, store.Checkpoint())
	check(err)

	return &bench{cfg, &sweep.Sweep{
		Plan:        plan,
		Runner:      runner,
		Store:       store,
		Prompter:    prompter,
		Repeat:      cfg.Repeat,
		CellTimeout: cfg.CellTimeout,
		RetryFailed: cfg.RetryFailed,
		Deadline:    deadline(t),
		BudgetEnd:   budgetEnd(cfg.Budget),
		Filtered:    strings.Contains(flag.Lookup("test.run").Value.String(), "/"),
		OnSample:    onSample,
		Log:         os.Stdout,
		Now:         time.Now,
	}, ctx}
}

// closeTimeout leaves an interrupted run its five seconds.
const closeTimeout = 4 * time.Second

// subject is the model to sweep: one of the server's, or a template.
type subject struct {
	model    string
	template *ollamarun.Modelfile
}

func newSubject(cfg sweep.Config) (subject, error) {
	if cfg.Engine == sweep.EngineEmbedded && cfg.Model == "" {
		cfg.Model = ollamarun.TinyModel
	}
	if cfg.Modelfile == "" {
		return subject{model: cfg.Model}, nil
	}
	template, err := ollamarun.ReadModelfile(cfg.Modelfile)
	if err != nil {
		return subject{}, err
	}
	if cfg.Model == "" {
		cfg.Model = template.From()
	}
	return subject{model: cfg.Model, template: &template}, nil
}

// header says what is swept and on what, as far as the server tells.
func (s subject) header(ctx context.Context, server *ollamarun.Server, cfg sweep.Config, prompter *sweep.Prompter) (sweep.Header, error) {
	grid := cfg.Grid()
	h := sweep.Header{
		Model:        s.model,
		PromptSHA256: prompter.SHA256(),
		NumPredict:   cfg.NumPredict,
		Runner:       cfg.Runner,
		NumCtx:       grid.Ctx,
		NumBatch:     grid.Batch,
		Shard:        cfg.Shard,
	}
	base := s.model
	if s.template != nil {
		h.ModelfileSHA256 = s.template.SHA256()
		base = s.template.From()
	}
	if !filepath.IsAbs(base) { // a file is no model of the server's yet
		model, err := server.Model(ctx, base)
		if err != nil {
			return sweep.Header{}, err
		}
		h.Digest, h.Quantization = model.Digest, model.Quantization
	}
	var err error
	if h.OllamaVersion, err = server.Version(ctx); err != nil {
		return sweep.Header{}, err
	}
	if cfg.Engine == sweep.EngineHost && server.Local() {
		h.GPU, h.Driver = ollamarun.GPUs(ctx)
	}
	return h, nil
}

// closingRunner is a runner that must be closed.
type closingRunner interface {
	sweep.Runner
	Close(context.Context) error
}

func (s subject) runner(ctx context.Context, server *ollamarun.Server, command string, cfg sweep.Config) (closingRunner, error) {
	if cfg.Runner == sweep.RunnerAPI {
		return ollamarun.NewAPI(ctx, server, s.model, s.template, cfg.NumPredict)
	}
	template := ollamarun.FromModel(s.model)
	if s.template != nil {
		template = *s.template
	}
	return ollamarun.NewCLI(server, command, template, cfg.NumPredict)
}

// startServer returns the server to measure on and the command that belongs to
// it. With an engine of our own the context ends when that does.
func startServer(ctx context.Context, t *testing.T, cfg sweep.Config, stdout io.Writer) (*ollamarun.Server, string, context.Context, error) {
	if cfg.Engine == sweep.EngineHost {
		host := cfg.Host
		if host == "" {
			host = os.Getenv("OLLAMA_HOST")
		}
		u, err := ollamarun.ParseHost(host)
		if err != nil {
			return nil, "", ctx, err
		}
		command := cfg.Ollama
		if command == "" {
			command = "ollama"
		}
		return &ollamarun.Server{URL: u, Wait: cfg.ServerWait, Log: os.Stdout}, command, ctx, nil
	}
	engine, err := ollamarun.StartEngine(ctx, engineSource, cfg.Out, os.Stdout)
	if err != nil {
		return nil, "", ctx, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		<-engine.Exited()
		cancel(fmt.Errorf("the embedded engine ended by itself; its log is %s", filepath.Join(cfg.Out, ollamarun.EngineLog)))
	}()
	t.Cleanup(func() {
		if err := engine.Stop(); err != nil {
			t.Error(err)
		}
	})
	command := cfg.Ollama
	if command == "" {
		command = engine.Ollama
	}
	return &engine.Server, command, ctx, nil
}

// interruptible returns a context that ends with the first SIGINT or SIGTERM.
// The second one finds no handler and ends the process at once.
func interruptible(t *testing.T) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		got := <-signals
		signal.Stop(signals)
		fmt.Printf("# %v: saving and clearing up; once more ends at once\n", got)
		cancel(fmt.Errorf("%w by a signal (%v)", sweep.ErrInterrupted, got))
	}()
	t.Cleanup(func() { signal.Stop(signals); cancel(nil) })
	return ctx
}

// lock keeps a second sweep out of the folder for as long as this process
// lives, and makes the folder.
func lock(t *testing.T, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("making the out folder: %w", err)
	}
	l := flock.New(filepath.Join(out, ".lock"))
	locked, err := l.TryLock()
	if err != nil {
		return fmt.Errorf("locking the out folder: %w", err)
	}
	if !locked {
		return fmt.Errorf("another sweep is at work in %s: wait for it, or use another folder with -out", out)
	}
	t.Cleanup(func() { l.Unlock() })
	return nil
}

// benchLines returns what adds a sample to bench.txt and to standard output.
func benchLines(t *testing.T, out string, cp *sweep.Checkpoint) (func(*sweep.Result, parse.Sample) error, error) {
	file, err := report.OpenBenchLog(out, cp)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { file.Close() })
	stdout := report.NewBenchWriter(os.Stdout, cp.Sweep)
	return func(r *sweep.Result, s parse.Sample) error {
		return errors.Join(stdout.Sample(r, s), file.Sample(r, s))
	}, nil
}

// deadline is when the run must have come to its end, in time for reports and
// clearing up before go test kills the process; zero for never.
func deadline(t *testing.T) time.Time {
	d, ok := t.Deadline()
	if !ok {
		return time.Time{}
	}
	return d.Add(-min(20*time.Second, time.Until(d)/5))
}

func budgetEnd(budget time.Duration) time.Time {
	if budget == 0 {
		return time.Time{}
	}
	return time.Now().Add(budget)
}

// report writes the reports and says where all is and how to go on.
func (b *bench) report(stdout io.Writer, summary sweep.Summary) error {
	cp := b.sweep.Store.Checkpoint()
	if len(cp.Results) > 0 {
		if err := report.Write(b.config.Out, cp); err != nil {
			return err
		}
		if err := report.Print(stdout, cp); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "files in %s: %s\n", b.config.Out, strings.Join([]string{sweep.FileName, report.TableFile, report.HeatmapFile, report.BenchFile}, ", "))
	}
	if err := summary.Print(stdout); err != nil {
		return err
	}
	fmt.Fprintln(stdout, b.howToGoOn(summary))
	return nil
}

func (b *bench) howToGoOn(summary sweep.Summary) string {
	switch {
	case summary.Missing > 0 && b.config.Fresh:
		return "to go on: the same command without -fresh measures what is missing"
	case summary.Missing > 0:
		return "to go on: the same command again measures what is missing"
	}
	return "to measure anew: -fresh, which keeps the old checkpoint under another name"
}

// sayLeftOut names the pairs that are no cells, by num_ctx.
func sayLeftOut(w io.Writer, leftOut []sweep.Cell) {
	batches := make(map[int][]int)
	var ctxs []int
	for _, c := range leftOut {
		if batches[c.Ctx] == nil {
			ctxs = append(ctxs, c.Ctx)
		}
		batches[c.Ctx] = append(batches[c.Ctx], c.Batch)
	}
	slices.Sort(ctxs)
	for _, ctx := range ctxs {
		fmt.Fprintf(w, "left out at num_ctx=%d: num_batch=%s, because servers cap num_batch at num_ctx\n",
			ctx, strings.Trim(fmt.Sprint(batches[ctx]), "[]"))
	}
}

func flagGiven(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name && f.Value.String() != "" })
	return given
}

// prefixed writes each line behind "# ", so that no reader of benchmarks takes
// it for one of its own.
type prefixed struct {
	w       io.Writer
	midLine bool
}

func (p *prefixed) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		if !p.midLine {
			line = "# " + line
		}
		p.midLine = !strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(p.w, line); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}
