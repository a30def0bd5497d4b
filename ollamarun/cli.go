package ollamarun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// CLI measures with the ollama command: `ollama create` for each cell and
// `ollama run --verbose` for each prompt. Create one with NewCLI and call Close
// when done.
type CLI struct {
	*Server
	command    string
	template   Modelfile
	numPredict int
	model      string // temporary
	numCtx     int    // of the current load, like numBatch
	numBatch   int
	probed     probedModel
	created    bool
	options    map[string]any  // of SetOptions
	dir        *outdir.Scratch // of the Modelfile
}

// NewCLI returns a runner that calls command ("ollama", or a file), and generates numPredict tokens after
// each prompt. It checks that the command exists and is Ollama's, and that it can create a model from the
// template if that was read from a file. The Modelfile gets a folder of its own in the folder out, because
// the command would use a file next to it that has the model's name; Close removes that folder.
func NewCLI(ctx context.Context, s *Server, command string, template Modelfile, numPredict int, out string) (*CLI, error) {
	const instead = "name its file with -ollama FILE, or use -runner api, which needs no command"
	if s.User != nil {
		return nil, errors.New("the ollama command can't send the user and the password of -host: use -runner api")
	}
	path, err := exec.LookPath(command)
	if err != nil {
		return nil, fmt.Errorf("the cli runner calls the ollama command: %w; %s", err, instead)
	}
	c := &CLI{Server: s, command: path, template: template, numPredict: numPredict}
	if err := c.checkCommand(ctx); err != nil {
		return nil, fmt.Errorf("%w; %s", err, instead)
	}
	dir, err := outdir.Open(out, "", nil)
	if err != nil {
		return nil, err
	}
	if c.model, err = s.newTemporary(); err != nil {
		return nil, err
	}
	if c.dir, err = dir.Scratch("modelfile"); err != nil {
		return nil, err
	}
	if template.SHA256() == "" {
		return c, nil
	}
	if err := c.tryTemplate(ctx); err != nil {
		return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// tryTemplate returns an error if the command can't create a model from the template, or
// creates one that can't be measured. Found later, it would fail every cell.
func (c *CLI) tryTemplate(ctx context.Context) error {
	if err := c.create(ctx, c.template); err != nil {
		return fmt.Errorf("model of the template %q: creating it: %w", c.template.From(), err)
	}
	_, err := c.Model(ctx, c.model)
	return err
}

// create creates the temporary model from a template.
func (c *CLI) create(ctx context.Context, m Modelfile) error {
	file := filepath.Join(c.dir.Path, "Modelfile")
	if err := os.WriteFile(file, []byte(m.String()), 0o600); err != nil {
		return fmt.Errorf("writing the Modelfile: %w", err)
	}
	c.created = true // even if it fails: that can leave a broken model behind
	_, err := c.run(ctx, "", "create", c.model, "-f", file)
	return err
}

// checkCommand returns an error if the command is not Ollama's, and warns if its
// version differs from the server's.
func (c *CLI) checkCommand(ctx context.Context) error {
	own, err := commandVersion(ctx, cmp.Or(c.answerTimeout, answerTimeout), func(ctx context.Context) *exec.Cmd { return c.prepare(ctx, "--version") })
	if err != nil {
		return err
	}
	if server, err := c.Version(ctx); err == nil && own != server {
		c.logf("warning: the ollama command has version %s and the server %s: the command may lack what the server needs", own, server)
	}
	return nil
}

// SetCommand sets the file of the command for the next loads, which [NewCLI] has checked a first one of: a
// sweep over several binaries of Ollama uses the one of its server.
func (c *CLI) SetCommand(file string) { c.command = file }

// SetOptions sets the load options besides num_ctx and num_batch of the next loads, as [API.SetOptions] does.
func (c *CLI) SetOptions(options map[string]any) { c.options = options }

// Load creates the temporary model with the two settings, in tokens, and the options, and sends the
// warm-up prompt, which loads it. With a numBatch of 0 the server chooses. The command has no flags for
// load options, so that each cell takes an `ollama create`; its time counts in no rate. What Load
// returns is the same as of [API.Load].
func (c *CLI) Load(ctx context.Context, numCtx, numBatch int, warmup func() string) (measurement.Loaded, error) {
	if err := c.beforeLoad(ctx, c.model); err != nil {
		return measurement.Loaded{}, err
	}
	c.numCtx, c.numBatch = numCtx, numBatch
	m := c.template.Without("num_batch").WithParameter("num_ctx", numCtx)
	if numBatch != 0 {
		m = m.WithParameter("num_batch", numBatch)
	}
	for _, name := range slices.Sorted(maps.Keys(c.options)) {
		m = m.WithParameter(name, c.options[name])
	}
	m = m.WithParameter("num_predict", c.numPredict)
	if err := c.create(ctx, m); err != nil {
		return measurement.Loaded{}, c.explain(ctx, c.template.From(), err)
	}
	sample, err := warmUp(ctx, warmup, c.generate)
	if err != nil {
		return measurement.Loaded{}, c.explain(ctx, c.template.From(), err)
	}
	return c.loaded(ctx, c.model, sample)
}

// Sample measures one prompt on the loaded model, and another one if the command prints no summary. Counts
// and durations are those of the summary that `ollama run --verbose` prints, and the wall-clock time includes
// the start of the command. Prompt is as of [API.Sample].
func (c *CLI) Sample(ctx context.Context, prompt func() string) (measurement.Sample, error) {
	return c.sample(ctx, c.model, c.template.From(), prompt, c.generate)
}

// generate runs the command on a prompt and returns the figures of its summary and
// the wall-clock time of the command.
func (c *CLI) generate(ctx context.Context, prompt string) (measurement.Sample, error) {
	begin := time.Now()
	stderr, err := c.run(ctx, prompt, "run", c.model, "--verbose", "--keepalive", keepAlive.String())
	if err != nil {
		return measurement.Sample{}, err
	}
	sample, err := parse.Summary(stderr)
	sample.Wall = time.Since(begin)
	var failure *measurement.Failure
	switch {
	case err == nil:
		c.busy = busy{}
	case errors.As(err, &failure) && failure.Class == measurement.NoFigures:
		err = &unfinished{failure.Detail}
	}
	return sample, err
}

// Settle unloads the model and waits until its memory is free, as [API.Settle] does.
func (c *CLI) Settle(ctx context.Context) error { return c.settle(ctx, c.model) }

// Unload frees the model's memory. The temporary model stays, and the next Load replaces it.
func (c *CLI) Unload(ctx context.Context) error {
	if !c.created {
		return nil
	}
	return c.Server.Unload(ctx, c.model)
}

// Close unloads and deletes the temporary model, and removes the folder of its Modelfile. Like [API.Close]
// it needs a context that is not cancelled.
func (c *CLI) Close(ctx context.Context) error {
	err := c.dir.Remove()
	if c.created {
		return errors.Join(err, c.Server.close(ctx, c.model, true))
	}
	return errors.Join(err, c.unmark(c.model))
}

// interruptGrace is how long the command may take to exit after an interrupt.
const interruptGrace = time.Second

// run calls the command and returns its standard error, which has the summary and
// error messages. Standard output, the generated text, is discarded: it can contain
// anything.
func (c *CLI) run(ctx context.Context, stdin string, args ...string) (stderr []byte, err error) {
	var out tail
	cmd := c.prepare(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stderr = &out
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out, nil
	case !errors.As(err, &exit):
		return nil, fmt.Errorf("calling %s %s: %w", c.command, args[0], err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
		return nil, &measurement.Failure{Class: measurement.OutOfSystemMemory, Detail: fmt.Sprintf("ollama %s was killed with SIGKILL, as the system does when memory runs out", args[0])}
	}
	if text := parse.ErrorText(out); text != "" {
		f := failureFrom(0, text)
		c.busy.note(f)
		return nil, f
	}
	return nil, &measurement.Failure{Class: measurement.NoFigures, Detail: fmt.Sprintf("ollama %s: %v, without an error message", args[0], exit)}
}

// prepare returns a command that is interrupted when ctx ends.
func (c *CLI) prepare(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.command, args...)
	cmd.Env = append(os.Environ(), "OLLAMA_HOST="+c.URL.String())
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	// A process group of its own: Ctrl-C reaches the command only through ctx, after
	// which the model is cleaned up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// tail is a writer that keeps the last bytes, at most 2 × tailSize: the command
// prints a spinner for as long as a model loads.
type tail []byte

// tailSize is in bytes. The summary that `ollama run --verbose` ends with takes less than a kilobyte.
const tailSize = 1 << 20

// Write implements [io.Writer]. It drops the older half only when there is one, so that it copies seldom.
func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if len(*t) > 2*tailSize {
		*t = append((*t)[:0], (*t)[len(*t)-tailSize:]...)
	}
	return len(p), nil
}
