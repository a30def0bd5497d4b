package sweep

import (
	"cmp"
	"maps"
	"slices"

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

// Verdict judges the measured cells. Of a cell that was measured again, those
// samples count and not the first ones: the highest of many rates is high by
// luck too. It returns false while nothing is measured.
func (cp *Checkpoint) Verdict() (Verdict, bool) {
	cells := cp.rated(true)
	judged, ok := verdict.Judge(cells, cp.referenceRates())
	if !ok {
		return Verdict{}, false
	}
	v := Verdict{Verdict: judged, Confirmed: cp.confirmed()}
	v.follow(cp.Sweep.Search, cells)
	v.heed()
	best := Cell{v.Recommended.Ctx, v.Recommended.Batch}
	found, _ := cp.again(Baseline, best)
	own, _ := cp.again(Baseline, Cell{Ctx: best.Ctx})
	if gain, ok := verdict.GainOf(found, own); ok {
		v.Gain = &gain
	}
	return v, true
}

// follow recommends what a search has found: it knows of the cells around more
// than the few samples tell by themselves. Tied are then the cells that were
// measured again.
func (v *Verdict) follow(found *Answer, cells []verdict.Cell) {
	if found == nil {
		return
	}
	i := slices.IndexFunc(cells, func(c verdict.Cell) bool { return found.Best == Cell{c.Ctx, c.Batch} })
	if i < 0 {
		return
	}
	v.Search, v.Recommended = found, cells[i]
	v.Tied, v.Outliers = nil, nil
	for _, c := range v.Confirmed {
		best := Cell{v.Best.Ctx, v.Best.Batch}
		i := slices.IndexFunc(cells, func(other verdict.Cell) bool { return c.Cell == Cell{other.Ctx, other.Batch} })
		if i >= 0 && c.Cell != best {
			v.Tied = append(v.Tied, cells[i])
		}
	}
}

// heed leaves out of the ties what measuring again told apart.
func (v *Verdict) heed() {
	tied := make(map[Cell]bool) // of those measured again, whether with the fastest of them
	for _, c := range v.Confirmed {
		if len(c.Rates) >= leastRounds || c.Failed {
			tied[c.Cell] = !c.Apart && !c.Failed
		}
	}
	apart := func(c verdict.Cell) bool {
		stays, again := tied[Cell{c.Ctx, c.Batch}]
		return again && !stays
	}
	v.Tied = slices.DeleteFunc(v.Tied, apart)
	v.Within = 0
	for _, c := range v.Tied {
		v.Within = max(v.Within, 1-c.Median()/v.Best.Median())
	}
	if !apart(v.Recommended) {
		return
	}
	v.Recommended = v.Best
	for _, c := range append([]verdict.Cell{v.Best}, v.Tied...) {
		if tied[Cell{c.Ctx, c.Batch}] && (c.Ctx > v.Recommended.Ctx || c.Ctx == v.Recommended.Ctx && c.Batch < v.Recommended.Batch) {
			v.Recommended = c
		}
	}
}

// rated returns the cells that have a rate, with what was measured again in the
// place of the first samples if asked for. A cell that failed then is left out.
func (cp *Checkpoint) rated(confirmed bool) []verdict.Cell {
	var cells []verdict.Cell
	leading := make(map[Cell]bool)
	for i := range cp.Remeasured {
		if r := &cp.Remeasured[i]; r.Purpose == Confirm {
			leading[r.Cell()] = true
		}
	}
	for i := range cp.Results {
		r := &cp.Results[i]
		if r.PromptEvalRate == nil {
			continue
		}
		rates := r.SampleRates()
		if len(rates) == 0 {
			rates = []float64{*r.PromptEvalRate} // an older tool's
		}
		if confirmed && leading[r.Cell()] {
			again, failed := cp.again(Confirm, r.Cell())
			if failed {
				continue
			}
			if len(again) >= leastRounds {
				rates = again
			}
		}
		cells = append(cells, verdict.Cell{Ctx: r.NumCtx, Batch: r.NumBatch, Rates: rates})
	}
	return cells
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
