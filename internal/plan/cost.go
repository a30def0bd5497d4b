package plan

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Cost is what a strategy takes.
type Cost struct {
	Strategy       string
	Loads, Prompts int // on average over the surfaces that were played, for a search
	// Least and Most are the loads of the cheapest and the dearest play.
	Least, Most int
	Time        time.Duration
	Simulated   bool
	// Beside are the loads among them for what is measured beside the plan, at most.
	Beside int
}

// costs returns that of each strategy, the config's own first.
func (p *Plan) costs(exhaustive Cost) ([]Cost, error) {
	all := []Cost{exhaustive}
	for _, name := range []string{sweep.StrategyBest, sweep.StrategyFrontier} {
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
		beside, prompts := p.beside(all[i].Loads)
		all[i].Beside = beside
		all[i].Loads, all[i].Prompts = all[i].Loads+beside, all[i].Prompts+prompts
		all[i].Time = p.Pace.Time(all[i].Loads, all[i].Prompts)
	}
	return all, nil
}

// beside returns the loads and prompts of what is measured beside so many loads of
// the plan, at most.
func (p *Plan) beside(planned int) (loads, prompts int) {
	if every := p.Config.ReferenceEvery; every > 0 {
		n := planned / every
		loads, prompts = loads+n, prompts+n*max(p.Config.Repeat, sweep.ReferenceSamples)
	}
	again := p.Config.Leaders() * sweep.MostRounds
	if p.Config.Baseline {
		again += 2 * sweep.MostRounds
	}
	if planned == 0 {
		return loads, prompts
	}
	l, n := hostChecks(len(p.Config.HostCells()), p.Config.Repeat)
	return loads + again + l, prompts + again + n
}

// The grid that a search is played on: a larger one is thinned, because thinking
// takes time, and its loads are then those in proportion to the num_ctx where it
// looks for the best of each.
const (
	mostColumns = 24
	mostRows    = 12
)

// playKinds are the surfaces that are played on: one that rises and levels off, one
// where layers spill, one where loads fail, one with its summit inside.
var playKinds = []string{"saturating", "spill", "oom", "interior"}

// searching plays a search on drawn surfaces of this grid, from the start.
func (p *Plan) searching(name string) (Cost, error) {
	c := Cost{Strategy: name, Simulated: true}
	ctx, batch := sweep.Axes(p.Cells)
	if len(ctx) == 0 {
		return c, nil
	}
	thin := thinned(ctx, mostColumns)
	surfaces, err := simulate.Draw(thin, thinned(batch, mostRows), 1)
	if err != nil {
		return c, err
	}
	surfaces = slices.DeleteFunc(surfaces, func(s *simulate.Surface) bool { return !slices.Contains(playKinds, s.Name) })
	runs := make([]simulate.Run, len(surfaces))
	var wg sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, s := range surfaces {
		wg.Go(func() {
			turn <- struct{}{}
			runs[i] = simulate.Play(s, search.Named(name, p.Config.Tolerance, p.Config.Repeat), 1)
			<-turn
		})
	}
	wg.Wait()
	grown := 1.0
	if name == sweep.StrategyFrontier {
		grown = float64(len(ctx)) / float64(len(thin))
	}
	var loads, prompts float64
	c.Least = math.MaxInt
	for _, r := range runs {
		n := grown * float64(r.Loads)
		loads, prompts = loads+n/float64(len(runs)), prompts+grown*float64(r.Samples)/float64(len(runs))
		c.Least, c.Most = min(c.Least, int(math.Round(n))), max(c.Most, int(math.Round(n)))
	}
	c.Loads, c.Prompts = int(math.Ceil(loads)), int(math.Ceil(prompts))
	return c, nil
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
