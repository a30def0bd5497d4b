// Package checkpoint keeps what a sweep has measured: one JSON file that is saved after every sample,
// with a journal beside it while it is large, a lock, and the identity that a resumed sweep must
// have. It reads older files too. Whoever loads a checkpoint has the whole sweep; nothing here asks a
// server or decides what is measured.
package checkpoint

import (
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Checkpoint is a sweep as far as it has come: the only truth, of which every
// report is a function.
type Checkpoint struct {
	Version int    `json:"version"`
	Sweep   Header `json:"sweep"`
	// Results are in order of measurement, one per cell.
	Results []Result `json:"results"`
	// Remeasured holds what was measured beside the plan, in order: the reference
	// cell, the leading cells again, the baseline, the cells that tell hosts apart.
	Remeasured []Remeasured `json:"remeasured,omitempty"`

	// OlderTool says that the file was in the form of an older tool, which
	// names little of the sweep. Such a file is never written again.
	OlderTool bool `json:"-"`
}

// Result is what is known of one cell: samples, or an error, or both when the
// cell failed after its first sample.
type Result struct {
	NumCtx   int `json:"num_ctx"`
	NumBatch int `json:"num_batch"`
	// PromptEvalRate is the median of the samples in tokens per second, nil for
	// a failed cell.
	PromptEvalRate *float64  `json:"prompt_eval_rate"`
	Timestamp      time.Time `json:"timestamp,omitzero"` // of the newest change

	Error  *measurement.Class `json:"error"`            // nil for a measured cell
	Detail string             `json:"detail,omitempty"` // the server's own words

	Samples []measurement.Sample `json:"samples,omitempty"`
	// SetAside are samples that don't count, since they were in doubt: those that were replaced, or
	// that should have replaced others.
	SetAside []measurement.Sample `json:"set_aside,omitempty"`
	// Warmup holds the first load's own short prompt, which is not a sample. Later
	// loads, of other rounds or after an end in between, differ in nothing but time.
	Warmup *measurement.Sample `json:"warmup,omitempty"`

	ContextLength int   `json:"context_length,omitempty"` // tokens, as the server says
	Size          int64 `json:"size,omitempty"`           // bytes of the loaded model
	SizeVRAM      int64 `json:"size_vram,omitempty"`      // bytes of it in GPU memory
	// Settings is SettingsVerified or SettingsAsked, empty where an older tool
	// measured.
	Settings  string                `json:"settings,omitempty"`
	Effective measurement.Effective `json:"in_force,omitzero"` // what the server's log says
	Memory    *measurement.Memory   `json:"memory,omitempty"`  // the same of the load's memory
	Retries   int                   `json:"retries,omitempty"` // tries that failed for want of memory, or crashed
	Warnings  []string              `json:"warnings,omitempty"`
}

// Purpose is why a cell was measured beside the plan.
type Purpose string

// The purposes.
const (
	Reference Purpose = "reference" // the same cell every so often, for the drift
	Confirm   Purpose = "confirm"   // a leading cell again, in turns with the others
	HostCheck Purpose = "host"      // the same two cells on every host, for what sets hosts apart
	Baseline  Purpose = "baseline"  // the server's own num_batch, in turns with the recommended cell
)

// Remeasured is a load of a cell beside the plan and its samples. A NumBatch of 0
// is the server's own choice.
type Remeasured struct {
	Purpose Purpose `json:"purpose"`
	Host    string  `json:"host,omitempty"` // that measured, where several share a sweep
	Result
}

// Cell returns the cell that r belongs to.
func (r *Result) Cell() cell.Key { return cell.Key{Ctx: r.NumCtx, Batch: r.NumBatch} }

// Failed reports whether the cell could not be measured.
func (r *Result) Failed() bool { return r.Error != nil }

// Unfinished returns how many answers ended without figures, the warm-up's among them.
func (r *Result) Unfinished() (n int) {
	if r.Warmup != nil {
		n = r.Warmup.Unfinished
	}
	for _, s := range r.Samples {
		n += s.Unfinished
	}
	return n
}

// LoadDuration returns the first load's duration: the warm-up's own, or the
// first sample's where a load had no warm-up; zero when not known.
func (r *Result) LoadDuration() time.Duration {
	switch {
	case r.Warmup != nil:
		return r.Warmup.LoadDuration
	case len(r.Samples) > 0:
		return r.Samples[0].LoadDuration
	}
	return 0
}

// SampleRates returns the prompt eval rate of each sample, in tokens per second;
// none for an older tool's result, which has no samples.
func (r *Result) SampleRates() []float64 {
	var rates []float64
	for _, s := range r.Samples {
		if v, ok := s.PromptEvalRate(); ok {
			rates = append(rates, v)
		}
	}
	return rates
}

// SetRate makes PromptEvalRate the median of the samples.
func (r *Result) SetRate() {
	r.PromptEvalRate = nil
	rates := r.SampleRates()
	if r.Failed() || len(rates) == 0 {
		return
	}
	median := verdict.Median(rates)
	r.PromptEvalRate = &median
}

// Result returns what is known of the cell, or nil.
func (cp *Checkpoint) Result(c cell.Key) *Result {
	for i := range cp.Results {
		if cp.Results[i].Cell() == c {
			return &cp.Results[i]
		}
	}
	return nil
}

// ByCell returns the results by their cells. They are the checkpoint's own.
func (cp *Checkpoint) ByCell() map[cell.Key]*Result {
	results := make(map[cell.Key]*Result, len(cp.Results))
	for i := range cp.Results {
		results[cp.Results[i].Cell()] = &cp.Results[i]
	}
	return results
}

// Known returns what a strategy is told of the results.
func (cp *Checkpoint) Known() map[cell.Key]Known {
	known := make(map[cell.Key]Known, len(cp.Results))
	for i := range cp.Results {
		known[cp.Results[i].Cell()] = cp.Results[i].Known()
	}
	return known
}

// Known returns what a strategy sees of the result.
func (r *Result) Known() Known {
	switch {
	case r.Failed():
		// Out of memory is tried twice before it is a failure.
		return Known{Failed: true, Memory: r.Error.Prunes() && r.Retries > 0}
	case len(r.Samples) == 0:
		return Known{Rates: []float64{*r.PromptEvalRate}, Closed: true} // an older tool's
	}
	return Known{Rates: r.SampleRates(), Size: r.Size, SizeVRAM: r.SizeVRAM}
}

// Pruned returns the cells that were passed over because they need at least the
// memory of one that failed for want of it, each with that one.
func (cp *Checkpoint) Pruned() map[cell.Key]cell.Key {
	if !cp.Sweep.Prune {
		return nil
	}
	return Pruned(cp.Plan(), cp.Known())
}

// Axes returns every num_ctx and every num_batch of the grid, ascending, or those that
// were measured where an older tool left no grid.
func (cp *Checkpoint) Axes() (ctx, batch []int) {
	if len(cp.Sweep.NumCtx) > 0 && len(cp.Sweep.NumBatch) > 0 {
		return cell.Distinct(slices.Clone(cp.Sweep.NumCtx)), cell.Distinct(slices.Clone(cp.Sweep.NumBatch))
	}
	for _, r := range cp.Results {
		ctx, batch = append(ctx, r.NumCtx), append(batch, r.NumBatch)
	}
	return cell.Distinct(ctx), cell.Distinct(batch)
}

// OnGrid tells the cells of the grid from those that the checkpoint holds besides, since
// its grid was another one before.
func (cp *Checkpoint) OnGrid() func(cell.Key) bool {
	ctx, batch := cp.Axes()
	return func(c cell.Key) bool {
		_, column := slices.BinarySearch(ctx, c.Ctx)
		_, row := slices.BinarySearch(batch, c.Batch)
		return column && row
	}
}

// OffGrid returns the cells with results that are not on the grid, in order of num_ctx: they
// were measured for another grid, and count for nothing.
func (cp *Checkpoint) OffGrid() []cell.Key {
	onGrid := cp.OnGrid()
	var off []cell.Key
	for i := range cp.Results {
		if c := cp.Results[i].Cell(); !onGrid(c) {
			off = append(off, c)
		}
	}
	slices.SortFunc(off, cell.Key.Compare)
	return off
}

// Plan returns the cells that the sweep is to measure, in column order: those
// of the header's grid, or of the results' own where an older tool left none.
func (cp *Checkpoint) Plan() []cell.Key {
	g := cell.Grid{Ctx: cp.Sweep.NumCtx, Batch: cp.Sweep.NumBatch}
	if len(g.Ctx) == 0 || len(g.Batch) == 0 {
		g.Ctx, g.Batch = cp.Axes()
	}
	plan, _ := g.Cells()
	return cp.Sweep.Shard.Of(plan)
}

// The values of Result.Settings: num_ctx and num_batch were read from the
// server's log, or it was not to be read.
const (
	SettingsVerified = "verified"
	SettingsAsked    = "as asked"
)
