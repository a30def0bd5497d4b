package simulate

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Baselines are the strategies that every comparison has beside those asked for.
var Baselines = []string{"golden", "random", "exhaustive"}

// Strategies names all that there are.
var Strategies = append([]string{"best", "frontier"}, Baselines...)

// strategy makes the one of that name, for one play after the other.
func strategy(name string, tolerance float64) func(seed uint64) sweep.Strategy {
	var one sweep.Strategy
	switch name {
	case "best":
		one = &search.Best{Tolerance: tolerance}
	case "frontier":
		one = &search.Frontier{Tolerance: tolerance}
	case "golden":
		one = Golden{}
	case "random":
		return func(seed uint64) sweep.Strategy { return Random{seed} }
	default:
		one = sweep.Exhaustive{Repeat: 1}
	}
	return func(uint64) sweep.Strategy { return one }
}

// Options say what to compare.
type Options struct {
	Strategies []string // names; the baselines come by themselves
	Seeds      int      // plays of each strategy on each surface
	Tolerance  float64  // of the searches
	HideSizes  bool     // don't tell the searches the sizes of loaded models
}

// Check says what can't be done.
func (o Options) Check() error {
	for _, name := range o.Strategies {
		if !slices.Contains(Strategies, name) {
			return fmt.Errorf("strategy %q is not known: give some of %s", name, strings.Join(Strategies, ", "))
		}
	}
	if o.Seeds < 1 {
		return fmt.Errorf("%d seeds play nothing: give 1 or more", o.Seeds)
	}
	if !(o.Tolerance > 0 && o.Tolerance < 1) {
		return fmt.Errorf("tolerance %v must lie above 0 and below 1, like 0.01", o.Tolerance)
	}
	return nil
}

// Comparison is how strategies did.
type Comparison struct {
	Surfaces []Score `json:"surfaces"` // each strategy on each surface
	Overall  []Score `json:"overall"`  // each strategy on all surfaces with a like grid, and on all
}

// Compare plays strategies on surfaces. What it finds is the same every time, but
// for the time spent thinking.
func Compare(surfaces []*Surface, o Options) Comparison {
	if o.HideSizes {
		surfaces = slices.Clone(surfaces)
		for i, s := range surfaces {
			hidden := *s
			hidden.Sizes = nil
			surfaces[i] = &hidden
		}
	}
	names := slices.Clone(o.Strategies)
	for _, name := range Baselines {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	plays := make([][]Run, len(surfaces)*len(names)) // a surface's strategies beside each other
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range plays {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			next := strategy(names[i%len(names)], o.Tolerance)
			for seed := range uint64(o.Seeds) {
				plays[i] = append(plays[i], Play(surfaces[i/len(names)], next(seed), seed))
			}
		})
	}
	group.Wait()

	var c Comparison
	for i, runs := range plays {
		c.Surfaces = append(c.Surfaces, score(surfaces[i/len(names)].Name, names[i%len(names)], runs))
	}
	for _, of := range append(grids(surfaces), "all") {
		for n, name := range names {
			var runs []Run
			for i, s := range surfaces {
				if of == "all" || s.grid() == of {
					runs = append(runs, plays[i*len(names)+n]...)
				}
			}
			c.Overall = append(c.Overall, score(of, name, runs))
		}
	}
	return c
}

// grids returns the sizes of the surfaces' grids, in their order, where they
// differ.
func grids(surfaces []*Surface) []string {
	var all []string
	for _, s := range surfaces {
		if g := s.grid(); !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	if len(all) == 1 {
		return nil
	}
	return all
}
