package plan

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Cost is the loads, prompts and time that a strategy still takes.
type Cost struct {
	Strategy       string
	Loads, Prompts int // for a search the median of the simulated runs, or the middle of the range
	// Least and Most bound the loads of the plan's own cells; nine of ten searches are within.
	Least, Most int
	Restarts    int // of the server, for the settings of other cells; at most, where the order is not known
	Time        time.Duration
	Basis       Basis
	// Beside is how many of the Loads are auxiliary measurements, at most.
	Auxiliary int
	// Repeats is how many of the Loads the sweep adds automatically while its advice is unclear, at
	// most.
	Repeats int
}

// costs returns the cost of each strategy, the config's own first.
func (p *Plan) costs(exhaustive Cost) ([]Cost, error) {
	all := []Cost{exhaustive}
	for _, k := range search.Kinds {
		c, err := p.searchCost(k)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Cost) int {
		switch own := p.Config.Strategy; {
		case a.Strategy == own && b.Strategy != own:
			return -1
		case b.Strategy == own && a.Strategy != own:
			return 1
		}
		return 0
	})
	for i := range all {
		p.addAutomatic(&all[i])
	}
	return all, nil
}

// addAutomatic adds the auxiliary measurements, the baseline and the automatic repeats, at most.
func (p *Plan) addAutomatic(c *Cost) {
	auxiliary, prompts := p.auxiliary(c.Loads)
	baseline := p.baseline(c.Strategy, c.Loads)
	planned := c.Loads
	c.Auxiliary = auxiliary + baseline
	if c.Strategy == config.StrategyExhaustive {
		c.Repeats = p.repeats
	}
	c.Loads, c.Prompts = c.Loads+c.Auxiliary+c.Repeats, c.Prompts+prompts+baseline+c.Repeats
	c.Restarts += p.automaticRestarts(*c, planned, baseline)
	c.Time = p.Pace.Time(c.Loads, c.Prompts) + time.Duration(c.Restarts)*p.Restart.Time
}

// baseline returns how many loads a strategy takes automatically after others: in turns, the
// server's own num_batch and the recommended cell.
func (p *Plan) baseline(strategy string, others int) int {
	switch {
	case p.baselineReason(strategy) == "":
		return 0
	case others == 0:
		return sweep.BaselineLoads(p.Checkpoint, p.Config.Baseline)
	}
	return 2 * sweep.MostRounds
}

// baselineReason returns why the strategy takes these loads, "" where it does not.
func (p *Plan) baselineReason(strategy string) string {
	if !sweep.CanAdvise(p.Cells) {
		return ""
	}
	loads := len(p.Cells)
	return sweep.BaselineReason(p.Config.Baseline, strategy != config.StrategyExhaustive, p.Pace, loads, loads*p.Config.Repeat)
}

// repeatLoads returns how many more loads an exhaustive sweep takes automatically at most, after
// it has taken so many samples of every cell that works.
func (p *Plan) repeatLoads(samples int) int {
	cp := p.Checkpoint
	if cp == nil {
		cp = new(checkpoint.Checkpoint)
	}
	if !p.Config.RepeatUntilClear || !sweep.CanAdvise(p.Cells) || p.ToDo == 0 && !sweep.Unclear(cp) {
		return 0
	}
	return sweep.RepeatLoads(cp, p.Pace, len(p.Cells)-p.Failed, samples)
}

// auxiliary returns the loads and prompts of the auxiliary measurements that the config requests
// for so many planned loads, at most.
func (p *Plan) auxiliary(planned int) (loads, prompts int) {
	if planned == 0 {
		if p.Checkpoint == nil {
			return 0, 0
		}
		again := sweep.AuxiliaryLoads(p.Checkpoint, p.Config.Leaders(), p.Config.Baseline)
		return again, again
	}
	if every := p.Config.ReferenceEvery; every > 0 {
		n := planned / every
		loads, prompts = loads+n, prompts+n*max(p.Config.Repeat, sweep.ReferenceSamples)
	}
	again := p.Config.Leaders() * sweep.MostRounds
	if p.Config.Baseline.Requested() {
		again += 2 * p.Config.Baseline.Rounds()
	}
	l, n := hostChecks(len(p.Config.HostCells()), p.Config.Repeat)
	return loads + again + l, prompts + again + n
}

// Basis is how a strategy's loads were estimated.
type Basis int

const (
	Counted   Basis = iota // every load is known
	Ended                  // the search has ended
	UnderWay               // the search's own estimate, from the cells in the checkpoint
	Simulated              // simulated runs from the start
)

// searchCost returns what a search still takes, given the checkpoint. Where the checkpoint holds
// too little for an estimate, the search is simulated from the start.
func (p *Plan) searchCost(k search.Kind) (Cost, error) {
	c := Cost{Strategy: k.Name}
	if len(p.Cells) == 0 {
		return c, nil
	}
	cells := p.Cells
	if n := len(cell.AllSettings(cells)); n > mostSearched || n > 1 && len(p.known) == 0 {
		cells, _ = p.thinnedGrid(k).Cells()
	}
	choice := k.New(float64(p.Config.Tolerance), p.Config.Repeat).Next(sweep.State{Plan: cells, Measured: p.known, Probes: p.probes()})
	ahead := choice.Ahead.Widened(p.Noise, p.unmeasured())
	switch {
	case len(choice.Cells) == 0:
		c.Basis = Ended
	case choice.Early:
		return p.simulatedCost(k, ahead)
	default:
		c.Basis, c.Least, c.Most = UnderWay, ahead.Least, ahead.Most
		c.Loads = (c.Least + c.Most + 1) / 2
		c.Prompts = c.Loads * max(1, p.Config.Repeat)
		if p.restartsServer() {
			c.Restarts = c.Loads
		}
	}
	return c, nil
}

