package setup

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/shell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
)

// startServer returns the server to measure on, once it answers and the leftovers of
// killed sweeps are deleted.
func (b *Sweep) startServer(ctx context.Context, o Options) (*ollamarun.Server, error) {
	server, err := b.hostOrEngine(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := server.Ready(ctx); err != nil {
		return nil, err
	}
	leftovers, unsure, err := server.DeleteLeftovers(ctx)
	for _, name := range leftovers {
		fmt.Fprintf(b.log, "deleted %s, left by a run that was killed\n", name)
	}
	for _, name := range unsure {
		fmt.Fprintf(b.log, "%s stays on the server: it is not known whether a sweep still uses it; if none does, delete it: OLLAMA_HOST=%s ollama rm %s\n", name, shell.Quoted(server.Address()), name)
	}
	return server, err
}

// hostOrEngine returns the config's server, or starts an engine. It also decides which
// command the cli runner calls.
func (b *Sweep) hostOrEngine(ctx context.Context, o Options) (*ollamarun.Server, error) {
	if b.config.StartsServer() {
		return b.startEngine(ctx, o)
	}
	if b.config.Ollama == "" {
		b.config.Ollama = "ollama"
	}
	return &ollamarun.Server{URL: b.host, User: b.user, Wait: b.config.ServerWait, Log: b.log, ModelList: modelList{b.dir}}, nil
}

// parseHost reads the server's address from the config, or the environment.
func (b *Sweep) parseHost() (*url.URL, *url.Userinfo, error) {
	if b.config.Host != "" || b.config.StartsServer() {
		return ollamarun.ParseHost(b.config.Host)
	}
	u, user, err := ollamarun.ParseHost(os.Getenv("OLLAMA_HOST"))
	if err != nil {
		err = fmt.Errorf("OLLAMA_HOST: %w", err)
	}
	return u, user, err
}

// closeTimeout limits the cleanup on the server. The rest of the five seconds in which
// an interrupted run ends is for the ollama command and the engine.
const closeTimeout = 2 * time.Second

// closingRunner is a runner that has to be closed.
type closingRunner interface {
	sweep.Runner
	Close(context.Context) error
}

func (b *Sweep) startRunner(ctx context.Context, server *ollamarun.Server, s subject) (sweep.Runner, error) {
	runner, err := b.newRunner(ctx, server, s)
	if err != nil {
		return nil, err
	}
	b.cleanup.add(func() error {
		ctx, cancel := b.cleanup.requests()
		defer cancel()
		err := runner.Close(ctx)
		switch {
		case err == nil:
			return nil
		case server.Reachable(ctx):
			return fmt.Errorf("cleaning up on the server: %w", err)
		}
		fmt.Fprintln(b.log, "the server does not answer: the next start deletes what is left on it")
		return nil
	})
	return runner, nil
}

func (b *Sweep) newRunner(ctx context.Context, server *ollamarun.Server, s subject) (closingRunner, error) {
	runner, err := b.newOllama(ctx, server, s)
	if err != nil {
		return nil, err
	}
	return &cellRunner{Ollama: runner, fixed: b.config.Fixed(), process: b.process}, nil
}

func (b *Sweep) newOllama(ctx context.Context, server *ollamarun.Server, s subject) (Ollama, error) {
	// A template's weights may have to be uploaded.
	ctx, cancel := context.WithTimeoutCause(ctx, b.config.CellTimeout, fmt.Errorf("creating the model of the template took longer than %v (cell_timeout)", b.config.CellTimeout))
	defer cancel()
	if b.config.Runner == config.RunnerAPI {
		return ollamarun.NewAPI(ctx, server, s.model, s.template, b.config.NumPredict)
	}
	template := ollamarun.FromModel(s.model)
	if s.template != nil {
		template = *s.template
	}
	return ollamarun.NewCLI(ctx, server, b.config.Ollama, template, b.config.NumPredict, b.config.Out)
}
