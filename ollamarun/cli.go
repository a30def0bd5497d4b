package ollamarun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// CLI measures the classic way: `ollama create` for each pair of settings and
// `ollama run --verbose` for each prompt. Make one with NewCLI and end it with
// Close.
type CLI struct {
	*Server
	command    string
	template   Modelfile
	numPredict int
	model      string // temporary
	created    bool
	dir        *outdir.Scratch // of the Modelfile
}

// NewCLI returns a runner that calls command ("ollama", or a file), and checks
// that it is there and is what it should be, and that it can make a model of the template where that
// is a file's. Its Modelfile has a folder of its own in the folder out, since the command
// takes a file of a model's name beside that for the model; Close removes it.
func NewCLI(ctx context.Context, s *Server, command string, template Modelfile, numPredict int, out string) (*CLI, error) {
	const instead = "name its file with -ollama FILE, or use -runner api, which needs none"
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

// tryTemplate returns an error where the command makes no model of the template, or one
// that can't be measured. In a cell it would be that cell's failure, and each one's.
func (c *CLI) tryTemplate(ctx context.Context) error {
	if err := c.create(ctx, c.template); err != nil {
		return fmt.Errorf("model of the template %q: creating it: %w", c.template.From(), err)
	}
	_, err := c.Model(ctx, c.model)
	return err
}

// create makes the temporary model of a template.
func (c *CLI) create(ctx context.Context, m Modelfile) error {
	file := filepath.Join(c.dir.Path, "Modelfile")
	if err := os.WriteFile(file, []byte(m.String()), 0o600); err != nil {
		return fmt.Errorf("writing the Modelfile: %w", err)
	}
	c.created = true // a creation that fails can leave a broken model behind
	_, err := c.run(ctx, "", "create", c.model, "-f", file)
	return err
}

// checkCommand returns an error when the command is no ollama, and warns of one
// of another version than the server's.
func (c *CLI) checkCommand(ctx context.Context) error {
	own, err := commandVersion(ctx, cmp.Or(c.answerTime, answerTime), func(ctx context.Context) *exec.Cmd { return c.prepare(ctx, "--version") })
	if err != nil {
		return err
	}
	if server, err := c.Version(ctx); err == nil && own != server {
		c.say("warning: the ollama command is of version %s and the server of %s: it may lack what the server needs", own, server)
	}
	return nil
}

// Load creates the temporary model with the two settings and ends with the
// warm-up prompt, which brings it into memory. A numBatch of 0 is the server's
// own choice.
func (c *CLI) Load(ctx context.Context, numCtx, numBatch int, warmup func() string) (measurement.Loaded, error) {
	if err := c.beforeLoad(ctx, c.model); err != nil {
		return measurement.Loaded{}, err
	}
	m := c.template.Without("num_batch").WithParameter("num_ctx", numCtx)
	if numBatch != 0 {
		m = m.WithParameter("num_batch", numBatch)
	}
	m = m.WithParameter("num_predict", c.numPredict)
	if err := c.create(ctx, m); err != nil {
		return measurement.Loaded{}, c.explain(ctx, c.template.From(), err)
	}
	sample, err := warmUp(ctx, warmup, c.read)
	if err != nil {
		return measurement.Loaded{}, c.explain(ctx, c.template.From(), err)
	}
	return c.loaded(ctx, c.model, sample)
}

// Sample has the loaded model read a prompt, and another where the command prints no summary.
func (c *CLI) Sample(ctx context.Context, prompt func() string) (measurement.Sample, error) {
	return c.sample(ctx, c.model, c.template.From(), prompt, c.read)
}

// read has the command send a prompt and returns the figures of its summary and
// the time that the command took.
func (c *CLI) read(ctx context.Context, prompt string) (measurement.Sample, error) {
	begin := time.Now()
	stderr, err := c.run(ctx, prompt, "run", c.model, "--verbose", "--keepalive", keepLoaded.String())
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

// Settle unloads the model and waits for its memory to be given back.
func (c *CLI) Settle(ctx context.Context) error { return c.settle(ctx, c.model) }

// Unload frees the model's memory.
func (c *CLI) Unload(ctx context.Context) error {
	if !c.created {
		return nil
	}
	return c.Server.Unload(ctx, c.model)
}

// Close unloads and deletes the temporary model.
func (c *CLI) Close(ctx context.Context) error {
	err := c.dir.Remove()
	if c.created {
		return errors.Join(err, c.Server.close(ctx, c.model, true))
	}
	return errors.Join(err, c.unmark(c.model))
}

// interruptGrace is how long the command has to end after an interrupt.
const interruptGrace = time.Second

// run calls the command and returns what it printed on standard error, where
// summary and errors stand. What the model says on standard output is of no use
// here and can contain anything.
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
		return nil, &measurement.Failure{Class: measurement.OutOfSystemMemory, Detail: fmt.Sprintf("ollama %s was killed, as the system does with a process when memory runs out", args[0])}
	}
	if text := parse.ErrorText(out); text != "" {
		f := said(0, text)
		c.busy.note(f)
		return nil, f
	}
	return nil, &measurement.Failure{Class: measurement.NoFigures, Detail: fmt.Sprintf("ollama %s: %v, without an error text", args[0], exit)}
}

// prepare returns a call of the command that ends with ctx.
func (c *CLI) prepare(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.command, args...)
	cmd.Env = append(os.Environ(), "OLLAMA_HOST="+c.URL.String())
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	// In a group of its own, so that an interrupt from the keyboard reaches it
	// by way of ctx alone and the model is still there to be cleared up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// tail keeps the last bytes written to it, of which there are at most
// 2 × tailSize: spinners run for as long as a model loads.
type tail []byte

const tailSize = 1 << 20

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if len(*t) > 2*tailSize {
		*t = append((*t)[:0], (*t)[len(*t)-tailSize:]...)
	}
	return len(p), nil
}
