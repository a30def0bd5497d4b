package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/outdir"
	"github.com/ollama-sweep/ollama-sweep/internal/tinymodel"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// TinyModel is the name of the embedded engine's only model.
const TinyModel = "tiny"

// EngineLog is the file name of the engine's log in the out folder.
const EngineLog = outdir.EngineLog

// Engine is a private Ollama server on a loopback port, with its home and its models folder in a
// temporary folder. Its model is TinyModel, or its models are links to the user's. Start one with
// StartEngine and end it with Stop. Its methods must not be called at the same time.
type Engine struct {
	Server Server
	// Ollama is the file of its command.
	Ollama string

	env     map[string]string // settings of the server
	dir     *outdir.Dir       // the out folder
	home    *outdir.Scratch   // removed by Stop
	process *engineProcess    // nil if the last start has failed
	stopped bool
}

// engineStart is how long the server may take until its first answer.
const engineStart = time.Minute

// engineAway is how long a started server may be away: longer than it takes to notice that its process
// has ended, which is the better reason.
const engineAway = 10 * time.Second

// StartEngine starts a server with the source's ollama command, and prints version and file of the
// command. Unless the source names the user's models, it creates TinyModel. The server's log is
// appended to engine.log in the folder out, which must exist.
func StartEngine(ctx context.Context, source EngineSource, out string, log io.Writer) (*Engine, error) {
	file, origin, err := source.find(ctx, log)
	if err != nil {
		return nil, err
	}
	e := &Engine{Ollama: file, env: source.Env}
	e.Server.Log, e.Server.Wait = log, engineAway
	if e.dir, err = outdir.Open(out, "", nil); err != nil {
		return nil, err
	}
	if e.home, err = e.dir.Scratch("engine"); err != nil {
		return nil, err
	}
	version, err := e.open(ctx, source)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; the command is %s (%s): %s", err, file, origin, source.advice()), e.Stop())
	}
	fmt.Fprintf(log, "engine: Ollama %s, %s (%s)%s\n", version, file, origin, source.described())
	return e, nil
}

// open makes the models folder, starts the server and returns its version.
func (e *Engine) open(ctx context.Context, source EngineSource) (version string, err error) {
	if source.Models != "" {
		if err := linkModels(source.Models, filepath.Join(e.home.Path, modelsFolder)); err != nil {
			return "", err
		}
		e.Server.models = source.Models
		return e.serve(ctx)
	}
	if version, err = e.serve(ctx); err != nil {
		return "", err
	}
	gguf := filepath.Join(e.home.Path, "tiny.gguf")
	if err := tinymodel.Write(gguf); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, engineStart)
	defer cancel()
	// One thread: several wait for each other by spinning, and if another process
	// takes a core, a prompt takes fifty times as long.
	return version, e.Server.create(ctx, TinyModel, FromModel(gguf).WithParameter("num_thread", 1))
}

// serve starts the server, waits for its first answer, and returns its version.
func (e *Engine) serve(ctx context.Context) (version string, err error) {
	path := filepath.Join(e.dir.Path(), EngineLog)
	defer func() {
		if err != nil {
			err = fmt.Errorf("starting the engine%s: %w; its log is %s", withSettings(e.env), err, path)
		}
	}()
	p, err := e.start()
	if err != nil {
		return "", err
	}
	if version, err = e.await(ctx, p); err != nil {
		p.end()
		return "", err
	}
	e.process = p
	return version, nil
}

// await waits for the process's first answer. It returns an error if the process exits instead, or if it
// ignores a setting.
func (e *Engine) await(ctx context.Context, p *engineProcess) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, engineStart)
	defer cancel()
	for {
		version, err := e.Server.Version(ctx)
		text, logErr := p.log.Since()
		switch {
		case logErr != nil:
			return "", logErr
		// Without this line another server has answered, which took the port a moment ago.
		case err == nil && strings.Contains(string(text), "Listening on "+e.Server.URL.Host):
			return version, refusedSettings(text)
		}
		select {
		case <-p.ended:
			if text, err = p.log.Since(); err != nil {
				return "", err
			}
			return "", fmt.Errorf("it exited at once%s", lastWords(string(text)))
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// refusedSettings returns an error if the log says that the server uses its default in the place of a
// setting.
func refusedSettings(log []byte) error {
	if refused := parse.RefusedSettings(log); len(refused) > 0 {
		return fmt.Errorf("the server does not accept %s and would use its default", oneLine(strings.Join(refused, ", ")))
	}
	return nil
}

// lastWords returns the last line that a server which has ended wrote to its log.
func lastWords(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if line := oneLine(lines[i]); line != "" && !strings.HasPrefix(line, engineEnded) {
			return ": " + line
		}
	}
	return ""
}

// Restart ends the server with all that it started, if it still runs, waits until the GPU memory that it held is
// free, and starts it with other settings and, unless ollama is empty, with another command. The address stays
// the same unless another program has taken the port. If the start fails, there is no server until the next
// Restart.
func (e *Engine) Restart(ctx context.Context, ollama string, env map[string]string) error {
	if e.stopped {
		return errors.New("the engine was stopped, so it is not started again")
	}
	if err := checkSettings(env); err != nil {
		return err
	}
	if ollama != "" {
		file, _, err := EngineSource{Ollama: ollama}.find(ctx, e.Server.Log)
		if err != nil {
			return err
		}
		e.Ollama = file
	}
	e.env = env
	if err := e.endProcess(ctx); err != nil {
		return err
	}
	if err := e.Server.waitFreed(ctx, time.Now().Add(settleWait)); err != nil {
		return err
	}
	e.Server.forget()
	if _, err := e.serve(ctx); err != nil {
		return err
	}
	return e.Server.ServerLog.Mark()
}

// endProcess ends the server and waits until all that it started has ended too.
func (e *Engine) endProcess(ctx context.Context) error {
	if e.process == nil {
		return nil
	}
	p := e.process
	p.end()
	e.process = nil
	select {
	case <-p.gone:
		return nil
	case <-time.After(settleWait):
		return fmt.Errorf("processes that the engine started have not ended within %v", settleWait)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Command returns the file of the engine's command.
func (e *Engine) Command() string { return e.Ollama }

// Exited returns a channel that is closed when the server that runs now has ended, nil while there is none.
// A server that ends although nobody has called Stop or Restart has crashed; its log says why.
func (e *Engine) Exited() <-chan struct{} {
	if e.process == nil {
		return nil
	}
	return e.process.ended
}

// Stop ends the engine and all processes that it started, and removes its home. It first asks the server to
// end, so that it frees the GPU, and kills what is left after 1.5 seconds. It may be called more than once.
// An error is that of the home, which then has to be removed by hand.
func (e *Engine) Stop() error {
	e.stopped = true
	if e.process != nil {
		e.process.end()
	}
	return e.home.Remove()
}
