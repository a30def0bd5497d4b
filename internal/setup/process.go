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
	engine   engine
	running  cell.Settings     // those of the settings that are axes
	failed   bool              // the last start, so that no server runs
	fixed    map[string]string // settings that have one value in the sweep
	binaries map[string]string // files by their names in keys
	log      io.Writer         // lines for people
}

// start starts the server again if it runs with other settings. A server that does not start with them is
// the failure of the cell that has them.
func (p *process) start(ctx context.Context, settings cell.Settings, runner Ollama) error {
	if settings == p.running && !p.failed {
		return nil
	}
	env, binary := settings.Environment(p.fixed)
	fmt.Fprintf(p.log, "starting the server with %s\n", settings.Text())
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
	select {
	case <-p.engine.Exited(): // it can't be started again, whatever the settings
		return err
	default:
	}
	return &measurement.Failure{Class: measurement.ModelError, Detail: err.Error()}
}

// down reports whether no server runs because the last start has failed.
func (p *process) down() bool { return p != nil && p.failed }
