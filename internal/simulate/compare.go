package simulate

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Baselines are the strategies that every comparison has beside those asked for.
var Baselines = []string{"golden", "random", "exhaustive"}

// Strategies names all that there are.
var Strategies = append([]string{"best", "frontier"}, Baselines...)

// strategy makes the one of that name for one play.
func strategy(name string, tolerance float64, seed uint64) sweep.Strategy {
	switch name {
	case "best":
		return &search.Best{Tolerance: tolerance}
	case "frontier":
		return &search.Frontier{Tolerance: tolerance}
	case "golden":
		return Golden{}
	case "random":
		return Random{seed}
	}
	return sweep.Exhaustive{Repeat: 1}
}

// Options say what to compare.
type Options struct {
	Strategies []string // names; the baselines come by themselves
	Seeds      int      // plays of each strategy on each surface
	Tolerance  float64  // of the searches
	HideSizes  bool     // don't tell the searches the sizes of loaded models
	// OnPlay is told of each play that has ended, one at a time; nil for nobody.
	OnPlay func(Played)
}

// Played is a play that has ended.
type Played struct {
	Strategy string
	Took     time.Duration
}

// Plays returns how many plays each strategy has on so many surfaces, the strategies
// asked for before the baselines.
func (o Options) Plays(surfaces int) (names []string, each int) {
	names = slices.Clone(o.Strategies)
	for _, name := range Baselines {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, surfaces * o.Seeds
}

// Most is the most plays of a strategy on a surface, and the most surfaces to draw.
const Most = 10_000

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
	if o.Seeds > Most {
		return fmt.Errorf("%d seeds are too many plays of each strategy: %d is the most", o.Seeds, Most)
	}
	if !(o.Tolerance > 0 && o.Tolerance < 1) {
		return fmt.Errorf("tolerance %v must lie above 0 and below 1, like 0.01", o.Tolerance)
	}
	return nil
}

// Comparison is how strategies did.
type Comparison struct {
	Asked    []string `json:"-"`        // the strategies, without baselines that nobody asked for
	Surfaces []Score  `json:"surfaces"` // each strategy on each surface
	Overall  []Score  `json:"overall"`  // each strategy on all surfaces with a like grid, and on all
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
	names, _ := o.Plays(len(surfaces))
	plays := make([][]Run, len(surfaces)*len(names)) // a surface's strategies beside each other
	for i := range plays {
		plays[i] = make([]Run, o.Seeds)
	}
	var group sync.WaitGroup
	var telling sync.Mutex
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for seed := range o.Seeds {
		for i := range plays { // so that each strategy has played early on
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				begun, name := time.Now(), names[i%len(names)]
				plays[i][seed] = Play(surfaces[i/len(names)], strategy(name, o.Tolerance, uint64(seed)), uint64(seed))
				if o.OnPlay != nil {
					telling.Lock()
					defer telling.Unlock()
					o.OnPlay(Played{name, time.Since(begun)})
				}
			})
		}
	}
	group.Wait()

	c := Comparison{Asked: o.Strategies}
	for i, runs := range plays {
		c.Surfaces = append(c.Surfaces, score(surfaces[i/len(names)].Name, names[i%len(names)], runs))
	}
	for _, of := range append(grids(surfaces), allSurfaces) {
		for n, name := range names {
			var runs []Run
			for i, s := range surfaces {
				if of == allSurfaces || s.grid() == of {
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
