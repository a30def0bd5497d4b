package sweep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// task is a load to make and the samples to take of it.
type task struct {
	result    *checkpoint.Result
	want      int  // samples in all, with those that it already has
	reuseLoad bool // don't load the cell again where it is loaded
	save      func(checkpoint.Result) error
	onSample  func(*checkpoint.Result, measurement.Sample) error // may be nil
}

// refusals is the number of samples in a row that may be refused for a reason that may pass.
const refusals = 3

// measure takes the samples that the task still lacks. An error ends the sweep; a
// failure of the cell is in the result.
func (r *run) measure(ctx context.Context, t *task) error {
	for crashes, tries, pauses := 0, 0, 0; ; {
		err := r.attempt(ctx, t)
		if err == nil {
			return nil
		}
		r.server.cell = cell.Key{}
		var failure *measurement.Failure
		var inUse *inUseError
		switch {
		case ctx.Err() != nil:
			return stopCause(ctx)
		case errors.As(err, &inUse):
			pauses++
			if err := r.waitForOthers(ctx, t.result.Cell(), pauses, inUse); err != nil {
				return err
			}
			continue
		case !errors.As(err, &failure):
			return err
		case failure.Class.Retried() && tries == 0:
			tries++
			if err := r.settle(ctx, t.result, failure); err != nil {
				return err
			}
			continue
		case failure.Class.FailsCell():
			err := r.verify(ctx, BeforeSave)
			if err == nil {
				return t.fail(*failure, r.Now())
			}
			if !errors.As(err, &failure) {
				return r.cause(ctx, err)
			}
		}
		if failure.Class == measurement.ServerAway {
			crashes++
		}
		if crashes == crashLimit {
			return t.fail(measurement.Failure{
				Class:  measurement.RunnerCrashed,
				Detail: fmt.Sprintf("the server went away %d times during this cell: %s", crashes, failure.Detail),
			}, r.Now())
		}
		fmt.Fprintf(r.Log, "%v: %s: waiting for it, then measuring the cell again\n", t.result.Cell(), failure)
		if err := r.ready(ctx); err != nil {
			return err
		}
	}
}

// settle waits until memory is given back, so that the second try can succeed.
func (r *run) settle(ctx context.Context, result *checkpoint.Result, failure *measurement.Failure) error {
	result.Retries++
	f := checkpoint.Result{Error: &failure.Class, Detail: failure.Detail}
	fmt.Fprintf(r.Log, "%v: %s: waiting for the memory to be given back, then trying once more\n", result.Cell(), failureText(f))
	err := r.Runner.Settle(ctx)
	var away *measurement.Failure
	if err == nil || errors.As(err, &away) {
		return nil // the second try finds out whether the server is away
	}
	return r.cause(ctx, err)
}

// cause returns why the context ended, or the error where it did not end.
func (r *run) cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return stopCause(ctx)
	}
	return err
}

// attempt loads the cell and samples it until it has enough, within the cell's
// time.
func (r *run) attempt(ctx context.Context, t *task) error {
	return r.withinCellTimeout(ctx, func(ctx context.Context) error { return r.load(ctx, t) })
}

// withinCellTimeout works within the cell's time. Where that is over, it unloads the model.
func (r *run) withinCellTimeout(ctx context.Context, work func(context.Context) error) error {
	cellCtx, cancel := context.WithTimeout(ctx, r.CellTimeout)
	defer cancel()
	err := work(cellCtx)
	if err == nil || cellCtx.Err() == nil || ctx.Err() != nil {
		return err
	}
	// The time is up, whatever error the runner returned. The request is cancelled,
	// but the server may continue to load, which would disturb the next cell.
	unloadCtx, cancel := context.WithTimeout(ctx, unloadTimeout)
	defer cancel()
	detail := fmt.Sprintf("not done within %v (cell_timeout)", r.CellTimeout)
	if err := r.Runner.Unload(unloadCtx); err != nil {
		detail += fmt.Sprintf("; then unloading failed: %v", err)
	}
	return &measurement.Failure{Class: measurement.Timeout, Detail: detail}
}

// load loads the cell, checks the effective settings, and takes the samples.
func (r *run) load(ctx context.Context, t *task) error {
	result := t.result
	if t.reuseLoad && r.server.cell == result.Cell() {
		return r.samples(ctx, t, r.server.loaded)
	}
	if err := r.verify(ctx, BeforeLoad); err != nil {
		return err
	}
	if r.server.cell.MayEqual(result.Cell()) {
		// The server may not reload the model.
		if err := r.Runner.Unload(ctx); err != nil {
			return err
		}
	}
	loaded, err := r.Runner.Load(ctx, result.Cell(), r.Prompter.Warmup(result.NumBatch))
	if err != nil {
		return err
	}
	if _, other := result.Cell().Settings.Value(cell.Ollama); other {
		if err := r.verify(ctx, BeforeLoad); err != nil { // its version
			return err
		}
	}
	if err := r.verifyLoad(loaded.Attention); err != nil {
		return err
	}
	r.server.cell, r.server.loaded, r.server.prompted = result.Cell(), loaded, false
	r.server.gpu = r.server.gpu || loaded.SizeVRAM > 0
	if result.Warmup == nil {
		result.Warmup = &loaded.Warmup
	}
	result.ContextLength, result.Size, result.SizeVRAM = loaded.ContextLength, loaded.Size, loaded.SizeVRAM
	result.Effective, result.Memory, result.Settings = loaded.Effective.Only(r.settingNames()), loaded.Memory, checkpoint.SettingsRequested
	e := r.evidence(result, loaded)
	if check.Verified(&e) {
		result.Settings = checkpoint.SettingsVerified
	}
	if _, err := r.judge(result, check.Load(&e)); err != nil {
		return err
	}
	if err := r.size(ctx, result.NumCtx); err != nil {
		return err
	}
	e = r.evidence(result, loaded) // with the prompt's length
	for _, f := range check.Plan(&e) {
		addWarning(result, f, true)
	}
	return r.samples(ctx, t, loaded)
}

