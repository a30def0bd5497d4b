package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// NameBinaries names the binaries of an axis of the config by their versions, see [config.Config.NameBinaries].
func NameBinaries(ctx context.Context, cfg *config.Config) error {
	return cfg.NameBinaries(func(file string) (string, error) {
		path, err := exec.LookPath(file)
		if err != nil {
			return "", err
		}
		return ollamarun.CommandVersion(ctx, path)
	})
}

// startEngine starts the config's engine, with the settings of the plan's first cell, and returns its server.
// Where it does not start with them, it takes those of the next cells: the cells whose settings do not work
// fail, and the others are measured.
func (b *Sweep) startEngine(ctx context.Context, o Options) (*ollamarun.Server, error) {
	source, err := b.engineSource(o)
	if err != nil {
		return nil, err
	}
	command := source.Ollama
	plan, _ := b.config.Plan()
	var failed []error
	for _, settings := range serverSettings(plan) {
		var binary string
		source.Env, binary = settings.Environment(b.config.Fixed())
		source.Ollama = cmp.Or(b.config.Binaries[binary], command)
		engine, err := ollamarun.StartEngine(ctx, source, b.config.Out, b.log)
		if err != nil && ctx.Err() == nil {
			failed = append(failed, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, err := range failed {
			fmt.Fprintf(b.log, "warning: %v\n", err)
		}
		b.cleanup.add(engine.Stop)
		b.config.Ollama = engine.Ollama
		b.process = &process{engine: engine, running: settings, fixed: b.config.Fixed(), binaries: b.config.Binaries, serverLog: filepath.Join(b.config.Out, ollamarun.EngineLog), log: b.log}
		return &engine.Server, nil
	}
	return nil, failed[0]
}

// serverSettings returns the distinct settings of the server that the cells of a plan have, in their order:
// the one that is empty without cells.
func serverSettings(plan []cell.Key) []cell.Settings {
	var all []cell.Settings
	for _, s := range cell.AllSettings(plan) {
		if s := s.Server(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	if all == nil {
		all = []cell.Settings{""}
	}
	return all
}

// engineSource returns what the config's engine is started from.
func (b *Sweep) engineSource(o Options) (ollamarun.EngineSource, error) {
	source := ollamarun.EngineSource{Ollama: b.config.Ollama}
	if b.config.Engine == config.EngineEmbedded {
		source.Module = o.EngineSource
		return source, nil
	}
	var err error
	source.Models, err = ollamarun.UserModels(ollamarun.ServiceModels)
	if err != nil {
		return source, unusableModels(source.Models, err, o.Overrides.Command(o.Config))
	}
	if b.createsModels() {
		fmt.Fprintln(b.log, aboutCreation(source.Models))
	}
	return source, nil
}

// unusableModels adds to the error of the user's models folder what to do. Command is the flags of the
// sweep.
func unusableModels(dir string, err error, command string) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("engine own: this user can't read the models in %s: %w; run the sweep as one who can: sudo env \"PATH=$PATH\" OLLAMA_MODELS=%s go test -run Sweep -timeout 0 %s", dir, err, shell.Quoted(dir), command)
	}
	return fmt.Errorf("engine own: no models folder: %w: set OLLAMA_MODELS to the folder of your models, or use engine: host", err)
}

// createsModels reports whether the sweep creates a model.
func (b *Sweep) createsModels() bool {
	return b.config.Runner == config.RunnerCLI || b.config.Modelfile != ""
}

// aboutCreation returns the line about what creating models from those of the folder does there: from
// 0.21 on, Ollama sets the time of the files that a new model shares, which only their owner may do.
func aboutCreation(models string) string {
	const creates = "the sweep creates its model in the out folder, and not in %[1]s; Ollama 0.21 and later set the modification time of the files in %[1]s that it is made from"
	if info, err := os.Stat(filepath.Join(models, "blobs")); err == nil && os.Geteuid() != 0 {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
			return fmt.Sprintf("warning: "+creates+", which fails here because they belong to another user: use runner: api without a modelfile, or run the sweep as that user", models)
		}
	}
	return fmt.Sprintf(creates, models)
}
