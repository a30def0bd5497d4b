package search

import (
	"math"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// searcher is the model that the strategies share. It is kept between calls of Next
// as long as the samples are the same.
type searcher struct {
	s       *space
	probes  bool      // there are some, or may be
	stairs  bool      // the model looks for stairs: where layers leave GPU memory within a num_ctx
	kernels []*kernel // of the drawn shapes
	memory  *memory   // that these were made with
	m       *model    // of the latest call
}

// view is the state of a sweep as the model sees it, for one call of Next.
type view struct {
	*space
	st     sweep.State
	obs    []*measured // the samples of each cell
	probes []*measured
	byCell map[int]*measured
	failed []int // cells
	usable []int // cells that have a rate or may get one
	feas   *feasibility
	m      *model // nil while fewer than two readings are known
}

func (b *searcher) update(st sweep.State) *view {
	probes := st.Probes
	for _, k := range st.Measured {
		probes = probes || len(k.Probes) > 0
	}
	if cells := allCells(st); b.s == nil || b.probes != probes || !slices.Equal(b.s.cells, cells) {
		*b = searcher{s: newSpace(cells, len(st.Plan)), probes: probes, stairs: b.stairs}
		for _, h := range shapes(drawnShapes, probes, b.s.hasSettings()) {
			b.kernels = append(b.kernels, newKernel(b.s, h, nil))
		}
	}
	v := &view{space: b.s, st: st, byCell: make(map[int]*measured)}
	f := &feasibility{s: b.s}
	for i, c := range v.cells {
		k := st.Measured[c]
		switch {
		case k.Failed:
			v.failed = append(v.failed, i)
			f.failed = append(f.failed, failure{i, k.Memory})
		case len(k.Rates) > 0:
			o := &measured{point: b.s.sampled(i), logs: logs(k.Rates)}
			v.obs = append(v.obs, o)
			v.probes = append(v.probes, b.s.probed(i, k.Probes)...)
			v.byCell[i] = o
			f.worked = append(f.worked, i)
			v.usable = append(v.usable, i)
		case !k.Closed:
			v.usable = append(v.usable, i)
		}
	}
	if m := newMemory(b.s, st.Measured); !m.equal(b.memory) {
		b.memory, b.m = m, nil
		for _, k := range b.kernels {
			k.setPressure(m)
		}
	}
	f.memory = b.memory
	f.finish()
	v.feas = f
	if len(v.obs) == 0 || len(v.obs)+len(v.probes) < 2 {
		return v
	}
	all := append(v.obs[:len(v.obs):len(v.obs)], v.probes...)
	if b.m == nil || !slices.EqualFunc(b.m.all, all, (*measured).equal) {
		b.m = newModel(b.s, b.kernels, b.memory, all, b.stairs && !b.s.hasSettings())
	}
	// Those of the model have the readings' weights.
	v.m, v.obs, v.probes = b.m, b.m.all[:len(v.obs)], b.m.all[len(v.obs):]
	for _, o := range v.obs {
		v.byCell[o.cell] = o
	}
	return v
}

func logs(rates []float64) []float64 {
	logs := make([]float64, len(rates))
	for i, r := range rates {
		logs[i] = math.Log(r)
	}
	return logs
}

// allCells returns the plan's cells and, after them, other cells with results.
func allCells(st sweep.State) []cell.Key {
	cells := slices.Clone(st.Plan)
	in := make(map[cell.Key]bool, len(cells))
	for _, c := range cells {
		in[c] = true
	}
	for c := range st.Measured {
		if !in[c] {
			cells = append(cells, c)
		}
	}
	slices.SortFunc(cells[len(st.Plan):], cell.Key.Compare)
	return cells
}

// unmeasured reports whether the cell has no result yet, so that it can be measured.
func (v *view) unmeasured(i int) bool {
	_, known := v.st.Measured[v.cells[i]]
	return !known
}

// canRepeat reports whether another sample of the cell needs no load and may be
// useful.
func (v *view) canRepeat(i int) bool {
	o := v.byCell[i]
	return o != nil && v.cells[i] == v.st.Loaded && v.open(i)
}

// open reports whether a measured cell may get another sample: others than those of the plan may not.
func (v *view) open(i int) bool {
	return i < v.planned && !v.st.Measured[v.cells[i]].Closed && len(v.byCell[i].logs) < mostSamples
}

// suspectedOutlier returns the loaded cell where one of its samples may well be an
// outlier. Another sample is then worth more than its expected gain: a cell that is
// dismissed because of a slow sample is not measured again.
func (v *view) suspectedOutlier() (int, bool) {
	i, ok := v.index[v.st.Loaded]
	return i, ok && v.canRepeat(i) && slices.Min(v.byCell[i].weight) < suspectWeight
}

// doubted reports whether all samples of a cell are likelier outliers than not, and another can be taken.
func (v *view) doubted(i int) bool {
	o := v.byCell[i]
	return o != nil && v.open(i) && slices.Max(o.weight) < doubtWeight
}

// doubtWeight is the probability of being no outlier below which a sample is not believed.
const doubtWeight = 0.5

// suspectWeight is the probability of being no outlier below which a sample is
// checked with another.
const suspectWeight = 0.9

// mostSamples is the number of samples of a cell at which a search takes no more.
const mostSamples = 4

// position is a cell of the grid as shares of the two axes.
type position struct{ ctx, batch float64 }

// at returns the cell of the plan at a position, false where there is none.
func (v *view) at(p position) (int, bool) {
	ctx := v.ctxs[int(math.Round(p.ctx*float64(len(v.ctxs)-1)))]
	batch := v.batchs[int(math.Round(p.batch*float64(len(v.batchs)-1)))]
	i, ok := v.index[cell.Key{Ctx: ctx, Batch: batch, Settings: v.others.all[v.others.base]}]
	return i, ok && i < v.planned
}

// nextOfDesign returns the first cell of a design without a result. After the design,
// as long as too few cells have a rate for a model, it returns the cell that is
// likeliest to work. It returns false where there is none.
func (v *view) nextOfDesign(design []position) (int, bool) {
	if i, ok := v.own(); ok {
		return i, true
	}
	for _, p := range design {
		if i, ok := v.at(p); ok && v.unmeasured(i) {
			return i, true
		}
	}
	if v.m != nil {
		return 0, false
	}
	best, chance := -1, -1.0
	for _, i := range v.usable {
		if v.unmeasured(i) && v.feas.works(i) > chance {
			best, chance = i, v.feas.works(i)
		}
	}
	return best, best >= 0
}

// earlyAnswer is the answer where fewer than two cells have a rate.
func (v *view) earlyAnswer() *checkpoint.Answer {
	a := new(checkpoint.Answer)
	if len(v.obs) > 0 {
		a.Best = v.cells[v.obs[0].cell]
		a.Rate = v.st.Measured[a.Best].Rates[0]
		a.Low, a.High = a.Rate, a.Rate
	}
	return a
}

// choose returns the choice of one cell.
func (v *view) choose(i, samples int, why string, a *checkpoint.Answer) sweep.Choice {
	a.Why = why
	return sweep.Choice{Cells: []cell.Key{v.cells[i]}, Samples: samples, Why: why, Answer: a}
}

// load returns the choice of a cell that has to be loaded, with the loads still to come.
func (v *view) load(i, samples int, why string, a *checkpoint.Answer, ahead sweep.Range) sweep.Choice {
	choice := v.choose(i, samples, why, a)
	choice.Ahead, choice.Early = ahead, why == initialDesign
	return choice
}

// done returns the choice that ends the search.
func done(why string, a *checkpoint.Answer) sweep.Choice {
	a.Done, a.Why = true, why
	return sweep.Choice{Why: why, Answer: a}
}

const (
	initialDesign = "initial design"
	probing       = "passes of other num_batch while it is loaded"
	anotherPrompt = "another prompt while it is loaded"
	doubtedRate   = "measuring the recommended cell again: its rate does not fit those of others"
	noneLeft      = "no cell is left to measure"
)
