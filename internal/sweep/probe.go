package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Prober is a Runner that can probe the loaded model.
type Prober interface {
	// Probe times passes of the given sizes, repeats times each, in the middle of a prompt of so many
	// tokens. Words returns n words of a list, from place first on. The error is a
	// *measurement.Unprobeable where the load can't be probed.
	Probe(ctx context.Context, tokens int, sizes []int, repeats int, words func(first, n int) string) ([]measurement.Probe, error)
}

// probing is what a run knows of probes.
type probing struct {
	// ended is the loaded cell of which no more probes are taken: none came, and the search must not
	// ask for them again.
	ended   cell.Key
	printed map[string]bool // reasons for which there are no probes
}

// setProbes sets what the strategy needs to know in order to ask for probes. A load that gets no more
// is hidden from it, since it has no other use for one.
func (r *run) setProbes() {
	r.state.Probes, r.state.PromptTokens = r.mayProbe(), r.probedTokens()
	if r.state.Loaded == r.probing.ended {
		r.state.Loaded = cell.Key{}
	}
}

// mayProbe reports whether the loads of a search can be probed, as far as that is known.
func (r *run) mayProbe() bool {
	switch r.Strategy.(type) {
	case nil, Exhaustive:
		return false
	}
	if _, can := r.Runner.(Prober); !can || !r.Probe || r.Store.Checkpoint().Sweep.Unprobeable != "" {
		return false
	}
	longest := r.promptTokens(cell.Key{Ctx: largest(r.Plan)})
	if longest == 0 || longest >= measurement.LeastProbed { // 0: a file, not counted yet
		return true
	}
	r.printUnprobeable(fmt.Sprintf("prompts of %d tokens can't be probed: %d are needed: measuring without probes", longest, measurement.LeastProbed))
	return false
}

// probedTokens returns the tokens of the loaded cell's prompts, or else of the longest.
func (r *run) probedTokens() int {
	if c := r.server.cell; c != (cell.Key{}) {
		return r.promptTokens(c)
	}
	return r.promptTokens(cell.Key{Ctx: largest(r.Plan)})
}

// promptTokens returns the tokens of a prompt, as far as they are known: 0 for a file that is not
// counted yet.
func (r *run) promptTokens(c cell.Key) int {
	switch n := r.prompts.tokens[r.promptKey(c)]; {
	case n > 0:
		return n
	case r.Prompter.Sized():
		return r.Prompter.Tokens(c.Ctx)
	}
	return int(r.Prompter.target(c.Ctx))
}

// largest returns the largest num_ctx, 0 without cells.
func largest(cells []cell.Key) (numCtx int) {
	for _, c := range cells {
		numCtx = max(numCtx, c.Ctx)
	}
	return numCtx
}

// onlyProbes reports whether all that the choice lacks of a cell are its probes.
func (r *run) onlyProbes(choice Choice, c cell.Key) bool {
	return len(choice.Probes) > 0 && r.server.cell == c && !choice.Reload && !r.state.Measured[c].Open(choice.Samples)
}

// probe takes a reading of each size from the loaded cell, and saves them. Whatever fails, the cell keeps
// its rate.
func (r *run) probe(ctx context.Context, c cell.Key, sizes []int) error {
	if err := r.timeUp(ctx); err != nil {
		return err
	}
	result, _ := r.Store.Result(c)
	had := readings(result)
	err := r.attemptProbes(ctx, &result, sizes)
	var unprobeable *measurement.Unprobeable
	var failure *measurement.Failure
	switch {
	case err == nil && readings(result) > had:
		return nil
	case err == nil:
		r.probing.ended = c
		return nil
	case ctx.Err() != nil:
		return stopCause(ctx)
	case errors.As(err, &unprobeable):
		r.noteUnprobeable(c, unprobeable)
		return nil
	case !errors.As(err, &failure):
		return err
	}
	r.server.cell = cell.Key{} // nobody knows what is loaded now
	fmt.Fprintf(r.Log, "%v: probing it failed: %s: it keeps its rate\n", c, strings.Join(strings.Fields(failure.Error()), " "))
	if failure.Class == measurement.ServerAway {
		return r.ready(ctx)
	}
	return nil
}

// attemptProbes takes the probes of a result within the cell's time, and saves them.
func (r *run) attemptProbes(ctx context.Context, result *checkpoint.Result, sizes []int) error {
	var probes []measurement.Probe
	err := r.withinCellTimeout(ctx, func(ctx context.Context) (err error) {
		probes, err = r.Runner.(Prober).Probe(ctx, r.probedTokens(), sizes, 1, wordsFrom)
		return err
	})
	if err != nil || len(probes) == 0 {
		return err
	}
	if err := r.verify(ctx, BeforeSave); err != nil {
		return err
	}
	result.Probes = slices.Concat(result.Probes, probes) // the checkpoint shares it
	if err := r.put(*result); err != nil {
		return err
	}
	r.state.Measured[result.Cell()] = result.Measured()
	fmt.Fprintf(r.Log, "probed %v: passes of %s tokens\n", result.Cell(), strings.Trim(fmt.Sprint(sizes), "[]"))
	return nil
}

// readings returns how many probes of a result have a rate.
func readings(r checkpoint.Result) (n int) {
	for _, p := range r.ProbeRates() {
		n += len(p.Rates)
	}
	return n
}

// noteUnprobeable ends the probes of the load or, where the reason will not pass, of the sweep.
func (r *run) noteUnprobeable(c cell.Key, why *measurement.Unprobeable) {
	r.probing.ended = c
	if why.Temporary {
		r.printUnprobeable(fmt.Sprintf("%v %s: measuring on without these probes", c, why))
		return
	}
	r.Store.SetUnprobeable(why.Reason)
	r.printUnprobeable(fmt.Sprintf("the model %s: measuring without probes", why))
}

// printUnprobeable prints once why there are no probes.
func (r *run) printUnprobeable(text string) {
	if !r.probing.printed[text] {
		r.probing.printed[text] = true
		fmt.Fprintln(r.Log, text)
	}
}
