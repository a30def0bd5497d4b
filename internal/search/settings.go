package search

import (
	"math"
	"slices"
	"strconv"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// others are the combinations of settings besides num_ctx and num_batch of a space, whose effect on the
// logarithm of the rate is a sum: an offset for each value of each setting, the same in all cells, and
// interactions of settings with each other, with num_batch and with num_ctx, which are small until
// readings show them.
type others struct {
	all  []cell.Settings // the combinations
	base int             // index of the one that leaves most to the server
	// alike is, for two combinations, the sum over the settings of how alike their values are, from 0 to 1.
	alike [][]float64
	// alikePairs is the same for the pairs of settings, each with the product of both.
	alikePairs [][]float64
	// server are, for each combination, those of its settings for which another value takes a restart.
	server []cell.Settings
	// needs reports, for two combinations, whether the first is known to need at least the memory of the second.
	needs [][]bool
	// values are, for each combination, the indices of its values in a list of all values of all settings.
	values [][]int
	count  int // of all values
}

// newOthers returns the combinations of the cells, and the index of each cell's.
func newOthers(cells []cell.Key) (o others, of []int) {
	index := make(map[cell.Settings]int)
	for _, c := range cells {
		i, ok := index[c.Settings]
		if !ok {
			i = len(o.all)
			index[c.Settings] = i
			o.all = append(o.all, c.Settings)
		}
		of = append(of, i)
	}
	valueIndex := make(map[cell.Value]int)
	most := -1
	for i, s := range o.all {
		var values []int
		auto := 0
		for name, value := range s.All() {
			v := cell.Value{Name: name, Value: value}
			if _, ok := valueIndex[v]; !ok {
				valueIndex[v] = len(valueIndex)
			}
			values = append(values, valueIndex[v])
			if value == cell.Auto {
				auto++
			}
		}
		o.values = append(o.values, values)
		o.server = append(o.server, s.Server())
		if auto > most {
			o.base, most = i, auto
		}
	}
	o.count = len(valueIndex)
	o.alikePairs = table(len(o.all), func(i, j int) float64 {
		sum, squares := alike(o.all[i], o.all[j])
		return (sum*sum - squares) / 2
	})
	o.alike = table(len(o.all), func(i, j int) float64 {
		sum, _ := alike(o.all[i], o.all[j])
		return sum
	})
	for _, s := range o.all {
		row := make([]bool, len(o.all))
		for j, than := range o.all {
			row[j] = cell.Key{Settings: s}.NeedsMemoryOf(cell.Key{Settings: than})
		}
		o.needs = append(o.needs, row)
	}
	return o, of
}

const (
	// settingOctaves is the distance of two numbers, in octaves, over which their offsets become different.
	settingOctaves = 1.5
	// settingShared is the share of the offset of a number that is alike for numbers that are near.
	settingShared = 0.7
)

// alike returns the sum over the settings of how alike the values of two combinations are, and the sum of the
// squares: 1 for equal values, less for numbers that are near each other, 0 for words.
func alike(a, b cell.Settings) (sum, squares float64) {
	other := make(map[string]string)
	for name, value := range b.All() {
		other[name] = value
	}
	for name, value := range a.All() {
		if value == other[name] {
			sum, squares = sum+1, squares+1
			continue
		}
		x, errX := strconv.Atoi(value)
		y, errY := strconv.Atoi(other[name])
		if errX == nil && errY == nil && x >= 0 && y >= 0 {
			d := math.Abs(math.Log2(float64(x+1)) - math.Log2(float64(y+1)))
			near := settingShared * matern32(d/settingOctaves)
			sum, squares = sum+near, squares+near*near
		}
	}
	return sum, squares
}

// settingsApart is the distance of two combinations of settings that differ in all of them, where the whole
// range of num_ctx is 1.
const settingsApart = 0.5

// apart returns how different two combinations are.
func (o *others) apart(i, j int) float64 {
	if axes := len(o.values[0]); axes > 0 {
		return settingsApart * (1 - o.alike[i][j]/float64(axes))
	}
	return 0
}

// worksByValues is the probability that a cell works by what is known of the values of its settings, 1 where
// it has none: a value that a server refuses fails in all of its cells.
func (f *feasibility) worksByValues(i int) float64 {
	p := 1.0
	for _, v := range f.s.others.values[f.s.other[i]] {
		p *= (f.valueWorked[v] + 1) / (f.valueWorked[v] + f.valueFailed[v] + 1)
	}
	return p * f.worksByPairs(i)
}

// worksByPairs is the probability that a cell works by the pair of its values that is least likely to: a server can
// refuse a value with another one only, as a quantized KV cache without flash attention.
func (f *feasibility) worksByPairs(i int) float64 {
	least := 1.0
	for pair := range f.s.pairs(i) {
		worked := f.pairWorked[pair]
		least = min(least, (worked+1)/(worked+f.pairFailed[pair]+1))
	}
	return least
}

// A cell that failed counts so many times against each value of its settings: a lack of memory is more often
// due to the cell.
const (
	failedByValue  = 2.0
	failedByMemory = 0.1
	// failedByPair is the same for each pair of its values.
	failedByPair = 5.0
)

// countValues counts, for each value of a setting and each pair of them, the cells that worked and failed with it.
func (f *feasibility) countValues() {
	f.valueWorked, f.valueFailed = make([]float64, f.s.others.count), make([]float64, f.s.others.count)
	f.pairWorked, f.pairFailed = make(map[[2]int]float64), make(map[[2]int]float64)
	for _, w := range f.worked {
		for pair := range f.s.pairs(w) {
			f.pairWorked[pair]++
		}
		for _, v := range f.s.others.values[f.s.other[w]] {
			f.valueWorked[v]++
		}
	}
	for _, x := range f.failed {
		weight, byPair := failedByValue, failedByPair
		if x.memory {
			weight, byPair = failedByMemory, 0
		}
		for pair := range f.s.pairs(x.cell) {
			f.pairFailed[pair] += byPair
		}
		for _, v := range f.s.others.values[f.s.other[x.cell]] {
			f.valueFailed[v] += weight
		}
	}
}

// hasSettings reports whether the cells differ in more than num_ctx and num_batch.
func (s *space) hasSettings() bool { return len(s.others.all) > 1 }

// own returns the first cell of a search over more settings, while it is not measured: the num_batch that the
// server would choose, with all else that can be left to it. The initial design follows, in the same combination.
func (v *view) own() (int, bool) {
	if !v.hasSettings() {
		return 0, false
	}
	at := slices.IndexFunc(v.batchs, func(b int) bool { return b >= ownBatch })
	if at < 0 {
		at = len(v.batchs) - 1
	}
	i, ok := v.index[cell.Key{Ctx: v.ctxs[0], Batch: v.batchs[at], Settings: v.others.all[v.others.base]}]
	return i, ok && i < v.planned && v.unmeasured(i)
}

// ownBatch is the num_batch that servers choose by themselves where nothing else is known.
const ownBatch = 512

// restartCost is what a restart of the server costs, where a load with one prompt costs 1.
const restartCost = 0.5

// candidates are the cells that may be loaded next, of which one is kept.
type candidates struct {
	next          int     // the cell with the highest gain relative to its cost, -1 without candidates
	gain, perCost float64 // of next
	most          float64 // the highest gain of all
}

// offer considers a cell with the gain of measuring it. A cell with other settings of the server than the
// loaded one takes a restart.
func (c *candidates) offer(v *view, i int, gain float64) {
	perCost := gain
	if loaded, ok := v.index[v.st.Loaded]; ok && v.others.server[v.other[i]] != v.others.server[v.other[loaded]] {
		perCost /= 1 + restartCost
	}
	if perCost > c.perCost {
		c.next, c.gain, c.perCost = i, gain, perCost
	}
	c.most = max(c.most, gain)
}

// Of the cells that differ from the recommended one in a single setting besides num_ctx and num_batch, those
// are measured before a search ends that may be as fast, if the settings interact by up to mostInteraction in
// log rate, and that work with a probability of leastTried.
const (
	mostInteraction = 0.3
	leastTried      = 0.2
)

// otherValue returns the unmeasured one of these cells with the highest expected rate: an interaction that no
// cell has shown is not expected by the model.
func (v *view) otherValue(recommended int, mean []float64) (next int, ok bool) {
	next = -1
	for _, i := range v.usable {
		if i >= v.planned || !v.unmeasured(i) || !v.differInOne(i, recommended) || v.feas.works(i) < leastTried || mean[i] < mean[recommended]-mostInteraction {
			continue
		}
		if next < 0 || mean[i] > mean[next] {
			next = i
		}
	}
	return next, next >= 0
}

// differInOne reports whether two cells differ in the value of one setting besides num_ctx and num_batch,
// and in nothing else.
func (s *space) differInOne(i, j int) bool {
	a, b := s.others.values[s.other[i]], s.others.values[s.other[j]]
	if s.ctx[i] != s.ctx[j] || s.batch[i] != s.batch[j] || len(a) != len(b) { // cells of an earlier sweep have other axes
		return false
	}
	different := 0
	for n, v := range a {
		if v != b[n] {
			different++
		}
	}
	return different == 1
}
