package setup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// openLog has the server's log looked at from now on, where there is one to read.
func (b *Session) openLog(server *ollamarun.Server) (err error) {
	log := b.config.ServerLog
	if b.config.Engine == config.EngineEmbedded { // a log that is named is another server's
		log = filepath.Join(b.config.Out, ollamarun.EngineLog)
	}
	if log != "" {
		server.ServerLog, err = ollamarun.OpenServerLog(log)
	}
	return err
}

// usesOurGPUs reports whether the server may compute on this machine's GPUs. The embedded
// engine's log says what it computes on.
func usesOurGPUs(server *ollamarun.Server, cfg config.Config, devices []string) bool {
	if cfg.Engine == config.EngineEmbedded {
		return slices.ContainsFunc(devices, func(device string) bool { return device != parse.CPU })
	}
	return server.Local()
}

// watch has the server's CPUs and GPUs looked at from now on, where that can be done, and says
// where one is not idle before the first load.
func (b *Session) watch(server *ollamarun.Server, subject subject, store *checkpoint.Store) error {
	server.Exclusive = b.config.Exclusive
	if err := b.sayCompany(server, subject, store); err != nil {
		return err
	}
	if b.config.Engine == config.EngineEmbedded || server.Local() {
		server.CPU = ollamarun.NewCPUMonitor()
	}
	if !usesOurGPUs(server, b.config, store.Checkpoint().Sweep.Devices) {
		return nil
	}
	server.Monitor = ollamarun.StartGPUMonitor(b.ctx)
	b.atEnd(server.Monitor.Close)
	for _, gpu := range server.Monitor.Now() {
		if gpu.Utilization < check.BusyGPU {
			continue
		}
		text := fmt.Sprintf("other models: GPU %d is busy before the sweep starts (%d %%, %d MiB in use): rates will be too low; stop what uses it", gpu.Index, gpu.Utilization, gpu.MemoryMiB)
		if b.config.Exclusive {
			return fmt.Errorf("%s, or leave -exclusive out", text)
		}
		fmt.Fprintln(b.say, "warning: "+text)
		store.Warn(text)
	}
	return nil
}

// sayCompany tells of others that are at work on the server before the first
// load. What is in memory beside the samples is told of with each of them.
func (b *Session) sayCompany(server *ollamarun.Server, subject subject, store *checkpoint.Store) error {
	company, err := server.Company(b.ctx, subject.model)
	if err != nil {
		return err
	}
	first, err := b.claim(server, subject.base(), &company)
	if err != nil {
		return err
	}
	if len(company.Sweeps) > 0 {
		text := fmt.Sprintf("other models: another sweep is at work on this server (%s): both will be held up, and read too low; wait for it", strings.Join(company.Sweeps, ", "))
		if b.config.Exclusive && !first {
			return errors.New(text + ", or leave -exclusive out")
		}
		fmt.Fprintln(b.say, "warning: "+text)
		store.Warn(text)
	}
	if company.Ours {
		fmt.Fprintln(b.say, "warning: other models: the model is in the server's memory already: where no sweep was killed just now, somebody else is at work on this server, and rates will be too low")
	}
	if len(company.Others) > 0 {
		fmt.Fprintf(b.say, "warning: other models: %s in the server's memory before the sweep starts: what uses it makes rates too low\n", strings.Join(company.Others, ", "))
	}
	return nil
}

// claim shows other sweeps that this one is at work on the user's server, adds theirs to the company,
// and reports whether this one is the first.
func (b *Session) claim(server *ollamarun.Server, model string, company *ollamarun.Company) (first bool, err error) {
	if b.config.Engine == config.EngineEmbedded || filepath.IsAbs(model) { // nobody else's, or of a file, of which the runner makes a model
		return false, nil
	}
	loaded := len(company.Sweeps) > 0
	others, first, err := server.Claim(b.ctx, model)
	b.atEnd(func() error {
		ctx, cancel := context.WithDeadline(context.Background(), b.clearBy)
		defer cancel()
		if err := server.Unclaim(ctx); err != nil && server.Reachable(ctx) {
			return fmt.Errorf("clearing up on the server: %w", err)
		}
		return nil
	})
	for _, name := range others {
		if !slices.Contains(company.Sweeps, name) {
			company.Sweeps = append(company.Sweeps, name)
		}
	}
	return first && !loaded, err
}
