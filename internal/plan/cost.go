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

// Cost is what a strategy takes.
type Cost struct {
	Strategy       string
	Loads, Prompts int // for a search the median of the plays, or the middle of the range
	// Least and Most are the loads of the plan: of a search in nine of ten cases.
	Least, Most int
	Time        time.Duration
	Basis       Basis
	// Beside are the loads among them for what is measured beside the plan, at most.
	Beside int
	// Repeats are the loads among them that the sweep takes by itself while its advice can't tell,
	// at most.
	Repeats int
}

// costs returns that of each strategy, the config's own first.
func (p *Plan) costs(exhaustive Cost) ([]Cost, error) {
	all := []Cost{exhaustive}
	for _, name := range []string{config.StrategyBest, config.StrategyFrontier} {
		c, err := p.searching(name)
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
		p.add(&all[i])
	}
	return all, nil
}

// add adds what comes on top of the plan's own loads, at most.
func (p *Plan) add(c *Cost) {
	beside, prompts := p.beside(c.Loads)
	baseline := p.baseline(c.Strategy, c.Loads)
	c.Beside = beside + baseline
	if c.Strategy == config.StrategyExhaustive {
		c.Repeats = p.repeats
	}
	c.Loads, c.Prompts = c.Loads+c.Beside+c.Repeats, c.Prompts+prompts+baseline+c.Repeats
	c.Time = p.Pace.Time(c.Loads, c.Prompts)
}

// baseline returns the loads of the server's own num_batch that a strategy takes by itself, in
// turns with those of the recommended cell, once it has taken so many others.
func (p *Plan) baseline(strategy string, others int) int {
	switch {
	case p.baselineReason(strategy) == "":
		return 0
	case others == 0:
		return sweep.BaselineLoads(p.Checkpoint, p.Config.Baseline)
	}
	return 2 * sweep.MostRounds
}

// baselineReason says why it takes them, and is empty where it does not.
func (p *Plan) baselineReason(strategy string) string {
	if !sweep.CanAdvise(p.Cells) {
		return ""
	}
	loads := len(p.Cells)
	return sweep.BaselineReason(p.Config.Baseline, strategy != config.StrategyExhaustive, p.Pace, loads, loads*p.Config.Repeat)
}

// repeatLoads returns how many more loads an exhaustive sweep takes by itself at most, after the
// plan has taken so many samples of every cell that works.
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

// beside returns the loads and prompts of what is asked to be measured beside so many loads of
// the plan, at most.
func (p *Plan) beside(planned int) (loads, prompts int) {
	if planned == 0 {
		if p.Checkpoint == nil {
			return 0, 0
		}
		again := sweep.AgainLeft(p.Checkpoint, p.Config.Leaders(), p.Config.Baseline == config.BaselineOn)
		return again, again
	}
	if every := p.Config.ReferenceEvery; every > 0 {
		n := planned / every
		loads, prompts = loads+n, prompts+n*max(p.Config.Repeat, sweep.ReferenceSamples)
	}
	again := p.Config.Leaders() * sweep.MostRounds
	if p.Config.Baseline == config.BaselineOn {
		again += 2 * sweep.MostRounds
	}
	l, n := hostChecks(len(p.Config.HostCells()), p.Config.Repeat)
	return loads + again + l, prompts + again + n
}

// Basis is what a strategy's loads rest on.
type Basis int

const (
	Counted   Basis = iota // every load is known
	Ended                  // the search wants nothing more
	UnderWay               // what the search says of itself after the cells in the checkpoint
	Simulated              // plays from the start
)

// searching returns what a search still takes after what the checkpoint holds. Where that is
// too little for it to say so, it is played from the start.
func (p *Plan) searching(name string) (Cost, error) {
	c := Cost{Strategy: name}
	if len(p.Cells) == 0 {
		return c, nil
	}
	choice := search.Named(name, p.Config.Tolerance, p.Config.Repeat).Next(sweep.State{Plan: p.Cells, Known: p.known})
	ahead := choice.Ahead.Widened(p.Noise, p.open())
	switch {
	case len(choice.Cells) == 0:
		c.Basis = Ended
	case choice.Early:
		return p.play(name, ahead)
	default:
		c.Basis, c.Least, c.Most = UnderWay, ahead.Least, ahead.Most
		c.Loads = (c.Least + c.Most + 1) / 2
		c.Prompts = c.Loads * max(1, p.Config.Repeat)
	}
	return c, nil
}

// playedGrid is the grid that a search is played on at most: a larger one is thinned, because
// thinking takes time. The loads of frontier, which thinks longer, are then those in
// proportion to the num_ctx.
var playedGrid = map[string]struct{ columns, rows int }{
	config.StrategyBest:     {24, 12},
	config.StrategyFrontier: {8, 7},
}

// open returns how many cells have neither a rate nor failed.
func (p *Plan) open() (n int) {
	for _, c := range p.Cells {
		if k := p.known[c]; !k.Failed && len(k.Rates) == 0 {
			n++
		}
	}
	return n
}

// play plays a search from the start on a drawn surface of each kind, with the noise of the
// checkpoint. The median of the plays is what to expect. They are too few for the range, which
// is that of what the search says of itself and of all plays.
func (p *Plan) play(name string, ahead sweep.Range) (Cost, error) {
	c := Cost{Strategy: name, Basis: Simulated}
	ctx, batch := cell.Axes(p.Cells)
	thin := thinned(ctx, playedGrid[name].columns)
	surfaces, err := simulate.Draw(thin, thinned(batch, playedGrid[name].rows), 1)
	if err != nil {
		return c, err
	}
	open := p.open()
	if len(surfaces) == 0 { // no surface of this grid has a rate
		c.Least, c.Most, c.Loads, c.Prompts = min(1, open), open, open, open*max(1, p.Config.Repeat)
		return c, nil
	}
	grown := 1.0
	if name == config.StrategyFrontier {
		grown = float64(len(ctx)) / float64(len(thin))
	}
	var loads, prompts []float64
	for _, r := range p.runs(name, surfaces, 0) {
		loads, prompts = append(loads, grown*float64(r.Loads)), append(prompts, grown*float64(r.Samples))
	}
	known := len(p.Cells) - open
	left := func(n float64, saved int) int { return min(max(1, int(math.Round(n))-saved), open) }
	// What is known may be of no use to a search, and so saves no load in the worst case.
	c.Least, c.Most = min(ahead.Least, left(slices.Min(loads), known)), max(ahead.Most, left(slices.Max(loads), 0))
	c.Loads = left(verdict.Median(loads), known)
	c.Prompts = max(c.Loads, int(math.Round(verdict.Median(prompts)))-known*max(1, p.Config.Repeat))
	return c, nil
}

// runs plays a search on each of the surfaces, with noise by the seed.
func (p *Plan) runs(name string, surfaces []*simulate.Surface, seed uint64) []simulate.Run {
	runs := make([]simulate.Run, len(surfaces))
	var wg sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, s := range surfaces {
		if p.Noise > 0 {
			s.Noise = p.Noise
		}
		wg.Go(func() {
			turn <- struct{}{}
			runs[i] = simulate.Play(s, search.Named(name, p.Config.Tolerance, p.Config.Repeat), seed+uint64(i))
			<-turn
		})
	}
	wg.Wait()
	return runs
}

// thinned returns at most n of the values, the first and the last among them.
func thinned(values []int, n int) []int {
	if len(values) <= n {
		return values
	}
	some := make([]int, n)
	for i := range some {
		some[i] = values[i*(len(values)-1)/(n-1)]
	}
	return some
}
