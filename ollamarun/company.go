package ollamarun

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// Loaded returns the server's entry of a model in memory, with false when it has
// none, and the names of all other models there. Tags made from the same weights
// share one runner, and the server names the tag that loaded it first: a lone
// entry is taken whatever its name, unless it has stayed when ours was unloaded.
func (s *Server) Loaded(ctx context.Context, name string) (entry api.ProcessModelResponse, ok bool, others []string, err error) {
	ps, err := s.running(ctx)
	if err != nil {
		return entry, false, nil, err
	}
	i := slices.IndexFunc(ps, func(m api.ProcessModelResponse) bool { return modelname.Same(m.Name, name) })
	if i < 0 && len(ps) == 1 && !s.strangers[ps[0].Name] {
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

// running returns what the server has in memory.
func (s *Server) running(ctx context.Context) ([]api.ProcessModelResponse, error) {
	ctx, cancel := s.soon(ctx)
	defer cancel()
	ps, err := s.client().ListRunning(ctx)
	if err != nil {
		return nil, s.failure(ctx, "asking what is loaded", err)
	}
	return ps.Models, nil
}

// Company is what the server has in memory before a sweep.
type Company struct {
	Sweeps []string // temporary models of other sweeps that are at work
	Ours   bool     // the model itself, or one that a killed sweep made
	Others []string
}

// Company tells who else may be at work on the server: other models in memory,
// and the temporary ones of sweeps whose process lives or is another machine's.
func (s *Server) Company(ctx context.Context, model string) (Company, error) {
	var c Company
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

// alone unloads all other models where the server is to be ours.
func (s *Server) alone(ctx context.Context, model string) error {
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
		s.say("unloading %s, as -exclusive asks", oneLine(name))
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
			return fmt.Errorf("%s stays in the server's memory although -exclusive has it unloaded: stop what uses it, or leave -exclusive out (loaded: %s)", oneLine(m.Name), oneLine(strings.Join(names, ", ")))
		}
	}
	return nil
}
