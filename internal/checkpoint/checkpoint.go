// Package checkpoint stores the results of a sweep: one JSON file that is saved after every sample,
// with a journal next to it while it is large, a lock, and the identity that a resumed sweep must
// have. It reads older files too. A checkpoint holds the whole sweep. This package sends no request
// to a server and does not decide what is measured.
package checkpoint

import (
	"slices"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Checkpoint is the state of a sweep. Every report is a function of it alone.
type Checkpoint struct {
	Version int    `json:"version"`
	Sweep   Header `json:"sweep"`
	// Results are in order of measurement, one per cell.
	Results []Result `json:"results"`
	// Auxiliary holds the auxiliary measurements, in order: the reference cell,
	// confirmations of the leading cells, the baseline, and the cells that compare hosts.
	Auxiliary []Auxiliary `json:"remeasured,omitempty"`

	// OlderTool reports whether the file has the format of an older tool, which
	// says little about the sweep. That format is never written.
	OlderTool bool `json:"-"`
}

// Result is the measurement of one cell: samples, or an error, or both when the
// cell failed after its first sample.
type Result struct {
	NumCtx   int `json:"num_ctx"`
	NumBatch int `json:"num_batch"`
	// Key holds the values on all axes, nil where the sweep has none but num_ctx and num_batch.
	Key *cell.Key `json:"key,omitempty"`
	// PromptEvalRate is the median of the samples in tokens per second, nil for
	// a failed cell.
	PromptEvalRate *float64  `json:"prompt_eval_rate"`
	Timestamp      time.Time `json:"timestamp,omitzero"` // of the newest change

	Error  *measurement.Class `json:"error"`            // nil for a measured cell
	Detail string             `json:"detail,omitempty"` // the server's message

	Samples []measurement.Sample `json:"samples,omitempty"`
	// SetAside are disturbed samples, which don't count: those that were replaced, and those that
	// were to replace others.
	SetAside []measurement.Sample `json:"set_aside,omitempty"`
	// Probes are passes of other sizes while the cell was loaded. They don't count as samples.
	Probes []measurement.Probe `json:"probes,omitempty"`
	// Warmup is the short first prompt after the first load, which is not a sample. Later
	// loads, in other rounds or after a resume, would differ from it in nothing but time.
	Warmup *measurement.Sample `json:"warmup,omitempty"`
	// FirstPrompts are the first whole prompts after loads, where they took little time beside the
	// load. They don't count as samples.
	FirstPrompts []measurement.Sample `json:"first_prompts,omitempty"`

	ContextLength int   `json:"context_length,omitempty"` // tokens, as the server reports
	Size          int64 `json:"size,omitempty"`           // bytes of the loaded model
	SizeVRAM      int64 `json:"size_vram,omitempty"`      // bytes of it in GPU memory
	// Settings is SettingsVerified or SettingsRequested, empty in an older tool's result.
	Settings  string                `json:"settings,omitempty"`
	Effective measurement.Effective `json:"in_force,omitzero"` // effective settings, from the server's log
	Memory    *measurement.Memory   `json:"memory,omitempty"`  // memory of the load, from the server's log
	Retries   int                   `json:"retries,omitempty"` // attempts that ran out of memory, or crashed
	Warnings  []string              `json:"warnings,omitempty"`
}

// Purpose is the reason for an auxiliary measurement.
type Purpose string

// The purposes.
const (
	Reference Purpose = "reference" // one cell at intervals, to detect drift
	Confirm   Purpose = "confirm"   // a leading cell again, in turns with the other leading cells
	HostCheck Purpose = "host"      // the same two cells on every host, to compare the hosts
	Baseline  Purpose = "baseline"  // the server's own num_batch, in turns with the recommended cell
)

// Auxiliary is an auxiliary measurement: one load of a cell and its samples. A NumBatch of 0
// leaves num_batch to the server.
type Auxiliary struct {
	Purpose Purpose `json:"purpose"`
	Host    string  `json:"host,omitempty"` // that measured it, where several share a sweep
	Result
}

// NewResult returns a result of the cell, which has neither samples nor an error yet.
func NewResult(c cell.Key) Result {
	var r Result
	r.SetCell(c)
	return r
}

// SetCell sets the cell that r belongs to.
func (r *Result) SetCell(c cell.Key) {
	r.NumCtx, r.NumBatch, r.Key = c.Ctx, c.Batch, nil
	if c.Settings != "" {
		r.Key = &c
	}
}

// Cell returns the cell that r belongs to.
func (r *Result) Cell() cell.Key {
	if r.Key != nil {
		return *r.Key
	}
	return cell.Key{Ctx: r.NumCtx, Batch: r.NumBatch}
}

// Failed reports whether the cell failed.
func (r *Result) Failed() bool { return r.Error != nil }

// Unfinished returns how many answers ended without figures, those that are no samples included.
func (r *Result) Unfinished() (n int) {
	if r.Warmup != nil {
		n = r.Warmup.Unfinished
	}
	for _, s := range r.FirstPrompts {
		n += s.Unfinished
	}
	for _, s := range r.Samples {
		n += s.Unfinished
	}
	return n
}

// LoadDuration returns the duration of the first load, which its first prompt reports: the
// warm-up, or without one the first sample; zero when it is not known.
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

// ProbeRates returns the rates of the probes by their size, ascending, without those that are not known.
func (r *Result) ProbeRates() []ProbeRates {
	var all []ProbeRates
	for _, p := range r.Probes {
		if rate, ok := p.Rate(); ok {
			all = AddReading(all, p.NumBatch, rate)
		}
	}
	return all
}

// SetRate sets PromptEvalRate to the median of the samples.
func (r *Result) SetRate() {
	r.PromptEvalRate = nil
	rates := r.SampleRates()
	if r.Failed() || len(rates) == 0 {
		return
	}
	median := verdict.Median(rates)
	r.PromptEvalRate = &median
}

// Result returns the result of the cell, or nil.
func (cp *Checkpoint) Result(c cell.Key) *Result {
	for i := range cp.Results {
		if cp.Results[i].Cell() == c {
			return &cp.Results[i]
		}
	}
	return nil
}

// ByCell returns the results by their cells. The pointers are into cp.Results.
func (cp *Checkpoint) ByCell() map[cell.Key]*Result {
	results := make(map[cell.Key]*Result, len(cp.Results))
	for i := range cp.Results {
		results[cp.Results[i].Cell()] = &cp.Results[i]
	}
	return results
}

// Measured returns the results as a strategy sees them.
func (cp *Checkpoint) Measured() map[cell.Key]Measured {
	known := make(map[cell.Key]Measured, len(cp.Results))
	for i := range cp.Results {
		known[cp.Results[i].Cell()] = cp.Results[i].Measured()
	}
	return known
}

// Measured returns the result as a strategy sees it.
func (r *Result) Measured() Measured {
	switch {
	case r.Failed():
		// A cell fails for lack of memory only after a second attempt.
		return Measured{Failed: true, Memory: r.Error.Prunes() && r.Retries > 0}
	case len(r.Samples) == 0:
		return Measured{Rates: []float64{*r.PromptEvalRate}, Closed: true} // an older tool's
	}
	m := Measured{Rates: r.SampleRates(), Probes: r.ProbeRates(), Size: r.Size, SizeVRAM: r.SizeVRAM}
	if parts, ok := r.Memory.Whole(); ok {
		m.Parts = &parts
	}
	return m
}

// Probed reports whether any load was probed.
func (cp *Checkpoint) Probed() bool {
	return slices.ContainsFunc(cp.Results, func(r Result) bool { return len(r.Probes) > 0 })
}

// Pruned returns the cells that were skipped because they need at least as much memory as a
// cell that ran out of it, each with that cell.
func (cp *Checkpoint) Pruned() map[cell.Key]cell.Key {
	if !cp.Sweep.Prune {
		return nil
	}
	return Pruned(cp.Plan(), cp.Measured())
}

// Axes returns every num_ctx and every num_batch of the grid, ascending, or those of the
// results where an older tool saved no grid.
func (cp *Checkpoint) Axes() (ctx, batch []int) {
	if len(cp.Sweep.NumCtx) > 0 && len(cp.Sweep.NumBatch) > 0 {
		return cell.Distinct(slices.Clone(cp.Sweep.NumCtx)), cell.Distinct(slices.Clone(cp.Sweep.NumBatch))
	}
	for _, r := range cp.Results {
		ctx, batch = append(ctx, r.NumCtx), append(batch, r.NumBatch)
	}
	return cell.Distinct(ctx), cell.Distinct(batch)
}

// Grid returns the grid of the sweep, in column order.
func (cp *Checkpoint) Grid() cell.Grid {
	ctx, batch := cp.Axes()
	return cell.Grid{Ctx: ctx, Batch: batch, Settings: cp.Sweep.Axes}
}

// OnGrid returns a function that reports whether a cell is on the grid. The checkpoint holds
// other cells too where its grid has changed.
func (cp *Checkpoint) OnGrid() func(cell.Key) bool { return cp.Grid().Has }

// OffGrid returns the cells with results that are not on the grid, in order of num_ctx: they
// were measured for another grid, and are not used.
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
// of the header's grid, or of the results where an older tool saved no grid.
func (cp *Checkpoint) Plan() []cell.Key {
	plan, _ := cp.Grid().Cells()
	return cp.Sweep.Shard.Of(plan)
}

// The values of Result.Settings: the effective num_ctx and num_batch were read from the
// server's log, or only those of the request are known.
const (
	SettingsVerified  = "verified"
	SettingsRequested = "as asked"
)