// size measures the tokenizer and the prompt's length, once for the sweep.
func (r *run) size(ctx context.Context, loaded int) error {
	if r.Prompter.Sized() {
		return nil
	}
	err := r.Prompter.Size(loaded, smallest(r.cells()), func(prompt func() string) (int, error) {
		s, err := r.Runner.Sample(ctx, prompt)
		if rate, ok := s.PromptEvalRate(); ok {
			r.prompts.sizedWith = r.server.cell.Settings
			r.prompts.sizing = append(r.prompts.sizing, check.AcceptedRate{Rate: rate, Batch: min(r.server.cell.Batch, s.PromptEvalCount)})
		}
		return s.PromptEvalCount, err
	})
	var unsizable unsizable
	if errors.As(err, &unsizable) && r.Prompter.text != "" {
		fmt.Fprintf(r.Log, "warning: truncation: the prompt's length is not known before its first sample: %s\n", unsizable)
		r.Prompter.SetSizing(checkpoint.Sizing{Uncounted: true})
		err = nil
	}
	if err != nil {
		return err
	}
	if err := r.verify(ctx, BeforeSave); err != nil {
		return err
	}
	r.Store.SetSizing(r.Prompter.sizing)
	r.warnOfCopies()
	return r.Prompter.fits(r.cells())
}

// samples sends prompts to the loaded cell until it has enough samples.
func (r *run) samples(ctx context.Context, t *task, loaded measurement.Loaded) error {
	if t.want == 0 {
		return nil // only the load was needed
	}
	prompts, err := r.Prompter.Prompts(t.result.NumCtx)
	if err != nil {
		return err
	}
	for refused := 0; len(t.result.Samples) < t.want; {
		sample, err := r.Runner.Sample(ctx, prompts)
		if err != nil {
			return err
		}
		e := r.evidence(t.result, loaded)
		e.Sample = sample
		e.Ceiling = r.ceiling(t.result, loaded)
		again, err := r.judge(t.result, check.Sample(&e))
		if err != nil {
			return err
		}
		if again != nil {
			if refused++; refused < refusals {
				fmt.Fprintf(r.Log, "%v: a sample does not count: %s\n", t.result.Cell(), again)
				continue
			}
			if again.Class == "" {
				return &inUseError{again.String()}
			}
			return again.Failure()
		}
		if !r.server.prompted {
			r.server.prompted = true
			if warmsUp(loaded, sample) {
				t.result.FirstPrompts = append(t.result.FirstPrompts, sample)
				continue
			}
		}
		if err := r.keep(ctx, t, sample); err != nil {
			return err
		}
	}
	return nil
}

// firstPromptShare is the largest part of a load's time that the first whole prompt after it may take
// to be left out of the samples.
const firstPromptShare = 0.2

// warmsUp reports whether the first whole prompt after a load is one more warm-up. On an H200 such
// prompts were up to 27 % slower than the next ones, in spite of the warm-up (docs/gpu.md). It counts where
// the model has no part on a GPU, or where it takes much time beside the load.
func warmsUp(loaded measurement.Loaded, sample measurement.Sample) bool {
	return loaded.SizeVRAM > 0 && float64(RequestTime(sample)) <= firstPromptShare*float64(RequestTime(loaded.Warmup))
}

// judge adds the warnings among the findings to the result. It returns the
// finding for which the sample does not count, if there is one, or the cell's
// failure as an error.
func (r *run) judge(result *checkpoint.Result, found []check.Finding) (again *check.Finding, err error) {
	for _, f := range found {
		switch {
		case f.Again:
			return &f, nil
		case f.Class != "":
			return nil, f.Failure()
		case addWarning(result, f, false):
			fmt.Fprintf(r.Log, "warning: %v: %s\n", result.Cell(), f)
		}
	}
	return nil, nil
}

// addWarning adds the finding to the cell's warnings and reports whether it is new. One warning per
// check is enough, except for findings of the plan, which don't depend on the sample.
func addWarning(r *checkpoint.Result, f check.Finding, planned bool) bool {
	known := slices.ContainsFunc(r.Warnings, func(w string) bool {
		w = check.Reworded(w)
		return w == f.String() || !planned && strings.HasPrefix(w, f.Check+": ")
	})
	if !known {
		r.Warnings = append(r.Warnings, f.String())
	}
	return !known
}

