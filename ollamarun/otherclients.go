package ollamarun

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// Loaded returns the server's entry for a model in memory, false if there is none,
// and the names of all other models in memory. Tags made from the same weights share
// one runner, which the server lists under the tag that loaded it first. So a single
// entry counts as the model whatever its name, unless it stayed when ours was unloaded.
func (s *Server) Loaded(ctx context.Context, name string) (entry api.ProcessModelResponse, ok bool, others []string, err error) {
	ps, err := s.running(ctx)
	if err != nil {
		return entry, false, nil, err
	}
	i := slices.IndexFunc(ps, func(m api.ProcessModelResponse) bool { return modelname.Same(m.Name, name) })
	if i < 0 && len(ps) == 1 && !s.foreign[ps[0].Name] {
		i = 0
	}
	for j, m := range ps {
		if j == i {
			entry, ok = m, true
			continue
		}
		others = append(others, oneLine(m.Name))
	}
	return entry, ok, others, nil
}

// running returns the models that the server has in memory.
func (s *Server) running(ctx context.Context) ([]api.ProcessModelResponse, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	ps, err := s.client().ListRunning(ctx)
	if err != nil {
		return nil, s.failure(ctx, "listing loaded models", err)
	}
	return ps.Models, nil
}

// InMemory returns the names of the models that the server has in memory, with their tags, from
// /api/ps. One that is being unloaded stays among them until it has left the memory.
func (s *Server) InMemory(ctx context.Context) (names []string, err error) {
	loaded, err := s.running(ctx)
	for _, m := range loaded {
		names = append(names, oneLine(m.Name))
	}
	return names, err
}

// OtherClients returns the models in memory, which show who else may be using the server.
// A temporary model counts as a running sweep's unless its process has surely ended.
func (s *Server) OtherClients(ctx context.Context, model string) (measurement.OtherClients, error) {
	var c measurement.OtherClients
	loaded, err := s.running(ctx)
	if err != nil {
		return c, err
	}
	for _, m := range loaded {
		if modelname.Same(m.Name, model) {
			s.expiry.seen = m.ExpiresAt
		}
		switch name := oneLine(m.Name); {
		case temporaryName.MatchString(m.Name) && !leftover(m.Name):
			c.Sweeps = append(c.Sweeps, name)
		case modelname.Same(m.Name, model), leftover(m.Name):
			c.Ours = true
		default:
			c.Others = append(c.Others, name)
		}
	}
	return c, nil
}

// unloadOthers unloads all other models if the server is Exclusive.
func (s *Server) unloadOthers(ctx context.Context, model string) error {
	if !s.Exclusive {
		return nil
	}
	ps, err := s.running(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(ps))
	for _, m := range ps {
		if !modelname.Same(m.Name, model) {
			names = append(names, m.Name)
		}
	}
	for _, name := range names {
		s.logf("unloading %s because of -exclusive", oneLine(name))
		if err := s.Unload(ctx, name); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	if ps, err = s.running(ctx); err != nil {
		return err
	}
	for _, m := range ps {
		if slices.Contains(names, m.Name) {
			return fmt.Errorf("%s is still in the server's memory although -exclusive has unloaded it: stop what uses it, or omit -exclusive (loaded: %s)", oneLine(m.Name), oneLine(strings.Join(names, ", ")))
		}
	}
	return nil
}
