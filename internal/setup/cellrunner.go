package setup

import (
	"context"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Ollama is a runner of ollamarun.
type Ollama interface {
	Ready(context.Context) error
	Load(ctx context.Context, numCtx, numBatch int, warmup func() string) (measurement.Loaded, error)
	Sample(ctx context.Context, prompt func() string) (measurement.Sample, error)
	Unload(context.Context) error
	Settle(context.Context) error
	Close(context.Context) error
	SetOptions(map[string]any)
	sweep.Prober
}

// CellRunner returns a runner that loads cells with a runner of ollamarun. Fixed are the settings besides
// num_ctx and num_batch that have one value in the sweep, by their names; nil for none.
func CellRunner(runner Ollama, fixed map[string]string) sweep.Runner {
	return &cellRunner{Ollama: runner, fixed: fixed}
}

// cellRunner loads cells with a runner of ollamarun.
type cellRunner struct {
	Ollama
	fixed   map[string]string // settings that have one value in the sweep
	process *process          // nil for a server of the user's
}

// Load implements [sweep.Runner].
func (r *cellRunner) Load(ctx context.Context, c cell.Key, warmup func() string) (measurement.Loaded, error) {
	if r.process != nil {
		if err := r.process.start(ctx, c.Settings.Server(), r.Ollama); err != nil {
			return measurement.Loaded{}, err
		}
	}
	r.SetOptions(r.options(c))
	return r.Ollama.Load(ctx, c.Ctx, c.Batch, warmup)
}

// Ready implements [sweep.Runner]. A server that could not be started, or has ended, is started by the next
// load.
func (r *cellRunner) Ready(ctx context.Context) error {
	if r.process.down() {
		return nil
	}
	running, cancel := r.process.whileRunning(ctx)
	defer cancel()
	err := r.Ollama.Ready(running)
	if err != nil && ctx.Err() == nil && r.process.down() {
		return nil
	}
	return err
}

// Unload implements [sweep.Runner].
func (r *cellRunner) Unload(ctx context.Context) error {
	if r.process.down() {
		return nil
	}
	return r.Ollama.Unload(ctx)
}

// Settle implements [sweep.Runner].
func (r *cellRunner) Settle(ctx context.Context) error {
	if r.process.down() {
		return nil
	}
	return r.Ollama.Settle(ctx)
}

// options returns the load options of a cell, without those that are left to the server.
func (r *cellRunner) options(c cell.Key) map[string]any {
	options := make(map[string]any)
	set := func(name, value string) {
		s, _ := cell.SettingOf(name)
		switch {
		case s.Server:
		case value == cell.Auto:
			delete(options, name)
		default:
			options[name] = optionValue(value)
		}
	}
	for name, value := range r.fixed {
		set(name, value)
	}
	for name, value := range c.Settings.All() {
		set(name, value)
	}
	return options
}

// optionValue returns the value of a load option as the API has it.
func optionValue(value string) any {
	if n, err := strconv.Atoi(value); err == nil {
		return n
	}
	return value == "true"
}
