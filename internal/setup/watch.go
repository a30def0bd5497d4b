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
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/ollamarun"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// openLog opens the server's log, where the config names one or the sweep has started the server.
func (b *Sweep) openLog(server *ollamarun.Server) (err error) {
	log := b.config.ServerLog
	if b.config.StartsServer() { // server_log would be the log of another server
		log = filepath.Join(b.config.Out, ollamarun.EngineLog)
	}
	if log != "" {
		server.ServerLog, err = ollamarun.OpenServerLog(log)
	}
	return err
}

// usesOurGPUs reports whether the server may compute on this machine's GPUs. The devices of an
// engine are known from its log.
func usesOurGPUs(server located, cfg config.Config, devices []string) bool {
	if cfg.StartsServer() {
		return slices.ContainsFunc(devices, func(device string) bool { return device != parse.CPU })
	}
	return server.Local()
}

// watch starts the monitors of CPUs and GPUs, where they are this machine's, and warns of other sweeps,
// other models and busy GPUs before the first load.
func (b *Sweep) watch(ctx context.Context, server *ollamarun.Server, subject subject, store *checkpoint.Store) error {
	server.Exclusive = b.config.Exclusive
	if err := b.warnOfOthers(ctx, server, subject, store); err != nil {
		return err
	}
	if err := b.warnOfUsersServers(ctx, store); err != nil {
		return err
	}
	if server.Local() {
		server.CPU = ollamarun.NewCPUMonitor()
	}
	start, err := server.Start()
	if err != nil {
		return err
	}
	if !usesOurGPUs(server, b.config, start.Devices) {
		return nil
	}
	server.Monitor = ollamarun.StartGPUMonitor(ctx)
	b.cleanup.add(server.Monitor.Close)
	for _, gpu := range server.Monitor.Now() {
		if gpu.Utilization < check.BusyGPU {
			continue
		}
		text := fmt.Sprintf("other models: GPU %d is busy before the sweep starts (%d %%, %d MiB in use): rates will be too low; stop what uses it", gpu.Index, gpu.Utilization, gpu.MemoryMiB)
		if b.config.Exclusive {
			return fmt.Errorf("%s, or leave -exclusive out", text)
		}
		fmt.Fprintln(b.log, "warning: "+text)
		store.Warn(text)
	}
	return nil
}

// shared is what is needed of a server that others may use.
type shared interface {
	Reachable(ctx context.Context) bool
	OtherClients(ctx context.Context, model string) (measurement.OtherClients, error)
	Claim(ctx context.Context, model string) (others []string, first bool, err error)
	Unclaim(ctx context.Context) error
}

// warnOfOthers warns of other sweeps and models on the server before the first load.
// Models that are loaded later are reported with each sample.
func (b *Sweep) warnOfOthers(ctx context.Context, server shared, subject subject, store *checkpoint.Store) error {
	company, err := server.OtherClients(ctx, subject.model)
	if err != nil {
		return err
	}
	first, err := b.claim(ctx, server, subject.base(), &company)
	if err != nil {
		return err
	}
	if len(company.Sweeps) > 0 {
		text := fmt.Sprintf("other models: another sweep uses this server (%s): both are slowed down, and their rates will be too low; wait until it has ended", strings.Join(company.Sweeps, ", "))
		if b.config.Exclusive && !first {
			return errors.New(text + ", or leave -exclusive out")
		}
		fmt.Fprintln(b.log, "warning: "+text)
		store.Warn(text)
	}
	if company.Ours {
		fmt.Fprintln(b.log, "warning: other models: the model is already in the server's memory: unless a sweep was killed just now, another client uses this server, and rates will be too low")
	}
	if len(company.Others) > 0 {
		fmt.Fprintf(b.log, "warning: other models: %s in the server's memory before the sweep starts: requests to it make rates too low\n", strings.Join(company.Others, ", "))
	}
	return nil
}

// claim marks the user's server as used by this sweep, adds the marks of other sweeps to company, and
// reports whether this one is the first.
func (b *Sweep) claim(ctx context.Context, server shared, model string, company *measurement.OtherClients) (first bool, err error) {
	// Nobody else uses an engine. Of a file, the runner creates a model, which is a mark itself.
	if b.config.StartsServer() || filepath.IsAbs(model) {
		return false, nil
	}
	loaded := len(company.Sweeps) > 0
	others, first, err := server.Claim(ctx, model)
	b.cleanup.add(func() error {
		ctx, cancel := b.cleanup.requests()
		defer cancel()
		if err := server.Unclaim(ctx); err != nil && server.Reachable(ctx) {
			return fmt.Errorf("cleaning up on the server: %w", err)
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
