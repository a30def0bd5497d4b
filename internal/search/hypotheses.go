package search

import (
	"cmp"
	"math"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// memoryHypothesis says which settings matter to memory: cells that are alike in those need the same memory,
// whatever their other settings are. So where num_thread does not matter, a failure with one number of threads is
// a failure with any.
type memoryHypothesis struct {
	like   []int   // of each combination of settings: the one with the same values of the settings that matter
	weight float64 // its probability
	// works has the probabilities to work that were computed, by key.
	works map[[3]int]float64
}

const (
	// allMatter has the bits of all settings.
	allMatter = -1
	// mostSubsets is the number of settings up to which each subset of them is a hypothesis; of more, all matter.
	mostSubsets = 6
	// settingMatters is the logarithm of the prior odds that a setting matters to memory.
	settingMatters = -0.7
	// mostHypotheses is the number of hypotheses that are kept, the likeliest.
	mostHypotheses = 4
)

// weighHypotheses returns the likely hypotheses. Their likelihood is that of each measured cell's outcome by all others.
func (f *feasibility) weighHypotheses() (all []memoryHypothesis) {
	ranOut := func(x failure) bool { return x.memory }
	if !f.s.hasSettings() || !slices.ContainsFunc(f.failed, ranOut) || f.s.settings() > mostSubsets {
		return []memoryHypothesis{f.s.memoryHypothesis(allMatter)}
	}
	var logs []float64
	for matters := range 1 << f.s.settings() {
		h := f.s.memoryHypothesis(matters)
		var log float64
		for n := range f.s.settings() {
			log += settingMatters * float64(matters>>n&1)
		}
		for _, w := range f.worked {
			log += math.Log(f.worksIn(h, w, true))
		}
		for _, x := range f.failed {
			if x.memory {
				log += math.Log(1 - f.worksIn(h, x.cell, true))
			}
		}
		all, logs = append(all, h), append(logs, log)
	}
	most := slices.Max(logs)
	for n := range all {
		all[n].weight = math.Exp(logs[n] - most)
	}
	slices.SortStableFunc(all, func(a, b memoryHypothesis) int { return cmp.Compare(b.weight, a.weight) })
	all = all[:min(mostHypotheses, len(all))]
	var sum float64
	for _, h := range all {
		sum += h.weight
	}
	for n := range all {
		all[n].weight /= sum
	}
	return all
}

// key is the same for all cells that need the same memory by the hypothesis.
func (h *memoryHypothesis) key(s *space, cell int) [3]int {
	return [3]int{h.like[s.other[cell]], s.ctx[cell], s.batch[cell]}
}

// settings returns the number of settings besides num_ctx and num_batch.
func (s *space) settings() int { return len(s.others.values[0]) }

// memoryHypothesis returns the hypothesis that the settings matter whose bits are set, as if it were the only one.
func (s *space) memoryHypothesis(matters int) memoryHypothesis {
	return memoryHypothesis{like: s.alikeIn(matters), weight: 1, works: make(map[[3]int]float64)}
}

// alikeIn returns, for each combination of settings, the one that has its values of the settings whose bits are set,
// and else those of the base. They are computed once.
func (s *space) alikeIn(matters int) []int {
	if known, ok := s.alikes[matters]; ok {
		return known
	}
	index := make(map[cell.Settings]int)
	for i, settings := range s.others.all {
		index[settings] = i
	}
	var like []int
	for i, settings := range s.others.all {
		k, n := cell.Key{Settings: s.others.all[s.others.base]}, 0
		for name, value := range settings.All() {
			if matters>>n&1 == 1 {
				k = k.With(name, value)
			}
			n++
		}
		at, ok := index[k.Settings]
		if !ok { // not in the plan
			at = i
		}
		like = append(like, at)
	}
	s.alikes[matters] = like
	return like
}
