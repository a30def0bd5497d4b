package sweep

import (
	"cmp"
	"maps"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Verdict is the statistical result of a checkpoint's samples.
type Verdict struct {
	verdict.Verdict
	// Search is the answer of the search that decided which cells to measure, nil
	// without one.
	Search *checkpoint.Answer
	// Confirmed are the leading cells that were measured again, the fastest
	// first.
	Confirmed []Confirmed
	// Gain is how much faster the recommended cell is than the server's own
	// num_batch, nil where that was not measured.
	Gain *verdict.Gain
}

// Confirmed is a leading cell that was measured again.
type Confirmed struct {
	cell.Key
	Before float64   // tokens per second: the median of the plan's samples
	Rates  []float64 // tokens per second, each of another load
	Failed bool      // in one of these loads
	// Apart reports that the cell is significantly slower than the first.
	Slower bool
}

// VerdictOf returns the verdict on the measured cells of the grid. Confirmations and baselines count
// with the first samples, but a cell that failed in one does not count at all. It returns false while
// nothing is measured.
func VerdictOf(cp *checkpoint.Checkpoint) (Verdict, bool) {
	return verdictBy(cp, checkpoint.Confirm, checkpoint.Baseline)
}

// verdictBy returns the verdict with the auxiliary measurements for these purposes.
func verdictBy(cp *checkpoint.Checkpoint, purposes ...checkpoint.Purpose) (Verdict, bool) {
	judged, ok := verdict.Judge(ratedBy(cp, purposes...), referenceRates(cp))
	if !ok {
		return Verdict{}, false
	}
	v := Verdict{Verdict: judged, Confirmed: confirmed(cp)}
	v.preferSearch(cp.Sweep.Search)
	v.preferBaselined(baselined(cp))
	best := v.Recommended.Key
	found, _ := auxiliaryRates(cp, checkpoint.Baseline, best)
	own, _ := auxiliaryRates(cp, checkpoint.Baseline, best.Column())
	if gain, ok := verdict.GainOver(found, own); ok {
		v.Gain = &gain
	}
	return v, true
}

// Noise returns the relative standard deviation of a sample, 0 where cells and samples are too
// few to estimate it.
func Noise(cp *checkpoint.Checkpoint) float64 {
	v, ok := verdict.Judge(rated(cp), referenceRates(cp))
	if !ok {
		return 0
	}
	return knownNoise(v)
}

// KnownNoise returns the relative standard deviation of a sample, 0 where it is only assumed.
func (v Verdict) KnownNoise() float64 { return knownNoise(v.Verdict) }

func knownNoise(v verdict.Verdict) float64 {
	if v.Basis == verdict.Assumed {
		return 0
	}
	return v.Noise
}

// preferSearch recommends the cell that a search has found, where it is tied with the best: the search
// takes neighbouring cells into account.
func (v *Verdict) preferSearch(found *checkpoint.Answer) {
	if found == nil {
		return
	}
	v.Search = found
	for _, c := range append([]verdict.Cell{v.Best}, v.Tied...) {
		if c.Key == found.Best {
			v.Recommended = c
		}
	}
}

// preferWithin is the largest expected gain of another cell for which the cell with a baseline stays
// recommended.
const preferWithin = 0.01

// preferBaselined recommends the cell with the newest baseline, the last one of measured, where it is
// tied with the best and about as fast as the recommended one.
func (v *Verdict) preferBaselined(measured []cell.Key) {
	for _, c := range append([]verdict.Cell{v.Best}, v.Tied...) {
		gain, ok := v.GainOver(v.Recommended, c)
		if len(measured) > 0 && c.Key == measured[len(measured)-1] && ok && gain.Ratio <= preferWithin {
			v.Recommended = c
			return
		}
	}
}

// rated returns the cells of the grid that have a rate, without those that failed in a confirmation
// or a baseline.
func rated(cp *checkpoint.Checkpoint) []verdict.Cell {
	return ratedBy(cp, checkpoint.Confirm, checkpoint.Baseline)
}

func ratedBy(cp *checkpoint.Checkpoint, purposes ...checkpoint.Purpose) []verdict.Cell {
	again, failed := remeasuredBy(cp, purposes...)
	onGrid, own := cp.OnGrid(), ownBatches(cp)
	var cells []verdict.Cell
	for i := range cp.Results {
		r := &cp.Results[i]
		c := r.Cell()
		if r.PromptEvalRate == nil || failed[c] || !onGrid(c) {
			continue
		}
		rates := r.SampleRates()
		if len(rates) == 0 {
			rates = []float64{*r.PromptEvalRate} // of the older tool
		}
		cells = append(cells, verdict.Cell{Key: c, Rates: rates, Later: again[c], Default: c.Batch == own(c)})
	}
	return cells
}

// AuxiliaryRates returns the auxiliary measurements that count with a cell's first samples: their rates in
// tokens per second, each of another load, and the cells that failed in them. These are the
// confirmations, and both sides of a baseline where the server's log shows which cell of the grid has
// its own num_batch. One side alone could not distinguish a lucky cell from a machine that changed.
func AuxiliaryRates(cp *checkpoint.Checkpoint) (rates map[cell.Key][]float64, failed map[cell.Key]bool) {
	return remeasuredBy(cp, checkpoint.Confirm, checkpoint.Baseline)
}

func remeasuredBy(cp *checkpoint.Checkpoint, purposes ...checkpoint.Purpose) (rates map[cell.Key][]float64, failed map[cell.Key]bool) {
	rates, failed = make(map[cell.Key][]float64), make(map[cell.Key]bool)
	own := ownMeasured(cp)
	for i := range cp.Auxiliary {
		r := &cp.Auxiliary[i]
		c := r.Cell()
		if !slices.Contains(purposes, r.Purpose) || r.Purpose == checkpoint.Baseline && own[c.Column()] == 0 {
			continue
		}
		if c.Batch == 0 {
			c.Batch = own[c.Column()]
		}
		rates[c] = append(rates[c], r.SampleRates()...)
		failed[c] = failed[c] || r.Failed()
	}
	return rates, failed
}

// ownMeasured returns the server's own num_batch by column, where its log shows it and the cell has
// a rate.
func ownMeasured(cp *checkpoint.Checkpoint) map[cell.Key]int {
	own := ownLogged(cp)
	for column, batch := range own {
		if r := cp.Result(column.WithBatch(batch)); r == nil || r.PromptEvalRate == nil {
			delete(own, column)
		}
	}
	return own
}

// ownLogged returns the server's own num_batch by column, where its log shows it.
func ownLogged(cp *checkpoint.Checkpoint) map[cell.Key]int {
	logged := make(map[cell.Key]int)
	for i := range cp.Auxiliary {
		if r := &cp.Auxiliary[i]; r.Purpose == checkpoint.Baseline && r.NumBatch == 0 && r.Effective.NumBatch > 0 {
			logged[r.Cell().Column()] = r.Effective.NumBatch
		}
	}
	return logged
}

// ownBatches returns a function that returns the server's own num_batch in the place of a cell's: that of
// its log or, where there is none, that of its version; 0 where neither is known.
func ownBatches(cp *checkpoint.Checkpoint) func(cell.Key) int {
	logged := ownLogged(cp)
	return func(c cell.Key) int {
		return cmp.Or(logged[c.Column()], check.OwnBatch(c.Settings.Version(cp.Sweep.OllamaVersion), c.Ctx))
	}
}

// confirmed returns the leading cells that were measured again, the fastest first.
func confirmed(cp *checkpoint.Checkpoint) []Confirmed {
	var all []Confirmed
	for i := range cp.Auxiliary {
		r := &cp.Auxiliary[i]
		if r.Purpose != checkpoint.Confirm || slices.ContainsFunc(all, func(c Confirmed) bool { return c.Key == r.Cell() }) {
			continue
		}
		c := Confirmed{Key: r.Cell()}
		c.Rates, c.Failed = auxiliaryRates(cp, checkpoint.Confirm, c.Key)
		if first := cp.Result(c.Key); first != nil && first.PromptEvalRate != nil {
			c.Before = *first.PromptEvalRate
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Confirmed) int {
		switch {
		case a.Failed && !b.Failed:
			return 1
		case b.Failed && !a.Failed:
			return -1
		}
		return -cmp.Compare(verdict.Median(a.Rates), verdict.Median(b.Rates))
	})
	var rivals [][]float64
	for _, c := range all[min(1, len(all)):] {
		rivals = append(rivals, c.Rates)
	}
	if len(rivals) > 0 {
		for i, apart := range verdict.Differ(all[0].Rates, rivals) {
			all[i+1].Slower = apart || all[i+1].Failed
		}
	}
	return all
}

// referenceRates returns the rates of all samples of the reference cell, including
// those of the plan; none where it was not measured again.
func referenceRates(cp *checkpoint.Checkpoint) []float64 {
	var rates []float64
	for _, p := range referencePoints(cp) {
		rates = append(rates, p.Rates...)
	}
	return rates
}

func referencePoints(cp *checkpoint.Checkpoint) []verdict.Point {
	cell, ok := referenceCell(cp)
	if !ok {
		return nil
	}
	var points []verdict.Point
	for i := range cp.Auxiliary {
		r := &cp.Auxiliary[i]
		if r.Purpose == checkpoint.Reference && r.Cell() == cell && len(r.Samples) > 0 && !r.Failed() {
			points = append(points, verdict.Point{At: r.Timestamp.Sub(cp.Sweep.Started), Rates: r.SampleRates()})
		}
	}
	if first := cp.Result(cell); len(points) > 0 && first != nil && len(first.Samples) > 0 {
		points = append([]verdict.Point{{At: first.Timestamp.Sub(cp.Sweep.Started), Rates: first.SampleRates()}}, points...)
	}
	return points
}

// Drift returns how the reference cell's rate changed over the sweep, and false
// where it was not measured often enough.
func Drift(cp *checkpoint.Checkpoint) (verdict.Drift, bool) {
	return verdict.DriftOf(referencePoints(cp))
}

// Spread returns how much the hosts that share the sweep differ, and false where
// fewer than two have measured the cells that compare hosts.
func Spread(cp *checkpoint.Checkpoint) (verdict.Spread, bool) {
	loads := make(map[cell.Key]map[string][]float64)
	for i := range cp.Auxiliary {
		r := &cp.Auxiliary[i]
		if r.Purpose != checkpoint.HostCheck || r.PromptEvalRate == nil {
			continue
		}
		if loads[r.Cell()] == nil {
			loads[r.Cell()] = make(map[string][]float64)
		}
		loads[r.Cell()][r.Host] = append(loads[r.Cell()][r.Host], *r.PromptEvalRate)
	}
	var cells []verdict.SharedCell
	for _, c := range slices.SortedFunc(maps.Keys(loads), cell.Key.Compare) {
		shared := verdict.SharedCell{Key: c}
		for _, host := range slices.Sorted(maps.Keys(loads[c])) {
			shared.Hosts = append(shared.Hosts, verdict.HostLoads{Host: host, Rates: loads[c][host]})
		}
		cells = append(cells, shared)
	}
	return verdict.SpreadOf(cells)
}
