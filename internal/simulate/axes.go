package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// AxesKinds are the kinds of surfaces over more axes that GenerateAxes draws, by what one of the axes
// besides num_ctx and num_batch does, while the others move the rate by up to 5 %:
//   - dominant: one of its values is 1.5 to 4 times as fast as the others;
//   - nil: none of the axes moves the rate;
//   - interacting: one of its values changes the best num_batch, by 1 to 3 octaves, and is 10 to 40 %
//     faster at that one;
//   - together: one of its values is 20 to 60 % faster, but only with one value of another axis, and
//     otherwise 5 to 15 % slower;
//   - refused: one of its values fails in every cell;
//   - memory: each of its values needs more memory than the one before, and is faster, so that the
//     fastest fail at large num_ctx.
var AxesKinds = []string{"dominant", "nil", "interacting", "together", "refused", "memory"}

// axesDrawn are the axes of the surfaces of GenerateAxes. Each has the first two to four.
var axesDrawn = []cell.SettingAxis{
	{Name: "num_gpu", Values: []string{"auto", "20", "30", "40"}},
	{Name: "num_thread", Values: []string{"auto", "4", "8", "16"}},
	{Name: "flash_attention", Values: []string{"auto", "on", "off"}},
	{Name: "kv_cache_type", Values: []string{"auto", "f16", "q8_0"}},
}

// GenerateAxes draws n surfaces over more axes, the same ones for the same seed: of each of the kinds in
// turn, on 8 num_ctx by 8 num_batch by the values of two to four other axes. Along num_ctx and num_batch they
// are as those of [Generate] of the kinds saturating, bumpy, shifting and small.
func GenerateAxes(n int, seed uint64) []*Surface {
	var surfaces []*Surface
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, 1000+uint64(i)))
		kind := AxesKinds[i%len(AxesKinds)]
		axes := slices.Clone(axesDrawn)
		rng.Shuffle(len(axes), func(i, j int) { axes[i], axes[j] = axes[j], axes[i] })
		axes = axes[:2+rng.IntN(3)]
		cell.SortAxes(axes)
		s := drawAxes(rng, kind, cell.Grid{Ctx: steps(8192, 8192, 8), Batch: []int{32, 64, 128, 256, 512, 1024, 2048, 4096}, Settings: axes})
		s.Name = fmt.Sprintf("a-%03d-%s-%d-axes", i, kind, 2+len(axes))
		surfaces = append(surfaces, s)
	}
	return surfaces
}

// effects are what the values of the axes do to the logarithm of the rate.
type effects struct {
	kind   string
	own    map[cell.Value]float64
	actor  string     // the axis that the kind is about
	value  cell.Value // its value that matters
	with   cell.Value // together: the value of another axis
	size   float64
	octave float64 // interacting: the shift of the best num_batch
	order  []string
	limit  float64 // memory: the pressure above which the value with the greatest need fails
}

// DrawAxes draws a surface of each of [AxesKinds] on a grid that has other axes, the same ones for the same
// seed. It omits surfaces on which no cell works, which small grids can have.
func DrawAxes(g cell.Grid, seed uint64) (surfaces []*Surface) {
	for i, kind := range AxesKinds {
		s := drawAxes(rand.New(rand.NewPCG(seed, 1000+uint64(i))), kind, g)
		if s.Name = kind; len(s.Rates) > 0 {
			surfaces = append(surfaces, s)
		}
	}
	return surfaces
}

