package ollamarun

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// A claim shows other sweeps that this one is running. It is a temporary model, a copy of the model
// that is measured, and takes some hundred bytes. The server records the time of the copy by its own
// clock, and the copy is renewed while the sweep runs. That distinguishes a running sweep from one
// that was killed, also on another machine.
type claim struct {
	name, source string
	copied       time.Time       // last renewal, by our clock
	seen         map[string]bool // other sweeps' models that were already reported
}

const (
	// claimRenewAfter is the age at which a load renews the claim. A sweep whose claim is older than
	// claimMaxAge is no longer running: by default, a cell takes a quarter of an hour at most.
	claimRenewAfter = time.Minute
	claimMaxAge     = time.Hour
)

// Claim creates the claim as a copy of source, a model of the server, and returns the temporary
// models of other running sweeps. Of two sweeps that start at the same time at least one sees the
// other; first reports whether this one may continue if only one may. On a server that can't copy
// models there is no claim, which is logged. Unclaim deletes the claim.
func (s *Server) Claim(ctx context.Context, source string) (others []string, first bool, err error) {
	before, err := s.list(ctx)
	if err != nil {
		return nil, false, err
	}
	name, err := s.newTemporary()
	if err != nil {
		return nil, false, err
	}
	s.claim = &claim{name: name, source: source, seen: make(map[string]bool)}
	if err := s.copyClaim(ctx); err != nil {
		s.claim = nil
		if ctx.Err() != nil {
			return nil, false, err
		}
		if err := s.dropClaim(ctx, name); err != nil {
			return nil, false, err
		}
		s.logf("this sweep can't mark the server as in use (%s): other sweeps may notice it late", oneLine(err.Error()))
		return nil, true, nil
	}
	after, err := s.list(ctx)
	if err != nil {
		return nil, false, err
	}
	others, first = s.claim.others(after), true
	for _, name := range others {
		s.claim.seen[name] = true
		earlier := slices.ContainsFunc(before, func(m api.ListModelResponse) bool { return m.Name == name })
		first = first && !earlier && s.claim.before(name, after)
	}
	return others, first, nil
}

// dropClaim deletes a claim that the server may have created although it, or a proxy, returned an error.
func (s *Server) dropClaim(ctx context.Context, name string) error {
	models, err := s.list(ctx)
	if err != nil {
		return err
	}
	if indexOf(models, name) >= 0 {
		return s.delete(ctx, name)
	}
	return s.unmark(name)
}

// Unclaim deletes the claim.
func (s *Server) Unclaim(ctx context.Context) error {
	if s.claim == nil {
		return nil
	}
	return s.delete(ctx, s.claim.name)
}

// renewClaim renews the claim if it is old enough, and warns of sweeps that have started since. It
// ignores errors: if the server does not answer, the load that follows reports it.
func (s *Server) renewClaim(ctx context.Context) {
	if s.claim == nil || time.Since(s.claim.copied) < claimRenewAfter {
		return
	}
	if s.copyClaim(ctx) != nil {
		return
	}
	models, err := s.list(ctx)
	if err != nil {
		return
	}
	for _, name := range s.claim.others(models) {
		if !s.claim.seen[name] {
			s.claim.seen[name] = true
			s.logf("warning: other models: another sweep has started on this server (%s): each slows down the other, and both measure rates that are too low; stop one of them", oneLine(name))
		}
	}
}

// copyClaim creates the claim, or renews it: a copy has the time of its creation, by the server's clock.
func (s *Server) copyClaim(ctx context.Context) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	if err := s.client().Copy(ctx, &api.CopyRequest{Source: s.claim.source, Destination: s.claim.name}); err != nil {
		return s.failure(ctx, "copying "+s.claim.source, err)
	}
	s.claim.copied = time.Now()
	return nil
}

// others returns the temporary models of other sweeps that may be running: those whose process runs
// on this machine, and those that were created or renewed less than claimMaxAge before this claim
// and whose process is not known to have ended.
func (c *claim) others(models []api.ListModelResponse) (names []string) {
	mine := indexOf(models, c.name)
	if mine < 0 {
		return nil
	}
	now := models[mine].ModifiedAt
	for _, m := range models {
		if !temporaryName.MatchString(m.Name) || sameSweep(m.Name, c.name) {
			continue
		}
		recent := now.Sub(m.ModifiedAt) < claimMaxAge
		if thisSystem.alive(m.Name) || recent && !leftover(m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

// indexOf returns the index of a model, or -1.
func indexOf(models []api.ListModelResponse, name string) int {
	return slices.IndexFunc(models, func(m api.ListModelResponse) bool { return modelname.Same(m.Name, name) })
}

// before reports whether the claim was created before the other sweep's model, by the server's clock.
// If so, the other sweep has seen the claim, because it lists the models after creating its own.
// If both have the same time, the name decides.
func (c *claim) before(other string, models []api.ListModelResponse) bool {
	made := func(name string) (at time.Time) {
		if i := indexOf(models, name); i >= 0 {
			at = models[i].ModifiedAt
		}
		return at
	}
	if order := made(c.name).Compare(made(other)); order != 0 {
		return order < 0
	}
	return c.name < other
}

// sameSweep reports whether two temporary models belong to the same sweep: their names differ only
// in the last number.
func sameSweep(a, b string) bool {
	stem := func(name string) string {
		name = strings.TrimSuffix(name, ":latest")
		return name[:strings.LastIndexByte(name, '-')+1]
	}
	return stem(a) == stem(b)
}

// list returns the server's models.
func (s *Server) list(ctx context.Context) ([]api.ListModelResponse, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	list, err := s.client().List(ctx)
	if err != nil {
		return nil, s.failure(ctx, "listing models", err)
	}
	return list.Models, nil
}
