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

// Baselines are the strategies that every comparison includes in addition to the requested ones.
var Baselines = []string{"golden", "random", "exhaustive"}

// Strategies are the names of all strategies.
var Strategies = append(searches(), Baselines...)

func searches() (names []string) {
	for _, k := range search.Kinds {
		names = append(names, k.Name)
	}
	return names
}

// strategy returns a new strategy with that name, for one play.
func strategy(name string, tolerance float64, seed uint64) sweep.Strategy {
	if k, ok := search.KindOf(name); ok {
		return k.New(tolerance, 1)
	}
	switch name {
	case "golden":
		return goldenSection{}
	case "random":
		return randomSearch{Seed: seed}
	}
	return sweep.Exhaustive{Repeat: 1}
}

// Options configure a comparison.
type Options struct {
	Strategies []string // names; the baselines are added automatically
	Seeds      int      // plays of each strategy on each surface
	Tolerance  float64  // of the searches
	HideProbes bool     // let no load be probed
	HideSizes  bool     // hide the sizes of loaded models from the searches
	// OnPlay is called after each play, never concurrently; it may be nil.
	OnPlay func(Played)
}

// Played is a finished play.
type Played struct {
	Strategy string
	Took     time.Duration
}

// Plays returns the names of the strategies, the requested ones before the baselines, and
// the number of plays of each on so many surfaces.
func (o Options) Plays(surfaces int) (names []string, each int) {
	names = slices.Clone(o.Strategies)
	for _, name := range Baselines {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, surfaces * o.Seeds
}

// Most is the limit of the plays of a strategy on a surface, and of the surfaces to generate.
const Most = 10_000

// Check returns an error where an option is invalid.
func (o Options) Check() error {
	for _, name := range o.Strategies {
		if !slices.Contains(Strategies, name) {
			return fmt.Errorf("unknown strategy %q: give some of %s", name, strings.Join(Strategies, ", "))
		}
	}
	if o.Seeds < 1 {
		return fmt.Errorf("%d seeds are too few: give 1 or more", o.Seeds)
	}
	if o.Seeds > Most {
		return fmt.Errorf("%d seeds are too many plays of each strategy: %d is the most", o.Seeds, Most)
	}
	if !(o.Tolerance > 0 && o.Tolerance < 1) {
		return fmt.Errorf("tolerance %v must be above 0 and below 1, like 0.01", o.Tolerance)
	}
	return nil
}

// hide returns the surfaces without what the options hide from the searches.
func (o *Options) hide(surfaces []*Surface) (seen []*Surface) {
	for _, s := range surfaces {
		hidden := *s
		if o.HideSizes {
			hidden.Sizes = nil
		}
		if o.HideProbes {
			hidden.Probes = nil
		}
		seen = append(seen, &hidden)
	}
	return seen
}

// Comparison holds the scores of strategies.
type Comparison struct {
	Requested []string `json:"-"`        // the requested strategies
	Surfaces  []Score  `json:"surfaces"` // each strategy on each surface
	Overall   []Score  `json:"overall"`  // each strategy on all surfaces with the same grid size, and on all
}

// Compare plays strategies on surfaces. The result is deterministic, except for the
// computing times.
func Compare(surfaces []*Surface, o Options) Comparison {
	surfaces = o.hide(surfaces)
	names, _ := o.Plays(len(surfaces))
	plays := make([][]Run, len(surfaces)*len(names)) // ordered by surface, then strategy
	for i := range plays {
		plays[i] = make([]Run, o.Seeds)
	}
	var group sync.WaitGroup
	var reporting sync.Mutex
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for seed := range o.Seeds {
		for i := range plays { // seeds outermost, so that each strategy has an early play
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				begun, name := time.Now(), names[i%len(names)]
				plays[i][seed] = Play(surfaces[i/len(names)], strategy(name, o.Tolerance, uint64(seed)), uint64(seed))
				if o.OnPlay != nil {
					reporting.Lock()
					defer reporting.Unlock()
					o.OnPlay(Played{name, time.Since(begun)})
				}
			})
		}
	}
	group.Wait()

	c := Comparison{Requested: o.Strategies}
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

// grids returns the sizes of the surfaces' grids, in the surfaces' order. It returns nil
// where all are the same.
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
