package search

import (
	"cmp"
	"math"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Named returns the search that a config calls by that name, nil where it names none.
// repeat is how many samples each cell gets at least.
func Named(name string, tolerance config.Tolerance, repeat int) sweep.Strategy {
	switch name {
	case config.StrategyBest:
		return &Best{Tolerance: float64(tolerance), Repeat: repeat}
	case config.StrategyFrontier:
		return &Frontier{Tolerance: float64(tolerance), Repeat: repeat}
	}
	return nil
}

// searcher is what the strategies share: the surface that they believe in. It is
// kept from one question to the next as long as it holds.
type searcher struct {
	s       *space
	kernels []*kernel // of the drawn shapes
	memory  *memory   // that these were made with
	m       *model    // of the latest question
}

// view is what one look at the state gives.
type view struct {
	*space
	st     sweep.State
	obs    []*measured
	of     map[int]*measured // by cell
	failed []int             // cells
	alive  []int             // cells that have a rate or may get one
	feas   *feasibility
	m      *model // nil while fewer than two cells have a rate
}

func (b *searcher) look(st sweep.State) *view {
	if cells := inAndOutside(st); b.s == nil || !slices.Equal(b.s.cells, cells) {
		*b = searcher{s: newSpace(cells, len(st.Plan))}
		for _, h := range shapes(drawnShapes) {
			b.kernels = append(b.kernels, newKernel(b.s, h, nil))
		}
	}
	v := &view{space: b.s, st: st, of: make(map[int]*measured)}
	f := &feasibility{s: b.s}
	for i, c := range v.cells {
		k := st.Known[c]
		switch {
		case k.Failed:
			v.failed = append(v.failed, i)
			f.failed = append(f.failed, failure{i, k.Memory})
		case len(k.Rates) > 0:
			o := &measured{cell: i}
			for _, r := range k.Rates {
				o.logs = append(o.logs, math.Log(r))
			}
			v.obs = append(v.obs, o)
			v.of[i] = o
			f.worked = append(f.worked, i)
			v.alive = append(v.alive, i)
		case !k.Closed:
			v.alive = append(v.alive, i)
		}
	}
	if m := newMemory(b.s, st.Known); !m.equal(b.memory) {
		b.memory, b.m = m, nil
		for _, k := range b.kernels {
			k.press(m)
		}
	}
	f.memory = b.memory
	f.settle()
	v.feas = f
	if len(v.obs) < 2 {
		return v
	}
	if b.m == nil || !slices.EqualFunc(b.m.all, v.obs, (*measured).equal) {
		b.m = newModel(b.s, b.kernels, b.memory, v.obs)
	}
	v.m, v.obs = b.m, b.m.all // of a kept model too, with the samples' weights
	for _, o := range v.obs {
		v.of[o.cell] = o
	}
	return v
}

// inAndOutside returns the plan's cells and, behind them, others that something
// is known of.
func inAndOutside(st sweep.State) []cell.Key {
	cells := slices.Clone(st.Plan)
	in := make(map[cell.Key]bool, len(cells))
	for _, c := range cells {
		in[c] = true
	}
	for c := range st.Known {
		if !in[c] {
			cells = append(cells, c)
		}
	}
	slices.SortFunc(cells[len(st.Plan):], func(a, b cell.Key) int {
		return cmp.Or(cmp.Compare(a.Ctx, b.Ctx), cmp.Compare(a.Batch, b.Batch))
	})
	return cells
}

// asked reports whether the cell may be measured for the first time.
func (v *view) asked(i int) bool {
	_, known := v.st.Known[v.cells[i]]
	return !known
}

// again reports whether one more sample of the cell costs no load and may be of
// use.
func (v *view) again(i int) bool {
	o := v.of[i]
	return o != nil && v.cells[i] == v.st.Loaded && !v.st.Known[v.cells[i]].Closed && len(o.logs) < mostSamples
}

// suspect returns the loaded cell where one of its samples may well be an outlier, so
// that another tells more than its gain lets expect: what was passed over for a slow
// sample is not looked at again.
func (v *view) suspect() (int, bool) {
	i, ok := v.index[v.st.Loaded]
	return i, ok && v.again(i) && slices.Min(v.of[i].weight) < suspected
}

// suspected is the probability to be no outlier below which a sample is checked by
// another.
const suspected = 0.9

// mostSamples is from where a search takes no more samples of a cell.
const mostSamples = 4

// place is a point of the grid as shares of the two axes.
type place struct{ ctx, batch float64 }

// at returns the cell of the plan at a place, false where there is none.
func (v *view) at(p place) (int, bool) {
	ctx := v.ctxs[int(math.Round(p.ctx*float64(len(v.ctxs)-1)))]
	batch := v.batchs[int(math.Round(p.batch*float64(len(v.batchs)-1)))]
	i, ok := v.index[cell.Key{Ctx: ctx, Batch: batch}]
	return i, ok && i < v.planned
}

// first returns the first cell of a design that is not known yet, and where all
// are and still too few have a rate the one that is likeliest to have one; false
// when there is none to ask for.
func (v *view) first(design []place) (int, bool) {
	for _, p := range design {
		if i, ok := v.at(p); ok && v.asked(i) {
			return i, true
		}
	}
	if v.m != nil {
		return 0, false
	}
	best, chance := -1, -1.0
	for _, i := range v.alive {
		if v.asked(i) && v.feas.works(i) > chance {
			best, chance = i, v.feas.works(i)
		}
	}
	return best, best >= 0
}

// fewest is the answer where fewer than two cells have a rate.
func (v *view) fewest() *checkpoint.Answer {
	a := new(checkpoint.Answer)
	if len(v.obs) > 0 {
		a.Best = v.cells[v.obs[0].cell]
		a.Rate = v.st.Known[a.Best].Rates[0]
		a.Low, a.High = a.Rate, a.Rate
	}
	return a
}

// choose is the choice of one cell.
func (v *view) choose(i, samples int, why string, a *checkpoint.Answer) sweep.Choice {
	a.Why = why
	return sweep.Choice{Cells: []cell.Key{v.cells[i]}, Samples: samples, Why: why, Answer: a}
}

// load is the choice of a cell that has to be loaded, with as many loads still to come.
func (v *view) load(i, samples int, why string, a *checkpoint.Answer, ahead sweep.Range) sweep.Choice {
	choice := v.choose(i, samples, why, a)
	choice.Ahead, choice.Early = ahead, why == firstLook
	return choice
}

// done is the choice of none.
func done(why string, a *checkpoint.Answer) sweep.Choice {
	a.Done, a.Why = true, why
	return sweep.Choice{Why: why, Answer: a}
}

const (
	firstLook = "a first look at the grid"
	onceMore  = "once more, while it is loaded"
	noneLeft  = "no other cell is left"
)