// probes reports whether the search probes its loads, as it does from the first one on.
func (p *Plan) probes() bool {
	return p.Config.Probe && p.Checkpoint != nil && p.Checkpoint.Probed()
}

// unmeasured returns how many cells have neither a rate nor a failure.
func (p *Plan) unmeasured() (n int) {
	for _, c := range p.Cells {
		if k := p.known[c]; !k.Failed && len(k.Rates) == 0 {
			n++
		}
	}
	return n
}

// simulatedCost simulates a search from the start on a generated surface of each kind, with the
// noise of the checkpoint. The expected cost is the median of the runs. They are too few for a
// range, which spans the runs and the search's own estimate.
func (p *Plan) simulatedCost(k search.Kind, ahead sweep.Range) (Cost, error) {
	c := Cost{Strategy: k.Name, Basis: Simulated}
	thin := p.thinnedGrid(k)
	surfaces, err := drawn(thin, 1)
	if err != nil {
		return c, err
	}
	open := p.unmeasured()
	if len(surfaces) == 0 { // no surface of this grid has a rate
		c.Least, c.Most, c.Loads, c.Prompts = min(1, open), open, open, open*max(1, p.Config.Repeat)
		return c, nil
	}
	scale := 1.0
	if k.Columns {
		ctx, _ := cell.Axes(p.Cells)
		scale = float64(len(ctx)) / float64(len(thin.Ctx))
	}
	var loads, prompts, restarts []float64
	for _, r := range p.runs(k, surfaces, 0) {
		loads, prompts = append(loads, scale*float64(r.Loads)), append(prompts, scale*float64(r.Samples))
		restarts = append(restarts, scale*float64(r.Restarts))
	}
	known := len(p.Cells) - open
	left := func(n float64, saved int) int { return min(max(1, int(math.Round(n))-saved), open) }
	// The measured cells may be of no use to a search, and so save no load in the worst case.
	c.Least, c.Most = min(ahead.Least, left(slices.Min(loads), known)), max(ahead.Most, left(slices.Max(loads), 0))
	c.Loads = left(verdict.Median(loads), known)
	c.Restarts = min(c.Loads, int(math.Round(verdict.Median(restarts))))
	c.Prompts = max(c.Loads, int(math.Round(verdict.Median(prompts)))-known*max(1, p.Config.Repeat))
	return c, nil
}

// The largest grids of more than two axes that searches are simulated on, because each decision takes
// computing time, and the most combinations of settings that a search in the middle of a sweep is asked about.
const (
	mostSimulated = 300
	mostSearched  = 500
)

// thinnedGrid returns the grid on which a search is simulated.
func (p *Plan) thinnedGrid(k search.Kind) cell.Grid {
	ctx, batch := cell.Axes(p.Cells)
	if len(p.axes) == 0 {
		return cell.Grid{Ctx: thinned(ctx, k.SimulatedColumns), Batch: thinned(batch, k.SimulatedRows)}
	}
	sizes := []int{len(ctx), len(batch)}
	for _, a := range p.axes {
		sizes = append(sizes, len(a.Values))
	}
	for product(sizes) > mostSimulated {
		longest := 0
		for i, n := range sizes {
			if n >= sizes[longest] {
				longest = i
			}
		}
		sizes[longest]--
	}
	g := cell.Grid{Ctx: thinned(ctx, sizes[0]), Batch: thinned(batch, sizes[1])}
	for i, a := range p.axes {
		g.Settings = append(g.Settings, cell.SettingAxis{Name: a.Name, Values: thinned(a.Values, sizes[2+i])})
	}
	return g
}

func product(sizes []int) float64 {
	n := 1.0
	for _, s := range sizes {
		n *= float64(s)
	}
	return n
}

// drawn returns the surfaces that searches are simulated on.
func drawn(g cell.Grid, seed uint64) ([]*simulate.Surface, error) {
	if len(g.Settings) == 0 {
		return simulate.Draw(g.Ctx, g.Batch, seed)
	}
	return simulate.DrawAxes(g, seed), nil
}

// runs simulates a search on each of the surfaces, with noise from the seed.
func (p *Plan) runs(k search.Kind, surfaces []*simulate.Surface, seed uint64) []simulate.Run {
	runs := make([]simulate.Run, len(surfaces))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, s := range surfaces {
		if !p.probes() {
			s.Probes = nil // whether the model can be probed is not known yet
		}
		if p.Noise > 0 {
			s.Noise = p.Noise
		}
		wg.Go(func() {
			slots <- struct{}{}
			runs[i] = simulate.Play(s, k.New(float64(p.Config.Tolerance), p.Config.Repeat), seed+uint64(i))
			<-slots
		})
	}
	wg.Wait()
	return runs
}

// thinned returns at most n of the values, the first and, unless n is 1, the last among them.
func thinned[T any](values []T, n int) []T {
	if len(values) <= n {
		return values
	}
	if n == 1 {
		return values[:1]
	}
	some := make([]T, n)
	for i := range some {
		some[i] = values[i*(len(values)-1)/(n-1)]
	}
	return some
}
