package ollamarun

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// A claim shows other sweeps that this one is at work: a temporary model, which is a copy of the
// model that is swept and takes some hundred bytes. The server notes when it was copied last, by its
// own clock, and it is copied again while the sweep goes on: so one that a killed sweep left, also on
// another machine, is told from one of a sweep at work.
type claim struct {
	name, source string
	copied       time.Time       // last, by our clock
	known        map[string]bool // other sweeps' models that were seen
}

const (
	// claimAgain is how old the claim gets before a load renews it, and claimLife how old one may be
	// whose sweep is at work: a cell takes a quarter of an hour by default.
	claimAgain = time.Minute
	claimLife  = time.Hour
)

// Claim makes the claim with a copy of the source, a model of the server's, and returns what other
// sweeps that are at work have there. Of two that begin at once one at least sees the other, and
// first says whether this one may go on where only one may. A server that makes no copy has no
// claim, which is said. Unclaim ends it.
func (s *Server) Claim(ctx context.Context, source string) (others []string, first bool, err error) {
	before, err := s.list(ctx)
	if err != nil {
		return nil, false, err
	}
	name, err := s.newTemporary()
	if err != nil {
		return nil, false, err
	}
	s.claim = &claim{name: name, source: source, known: make(map[string]bool)}
	if err := s.copyClaim(ctx); err != nil {
		s.claim = nil
		if ctx.Err() != nil {
			return nil, false, err
		}
		if err := s.dropClaim(ctx, name); err != nil {
			return nil, false, err
		}
		s.say("this sweep can't show others on the server that it is at work (%s): they notice it by what it does", oneLine(err.Error()))
		return nil, true, nil
	}
	after, err := s.list(ctx)
	if err != nil {
		return nil, false, err
	}
	others, first = s.claim.others(after), true
	for _, name := range others {
		s.claim.known[name] = true
		earlier := slices.ContainsFunc(before, func(m api.ListModelResponse) bool { return m.Name == name })
		first = first && !earlier && s.claim.before(name, after)
	}
	return others, first, nil
}

// dropClaim deletes a claim that the server may have made although it, or a proxy, said otherwise.
func (s *Server) dropClaim(ctx context.Context, name string) error {
	models, err := s.list(ctx)
	if err != nil {
		return err
	}
	if placeOf(models, name) >= 0 {
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

// renewClaim keeps the claim young, and says what other sweeps have begun since. A server that can't
// be asked just now is no error: the load that follows finds out.
func (s *Server) renewClaim(ctx context.Context) {
	if s.claim == nil || time.Since(s.claim.copied) < claimAgain {
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
		if !s.claim.known[name] {
			s.claim.known[name] = true
			s.say("warning: other models: another sweep has begun on this server (%s): both will be held up, and read too low; stop one of them", oneLine(name))
		}
	}
}

func (s *Server) copyClaim(ctx context.Context) error {
	ctx, cancel := s.soon(ctx)
	defer cancel()
	if err := s.client().Copy(ctx, &api.CopyRequest{Source: s.claim.source, Destination: s.claim.name}); err != nil {
		return s.failure(ctx, "copying "+s.claim.source, err)
	}
	s.claim.copied = time.Now()
	return nil
}

// others returns the temporary models of other sweeps whose process lives on this machine, or is not
// known to be gone and made or renewed the model within claimLife before the claim was.
func (c *claim) others(models []api.ListModelResponse) (names []string) {
	mine := placeOf(models, c.name)
	if mine < 0 {
		return nil
	}
	now := models[mine].ModifiedAt
	for _, m := range models {
		if !temporaryName.MatchString(m.Name) || ofOneProcess(m.Name, c.name) {
			continue
		}
		young := now.Sub(m.ModifiedAt) < claimLife
		if thisSystem.alive(m.Name) || young && !leftover(m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

// placeOf returns the index of a model, -1 where it is not among them.
func placeOf(models []api.ListModelResponse, name string) int {
	return slices.IndexFunc(models, func(m api.ListModelResponse) bool { return modelname.Same(m.Name, name) })
}

// before reports whether the claim was made before the other sweep's model, by the server's clock. Then
// the other, who looked after it made its own, has seen the claim; one that was made earlier may not
// have. Of two of one time the name decides.
func (c *claim) before(other string, models []api.ListModelResponse) bool {
	made := func(name string) (at time.Time) {
		if i := placeOf(models, name); i >= 0 {
			at = models[i].ModifiedAt
		}
		return at
	}
	if order := made(c.name).Compare(made(other)); order != 0 {
		return order < 0
	}
	return c.name < other
}

// ofOneProcess reports whether two temporary models are of one sweep: their names differ in their
// last number alone.
func ofOneProcess(a, b string) bool {
	stem := func(name string) string {
		name = strings.TrimSuffix(name, ":latest")
		return name[:strings.LastIndexByte(name, '-')+1]
	}
	return stem(a) == stem(b)
}

// list returns the server's models.
func (s *Server) list(ctx context.Context) ([]api.ListModelResponse, error) {
	ctx, cancel := s.soon(ctx)
	defer cancel()
	list, err := s.client().List(ctx)
	if err != nil {
		return nil, s.failure(ctx, "listing models", err)
	}
	return list.Models, nil
}