// evidence returns what is known of a cell and its load.
func (r *run) evidence(result *checkpoint.Result, loaded measurement.Loaded) check.Evidence {
	e := r.Evidence
	e.NumCtx, e.NumBatch, e.Asked = result.NumCtx, result.NumBatch, r.asked(result.Cell())
	e.GPU = r.server.gpu
	e.Retries = result.Retries
	e.Loaded = loaded
	e.Head = loaded.Warmup.PromptEvalCount
	if fixed := r.Prompter.sizing.Fixed; fixed > 0 {
		e.Head = int(math.Ceil(fixed))
	}
	e.Version = result.Cell().Settings.Version(e.Version)
	e.PromptTokens = r.prompts.tokens[r.promptKey(result.Cell())]
	if e.PromptTokens == 0 && r.Prompter.Sized() {
		e.PromptTokens, e.Estimated = r.Prompter.Tokens(result.NumCtx), true
	}
	return e
}

// asked returns the requested settings of a cell besides num_ctx and num_batch, those that all cells have
// included, without those that are left to the server.
func (r *run) asked(c cell.Key) cell.Settings {
	var values []cell.Value
	for name, value := range r.Store.Checkpoint().Sweep.Fixed {
		values = append(values, cell.Value{Name: name, Value: value})
	}
	for name, value := range c.Settings.All() {
		if value != cell.Auto {
			values = append(values, cell.Value{Name: name, Value: value})
		}
	}
	return cell.NewSettings(values...)
}

// settingNames returns the names of the settings besides num_ctx and num_batch that the sweep sets.
func (r *run) settingNames() []string {
	h := r.Store.Checkpoint().Sweep
	names := slices.Collect(maps.Keys(h.Fixed))
	for _, a := range h.Axes {
		names = append(names, a.Name)
	}
	return names
}

// promptKey returns a key that is the same for all cells whose prompts have the same length: servers of
// other versions can count other tokens.
func (r *run) promptKey(c cell.Key) promptKey {
	key := promptKey{c.Ctx, c.Settings.Version("")}
	if r.Prompter.SameEverywhere() {
		key.numCtx = 0
	}
	return key
}

// ceiling returns the rate above which a sample of the cell is refused.
func (r *run) ceiling(result *checkpoint.Result, loaded measurement.Loaded) float64 {
	// Other settings, such as num_gpu, can change the rate by any factor.
	var accepted []check.AcceptedRate
	settings := result.Cell().Settings
	if settings == r.prompts.sizedWith {
		accepted = slices.Clone(r.prompts.sizing)
	}
	for _, other := range r.Store.Checkpoint().Results {
		if other.PromptEvalRate != nil && other.Cell().Settings == settings {
			accepted = append(accepted, check.AcceptedRate{Rate: *other.PromptEvalRate, Batch: other.NumBatch})
		}
	}
	first, _ := loaded.Warmup.PromptEvalRate()
	return check.Ceiling(result.NumBatch, accepted, check.AcceptedRate{Rate: first, Batch: min(result.NumBatch, loaded.Warmup.PromptEvalCount)})
}

// keep saves a sample, and only then reports it.
func (r *run) keep(ctx context.Context, t *task, sample measurement.Sample) error {
	if err := r.verify(ctx, BeforeSave); err != nil {
		return err
	}
	key := r.promptKey(t.result.Cell())
	if r.prompts.tokens[key] == 0 {
		r.prompts.tokens[key] = sample.PromptEvalCount
	}
	t.result.Samples = append(t.result.Samples, sample)
	if err := t.put(r.Now()); err != nil {
		return err
	}
	if t.onSample == nil {
		return nil
	}
	return t.onSample(t.result, sample)
}

// fail saves the cell as failed. Its samples are kept, but it has no rate: a cell
// that fails after its third prompt must not be recommended.
func (t *task) fail(f measurement.Failure, now time.Time) error {
	t.result.Error, t.result.Detail = &f.Class, f.Detail
	return t.put(now)
}

func (t *task) put(now time.Time) error {
	t.result.SetRate()
	t.result.Timestamp = now
	return t.save(*t.result)
}

// warnOfCopies prints once the warnings that are known before the cells are measured.
func (r *run) warnOfCopies() {
	if r.copiesNamed {
		return
	}
	r.copiesNamed = true
	cells := make(map[string][]cell.Key)
	var order []string
	for _, c := range r.Plan {
		result := checkpoint.NewResult(c)
		e := r.evidence(&result, measurement.Loaded{Warmup: measurement.Sample{PromptCached: r.server.loaded.Warmup.PromptCached}})
		for _, f := range check.Plan(&e) {
			if cells[f.String()] == nil {
				order = append(order, f.String())
			}
			cells[f.String()] = append(cells[f.String()], c)
		}
	}
	for _, text := range order {
		fmt.Fprintf(r.Log, "warning: %s: %s\n", cell.Names(cells[text]), text)
	}
}
