package setup

import (
	"context"
	"fmt"
	"io"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// engine is the server's process as [ollamarun.Engine] starts it.
type engine interface {
	Restart(ctx context.Context, ollama string, env map[string]string) error
	Exited() <-chan struct{}
	Command() string
}

// process is the server that the sweep starts, with the settings of the cell that is measured.
type process struct {
	engine    engine
	running   cell.Settings     // those of the settings that are axes
	failed    bool              // no server runs: the last start has failed, or the server has ended
	fixed     map[string]string // settings that have one value in the sweep
	binaries  map[string]string // files by their names in keys
	serverLog string            // the file of the server's log
	log       io.Writer         // lines for people
}

// start starts the server again if it runs with other settings, or has ended. A server that does not start with
// them is the failure of the cell that has them.
func (p *process) start(ctx context.Context, settings cell.Settings, runner Ollama) error {
	if settings == p.running && !p.down() {
		return nil
	}
	env, binary := settings.Environment(p.fixed)
	with := ""
	if settings != "" {
		with = " with " + settings.Text()
	}
	fmt.Fprintf(p.log, "starting the server%s\n", with)
	p.running = settings
	err := p.engine.Restart(ctx, p.binaries[binary], env)
	p.failed = err != nil
	if cli, ok := runner.(*ollamarun.CLI); ok && err == nil {
		cli.SetCommand(p.engine.Command())
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &measurement.Failure{Class: measurement.ModelError, Detail: err.Error()}
}

// down reports whether no server runs: the last start has failed, or the server has ended by itself, which it
// prints.
func (p *process) down() bool {
	if p == nil || p.failed {
		return p != nil
	}
	select {
	case <-p.engine.Exited():
		fmt.Fprintf(p.log, "warning: the server has ended by itself; its log is %s\n", p.serverLog)
		p.failed = true
	default:
	}
	return p.failed
}

// whileRunning returns a context that also ends when the server does.
func (p *process) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(context.Canceled) }
	if p == nil {
		return ctx, stop
	}
	exited := p.engine.Exited()
	go func() {
		select {
		case <-exited:
			cancel(fmt.Errorf("the engine ended unexpectedly; its log is %s", p.serverLog))
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}