func drawAxes(rng *rand.Rand, kind string, g cell.Grid) *Surface {
	l := newLandscape(rng, []string{"saturating", "bumpy", "shifting", "small"}[rng.IntN(4)], gridShape{"axes", g.Ctx, g.Batch})
	e := drawEffects(rng, kind, g.Settings)
	s := &Surface{
		Rates: make(map[cell.Key]float64), Probes: make(map[cell.Key]map[int]float64), PromptTokens: defaultPromptTokens, Refused: make(map[cell.Key]bool),
		Noise: between(rng, 0.005, 0.03), OutlierProb: between(rng, 0, 0.05), OutlierLow: between(rng, 0.8, 0.95),
	}
	s.Plan, _ = g.Cells()
	var probeErrors []float64
	for range g.Batch {
		probeErrors = append(probeErrors, between(rng, 0.002, 0.012)*rng.NormFloat64())
	}
	rate := func(c cell.Key, batch int) float64 {
		j := slices.Index(g.Batch, batch)
		return l.level * math.Exp(l.overBatch(j, float64(c.Ctx))-l.ctxSlope*float64(c.Ctx)/l.maxCtx+e.of(c, batch))
	}
	for _, c := range s.Plan {
		switch {
		case e.refused(c):
			s.Refused[c] = true
			continue
		case e.outOfMemory(c, l.pressure(c.Ctx, c.Batch)):
			continue
		}
		s.Rates[c] = rate(c, c.Batch)
		s.Probes[c] = make(map[int]float64)
		for k, batch := range g.Batch {
			if batch <= c.Batch {
				s.Probes[c][batch] = rate(c, batch) * math.Exp(probeErrors[k])
			}
		}
	}
	return s
}

func drawEffects(rng *rand.Rand, kind string, axes []cell.SettingAxis) effects {
	e := effects{kind: kind, own: make(map[cell.Value]float64)}
	for _, a := range axes {
		for _, v := range a.Values {
			if kind != "nil" {
				e.own[cell.Value{Name: a.Name, Value: v}] = between(rng, -0.05, 0)
			}
		}
	}
	actor := axes[rng.IntN(len(axes))]
	e.actor, e.order = actor.Name, actor.Values
	e.value = cell.Value{Name: actor.Name, Value: actor.Values[rng.IntN(len(actor.Values))]}
	other := axes[(slices.IndexFunc(axes, func(a cell.SettingAxis) bool { return a.Name == actor.Name })+1)%len(axes)]
	e.with = cell.Value{Name: other.Name, Value: other.Values[rng.IntN(len(other.Values))]}
	switch kind {
	case "dominant":
		e.size = math.Log(between(rng, 1.5, 4))
	case "interacting":
		e.size, e.octave = between(rng, 0.1, 0.4), between(rng, 1, 3)
	case "together":
		e.size = between(rng, 0.2, 0.6)
	case "memory":
		e.size, e.limit = between(rng, 0.1, 0.3), between(rng, 0.4, 0.9)
	}
	return e
}

// of returns the effect of a cell's settings on passes of so many tokens.
func (e effects) of(c cell.Key, batch int) (sum float64) {
	has := func(v cell.Value) bool {
		value, ok := c.Settings.Value(v.Name)
		return ok && value == v.Value
	}
	for name, value := range c.Settings.All() {
		sum += e.own[cell.Value{Name: name, Value: value}]
	}
	switch {
	case e.kind == "dominant" && has(e.value):
		sum += e.size
	case e.kind == "interacting" && has(e.value):
		d := math.Log2(float64(batch)) - (10 - e.octave)
		sum += e.size - 0.08*d*d
	case e.kind == "together" && has(e.value) && has(e.with):
		sum += e.size
	case e.kind == "together" && has(e.value):
		sum -= e.size / 4
	case e.kind == "memory":
		sum += e.size * float64(e.need(c))
	}
	return sum
}

// need returns the place of the cell's value on the axis of the kind, from 0.
func (e effects) need(c cell.Key) int {
	value, _ := c.Settings.Value(e.actor)
	return slices.Index(e.order, value)
}

func (e effects) refused(c cell.Key) bool {
	value, _ := c.Settings.Value(e.actor)
	return e.kind == "refused" && value == e.value.Value
}

