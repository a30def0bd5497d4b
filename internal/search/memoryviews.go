package search

import (
	"cmp"
	"math"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// memoryView is a hypothesis of which settings matter to memory: cells that are alike in those need the same memory,
// whatever their other settings are. So where num_thread does not matter, a failure with one number of threads is
// a failure with any.
type memoryView struct {
	like   []int   // of each combination of settings: the one with the same values of the settings that matter
	weight float64 // its probability
	// works has the probabilities that were computed, by key.
	works map[[3]int]float64
}

const (
	// mostViewed is the number of settings up to which each subset of them is a hypothesis; of more, all matter.
	mostViewed = 6
	// settingMatters is the logarithm of the prior odds that a setting matters to memory.
	settingMatters = -0.7
	// mostViews is the number of hypotheses that are kept, the likeliest.
	mostViews = 4
)

// allMatter is the hypothesis that all settings matter.
func (s *space) allMatter() memoryView {
	v := memoryView{weight: 1, works: make(map[[3]int]float64)}
	for i := range s.others.all {
		v.like = append(v.like, i)
	}
	return v
}

// weighViews returns the likely hypotheses. Their likelihood is that of each measured cell's outcome by all others.
func (f *feasibility) weighViews() (views []memoryView) {
	ranOut := func(x failure) bool { return x.memory }
	if !f.s.hasSettings() || !slices.ContainsFunc(f.failed, ranOut) || f.s.settings() > mostViewed {
		return []memoryView{f.s.allMatter()}
	}
	var logs []float64
	for matters := range 1 << f.s.settings() {
		v := f.s.memoryView(matters)
		var log float64
		for n := range f.s.settings() {
			log += settingMatters * float64(matters>>n&1)
		}
		for _, w := range f.worked {
			log += math.Log(f.worksIn(v, w, true))
		}
		for _, x := range f.failed {
			if x.memory {
				log += math.Log(1 - f.worksIn(v, x.cell, true))
			}
		}
		views, logs = append(views, v), append(logs, log)
	}
	most := slices.Max(logs)
	for n := range views {
		views[n].weight = math.Exp(logs[n] - most)
	}
	slices.SortStableFunc(views, func(a, b memoryView) int { return cmp.Compare(b.weight, a.weight) })
	views = views[:min(mostViews, len(views))]
	var sum float64
	for _, v := range views {
		sum += v.weight
	}
	for n := range views {
		views[n].weight /= sum
	}
	return views
}

// key is the same for all cells that need the same memory by the hypothesis.
func (v *memoryView) key(s *space, cell int) [3]int {
	return [3]int{v.like[s.other[cell]], s.ctx[cell], s.batch[cell]}
}

// settings returns the number of settings besides num_ctx and num_batch.
func (s *space) settings() int { return len(s.others.values[0]) }

// memoryView returns the hypothesis that the settings matter whose bits are set.
func (s *space) memoryView(matters int) memoryView {
	v, index := memoryView{works: make(map[[3]int]float64)}, make(map[cell.Settings]int)
	for i := range s.others.all {
		index[s.others.all[i]] = i
	}
	for i, settings := range s.others.all {
		like, n := cell.Key{Settings: s.others.all[s.others.base]}, 0
		for name, value := range settings.All() {
			if matters>>n&1 == 1 {
				like = like.With(name, value)
			}
			n++
		}
		at, ok := index[like.Settings]
		if !ok { // not in the plan
			at = i
		}
		v.like = append(v.like, at)
	}
	return v
}
