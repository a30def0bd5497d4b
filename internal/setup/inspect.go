package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// Inspection is what is known of a server and its machine before anything is loaded.
type Inspection struct {
	Model    memory.Model
	Version  string // of the server, empty where it does not answer
	GPUBytes int64  // memory of all its GPUs, 0 where they are on another machine or not known
}

// Inspect gets the model's figures from the config's server, without loading the model. An
// engine is started for that and stopped. The error says why the model is not known;
// the other fields may be set in spite of it.
func Inspect(ctx context.Context, cfg config.Config, o Options) (in Inspection, err error) {
	scratch, err := os.MkdirTemp("", "ollama-sweep-plan-")
	if err != nil {
		return in, err
	}
	defer os.RemoveAll(scratch)
	cfg.Out = scratch // for the engine's log
	b := &Sweep{config: cfg, log: lines.Comments(o.Stdout)}
	defer func() { err = errors.Join(err, b.cleanup.run()) }()
	subject, err := newSubject(cfg)
	if err != nil {
		return in, err
	}
	if b.host, b.user, err = b.parseHost(); err != nil {
		return in, err
	}
	server, err := b.hostOrEngine(ctx, o)
	if err != nil {
		return in, err
	}
	if err := b.openLog(server); err != nil {
		return in, err
	}
	start, err := server.Start()
	if err != nil {
		return in, err
	}
	if usesOurGPUs(server, cfg, start.Devices) {
		in.GPUBytes = ollamarun.GPUMemory(ctx)
	}
	in.Version, _ = server.Version(ctx) // the model's own error says why it does not answer
	name := subject.base()
	if filepath.IsAbs(name) {
		return in, errors.New("the template's weights are a file that the server does not have yet")
	}
	info, weights, err := server.ModelInfo(ctx, name)
	if err != nil {
		return in, err
	}
	in.Model, err = memory.FromInfo(info, weights)
	return in, err
}