func (e effects) outOfMemory(c cell.Key, pressure float64) bool {
	return e.kind == "memory" && pressure*(0.4+0.6*float64(1+e.need(c))/float64(len(e.order))) > e.limit
}

// oneAtATime varies one axis at a time, as people do: each setting besides num_ctx and num_batch, then
// num_batch, then num_ctx, the others as in the fastest cell so far, and all again, until it has measured so
// many cells. It begins with what is left to the server.
type oneAtATime struct {
	cells int
	axes  []cell.SettingAxis
}

// Next implements [sweep.Strategy].
func (o oneAtATime) Next(s sweep.State) sweep.Choice {
	if len(s.Measured) < o.cells {
		if next, ok := o.next(s); ok {
			return sweep.Choice{Cells: []cell.Key{next}, Samples: 1, Why: "one axis at a time"}
		}
	}
	return end("all axes were varied", s)
}

// next repeats the search from the start, and returns its first cell that is not measured.
func (o oneAtATime) next(s sweep.State) (unknown cell.Key, ok bool) {
	planned := make(map[cell.Key]bool, len(s.Plan))
	for _, c := range s.Plan {
		planned[c] = true
	}
	ctxs, batches := cell.Axes(s.Plan)
	best := s.Plan[0].WithBatch(batches[min(len(batches)-1, slices.IndexFunc(batches, func(b int) bool { return b >= 512 }))])
	rate := func(c cell.Key) float64 {
		if rates := s.Measured[c].Rates; len(rates) > 0 {
			return rates[0]
		}
		return 0
	}
	vary := func(to []cell.Key) bool {
		for _, c := range to {
			if _, known := s.Measured[c]; !known && planned[c] {
				unknown = c
				return false
			}
		}
		for _, c := range to {
			if rate(c) > rate(best) {
				best = c
			}
		}
		return true
	}
	for before := (cell.Key{}); before != best; {
		before = best
		for _, a := range o.axes {
			var to []cell.Key
			for _, v := range a.Values {
				to = append(to, best.With(a.Name, v))
			}
			if !vary(to) {
				return unknown, true
			}
		}
		var rows, columns []cell.Key
		for _, b := range batches {
			rows = append(rows, best.WithBatch(b))
		}
		if !vary(rows) {
			return unknown, true
		}
		for _, ctx := range ctxs {
			c := best
			c.Ctx = ctx
			columns = append(columns, c)
		}
		if !vary(columns) {
			return unknown, true
		}
	}
	return cell.Key{}, false
}

// CompareAxes plays the first of the strategies, a search, on surfaces over more axes and, with as many cells as
// each of its plays has cost, random cells and one axis at a time.
func CompareAxes(surfaces []*Surface, o Options) Comparison {
	surfaces = o.hide(surfaces)
	names := []string{o.Strategies[0], "one at a time", "random"}
	plays := make([][]Run, len(surfaces)*len(names))
	for i := range plays {
		plays[i] = make([]Run, o.Seeds)
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, s := range surfaces {
		for seed := range o.Seeds {
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				found := Play(s, strategy(names[0], o.Tolerance, uint64(seed)), uint64(seed))
				cells := int(math.Ceil(found.Cost))
				plays[i*len(names)][seed] = found
				plays[i*len(names)+1][seed] = Play(s, oneAtATime{cells, cell.SettingAxes(s.Plan)}, uint64(seed))
				plays[i*len(names)+2][seed] = Play(s, randomSearch{uint64(seed), cells}, uint64(seed))
			})
		}
	}
	group.Wait()
	c := Comparison{Requested: names[:1]}
	for i, runs := range plays {
		c.Surfaces = append(c.Surfaces, score(surfaces[i/len(names)].Name, names[i%len(names)], runs))
	}
	for n, name := range names {
		var runs []Run
		for i := range surfaces {
			runs = append(runs, plays[i*len(names)+n]...)
		}
		c.Overall = append(c.Overall, score(allSurfaces, name, runs))
	}
	return c
}
