package sweep

import (
	"cmp"
	"maps"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/check"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Verdict is what a checkpoint's samples can tell.
type Verdict struct {
	verdict.Verdict
	// Search is what the search has found that decided which cells to measure, nil
	// without one.
	Search *Answer
	// Confirmed are the leading cells that were measured again, the fastest
	// first.
	Confirmed []Confirmed
	// Gain is by how much the recommended cell is faster than the server's own
	// num_batch, nil where that was not measured.
	Gain *verdict.Gain
}

// Confirmed is a leading cell that was measured again.
type Confirmed struct {
	Cell
	Before float64   // tokens per second: the median of the plan's samples
	Rates  []float64 // tokens per second, each of a load of its own
	Failed bool
	// Apart says that the cell is slower than the first by more than chance.
	Apart bool
}

// Verdict judges the measured cells of the grid. What was measured again counts with the first
// samples, but a cell that failed then counts no more. It returns false while
// nothing is measured.
func (cp *Checkpoint) Verdict() (Verdict, bool) { return cp.verdictBy(Confirm, Baseline) }

// verdictBy counts what was measured again for these purposes.
func (cp *Checkpoint) verdictBy(purposes ...Purpose) (Verdict, bool) {
	judged, ok := verdict.Judge(cp.ratedBy(purposes...), cp.referenceRates())
	if !ok {
		return Verdict{}, false
	}
	v := Verdict{Verdict: judged, Confirmed: cp.confirmed()}
	v.follow(cp.Sweep.Search)
	v.stay(cp.baselined())
	best := cellOf(v.Recommended)
	found, _ := cp.again(Baseline, best)
	own, _ := cp.again(Baseline, Cell{Ctx: best.Ctx})
	if gain, ok := verdict.GainOf(found, own); ok {
		v.Gain = &gain
	}
	return v, true
}

// Noise returns the relative standard deviation of a sample, 0 where cells and samples are too
// few to tell it.
func (cp *Checkpoint) Noise() float64 {
	v, ok := verdict.Judge(cp.rated(), cp.referenceRates())
	if !ok {
		return 0
	}
	return knownNoise(v)
}

// KnownNoise is the relative standard deviation of a sample, 0 where it is but assumed.
func (v Verdict) KnownNoise() float64 { return knownNoise(v.Verdict) }

func knownNoise(v verdict.Verdict) float64 {
	if v.Basis == verdict.Assumed {
		return 0
	}
	return v.Noise
}

func cellOf(c verdict.Cell) Cell { return Cell{c.Ctx, c.Batch} }

// follow recommends what a search has found, where the samples do not tell that from the best:
// a search knows more of the cells around.
func (v *Verdict) follow(found *Answer) {
	if found == nil {
		return
	}
	v.Search = found
	for _, c := range append([]verdict.Cell{v.Best}, v.Tied...) {
		if cellOf(c) == found.Best {
			v.Recommended = c
		}
	}
}

// stays is by how much another cell is expected to be faster, at most, for one that was measured in
// turns with the server's own num_batch to stay recommended.
const stays = 0.01

// stay keeps the recommendation with a cell whose gain is known, where the samples do not tell it
// from the best and it is as good as the other. The newest of the cells is the last.
func (v *Verdict) stay(measured []Cell) {
	for _, c := range append([]verdict.Cell{v.Best}, v.Tied...) {
		gain, ok := v.GainOver(v.Recommended, c)
		if len(measured) > 0 && cellOf(c) == measured[len(measured)-1] && ok && gain.Ratio <= stays {
			v.Recommended = c
			return
		}
	}
}

// rated returns the cells of the grid that have a rate, less those that failed when they were
// measured again.
func (cp *Checkpoint) rated() []verdict.Cell { return cp.ratedBy(Confirm, Baseline) }

func (cp *Checkpoint) ratedBy(purposes ...Purpose) []verdict.Cell {
	again, failed := cp.againBy(purposes...)
	onGrid, own := cp.onGrid(), cp.ownBatches()
	var cells []verdict.Cell
	for i := range cp.Results {
		r := &cp.Results[i]
		c := r.Cell()
		if r.PromptEvalRate == nil || failed[c] || !onGrid(c) {
			continue
		}
		rates := r.SampleRates()
		if len(rates) == 0 {
			rates = []float64{*r.PromptEvalRate} // an older tool's
		}
		cells = append(cells, verdict.Cell{Ctx: c.Ctx, Batch: c.Batch, Rates: rates, Again: again[c], Default: c.Batch == own(c.Ctx)})
	}
	return cells
}

// Again returns the rates of what was measured again of cells and counts with their first samples, in
// tokens per second, each of a load of its own, and the cells that failed then: leading cells, and
// both sides of a baseline where the server's log says which cell of the grid its own num_batch
// is. One side alone does not tell a cell that was lucky from a machine that changed.
func (cp *Checkpoint) Again() (rates map[Cell][]float64, failed map[Cell]bool) {
	return cp.againBy(Confirm, Baseline)
}

func (cp *Checkpoint) againBy(purposes ...Purpose) (rates map[Cell][]float64, failed map[Cell]bool) {
	rates, failed = make(map[Cell][]float64), make(map[Cell]bool)
	own := cp.ownMeasured()
	for i := range cp.Remeasured {
		r := &cp.Remeasured[i]
		c := r.Cell()
		if !slices.Contains(purposes, r.Purpose) || r.Purpose == Baseline && own[c.Ctx] == 0 {
			continue
		}
		if c.Batch == 0 {
			c.Batch = own[c.Ctx]
		}
		rates[c] = append(rates[c], r.SampleRates()...)
		failed[c] = failed[c] || r.Failed()
	}
	return rates, failed
}

// ownMeasured returns the server's own num_batch by num_ctx where its log says so and the grid
// has a rate of it.
func (cp *Checkpoint) ownMeasured() map[int]int {
	own := cp.ownLogged()
	for ctx, batch := range own {
		if r := cp.Result(Cell{ctx, batch}); r == nil || r.PromptEvalRate == nil {
			delete(own, ctx)
		}
	}
	return own
}

// ownLogged returns the num_batch that the server chose by itself, by num_ctx, as its log said.
func (cp *Checkpoint) ownLogged() map[int]int {
	logged := make(map[int]int)
	for i := range cp.Remeasured {
		if r := &cp.Remeasured[i]; r.Purpose == Baseline && r.NumBatch == 0 && r.InForce.NumBatch > 0 {
			logged[r.NumCtx] = r.InForce.NumBatch
		}
	}
	return logged
}

// ownBatches returns the num_batch that the server chooses by itself for a num_ctx: as its log
// said when that was measured, or as its version does; 0 where neither is known.
func (cp *Checkpoint) ownBatches() func(numCtx int) int {
	logged := cp.ownLogged()
	return func(numCtx int) int {
		return cmp.Or(logged[numCtx], check.OwnBatch(cp.Sweep.OllamaVersion, numCtx))
	}
}

// confirmed returns the cells that were measured again.
func (cp *Checkpoint) confirmed() []Confirmed {
	var all []Confirmed
	for i := range cp.Remeasured {
		r := &cp.Remeasured[i]
		if r.Purpose != Confirm || slices.ContainsFunc(all, func(c Confirmed) bool { return c.Cell == r.Cell() }) {
			continue
		}
		c := Confirmed{Cell: r.Cell()}
		c.Rates, c.Failed = cp.again(Confirm, c.Cell)
		if first := cp.Result(c.Cell); first != nil && first.PromptEvalRate != nil {
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
			all[i+1].Apart = apart || all[i+1].Failed
		}
	}
	return all
}

// referenceRates returns every sample of the reference cell, the plan's own
// among them; none where it was not measured again.
func (cp *Checkpoint) referenceRates() []float64 {
	var rates []float64
	for _, p := range cp.referencePoints() {
		rates = append(rates, p.Rates...)
	}
	return rates
}

func (cp *Checkpoint) referencePoints() []verdict.Point {
	cell, ok := cp.ReferenceCell()
	if !ok {
		return nil
	}
	var points []verdict.Point
	for i := range cp.Remeasured {
		r := &cp.Remeasured[i]
		if r.Purpose == Reference && r.Cell() == cell && len(r.Samples) > 0 && !r.Failed() {
			points = append(points, verdict.Point{At: r.Timestamp.Sub(cp.Sweep.Started), Rates: r.SampleRates()})
		}
	}
	if first := cp.Result(cell); len(points) > 0 && first != nil && len(first.Samples) > 0 {
		points = append([]verdict.Point{{At: first.Timestamp.Sub(cp.Sweep.Started), Rates: first.SampleRates()}}, points...)
	}
	return points
}

// Drift returns how the reference cell's rate changed over the sweep, and false
// where it was not measured often enough to tell.
func (cp *Checkpoint) Drift() (verdict.Drift, bool) {
	return verdict.DriftOf(cp.referencePoints())
}

// Spread returns how far the hosts are apart that share the sweep, and false where
// fewer than two have measured the cells that tell.
func (cp *Checkpoint) Spread() (verdict.Spread, bool) {
	loads := make(map[Cell]map[string][]float64)
	for i := range cp.Remeasured {
		r := &cp.Remeasured[i]
		if r.Purpose != HostCheck || r.PromptEvalRate == nil {
			continue
		}
		if loads[r.Cell()] == nil {
			loads[r.Cell()] = make(map[string][]float64)
		}
		loads[r.Cell()][r.Host] = append(loads[r.Cell()][r.Host], *r.PromptEvalRate)
	}
	var cells []verdict.SharedCell
	for _, c := range slices.SortedFunc(maps.Keys(loads), Cell.Compare) {
		shared := verdict.SharedCell{Ctx: c.Ctx, Batch: c.Batch}
		for _, host := range slices.Sorted(maps.Keys(loads[c])) {
			shared.Hosts = append(shared.Hosts, verdict.HostLoads{Host: host, Rates: loads[c][host]})
		}
		cells = append(cells, shared)
	}
	return verdict.SpreadOf(cells)
}
