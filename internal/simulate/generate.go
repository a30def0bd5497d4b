package simulate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Kinds are the kinds of surfaces that Generate draws, each with a difficulty for a
// search: rates that rise with num_batch and saturate; with tiles and dips; with a best
// num_batch that moves over num_ctx; with layers that spill; with loads that fail; with
// bands of failures; with the smallest num_batch the fastest; with upward steps over
// num_ctx; flat but for noise; with a fall from one num_batch to the next.
var Kinds = []string{"saturating", "bumpy", "shifting", "spill", "oom", "band", "small", "interior", "flat", "jump"}

// gridShape is the values of both settings of a grid.
type gridShape struct {
	name         string
	ctx, batches []int
}

// steps returns n values.
func steps(from, step, n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = from + i*step
	}
	return v
}

var gridShapes = []gridShape{
	{"39x16", steps(32768, 2048, 39), steps(128, 128, 16)},
	{"5x5", []int{8192, 16384, 32768, 65536, 131072}, []int{128, 256, 512, 1024, 2048}},
	{"12x8", steps(8192, 8192, 12), steps(256, 256, 8)},
	{"39xlog8", steps(32768, 2048, 39), []int{32, 64, 128, 256, 512, 1024, 2048, 4096}},
	{"20xlog15", steps(4096, 4096, 20), []int{32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096}},
	{"100x32", steps(8192, 1024, 100), steps(64, 64, 32)},
}

// Generate draws n surfaces, the same ones for the same seed: of each kind in turn,
// half of them on the 39 × 16 grid.
func Generate(n int, seed uint64) []*Surface {
	var surfaces []*Surface
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		g := gridShapes[0]
		if i/len(Kinds)%2 == 1 {
			g = gridShapes[1+rng.IntN(len(gridShapes)-1)]
		}
		file := draw(rng, Kinds[i%len(Kinds)], g)
		file.Name = fmt.Sprintf("g-%03d-%s-%s", i, Kinds[i%len(Kinds)], g.name)
		s, err := file.surface()
		if err != nil {
			panic(err)
		}
		surfaces = append(surfaces, s)
	}
	return surfaces
}

// Draw draws a surface of each kind on a grid, the same ones for the same seed. It omits
// surfaces on which no cell works, which small grids can have. Values must be ascending.
func Draw(ctx, batches []int, seed uint64) ([]*Surface, error) {
	var surfaces []*Surface
	for i, kind := range Kinds {
		file := draw(rand.New(rand.NewPCG(seed, uint64(i))), kind, gridShape{"own", ctx, batches})
		file.Name = kind
		s, err := file.surface()
		if errors.Is(err, errNoRate) {
			continue
		}
		if err != nil {
			return nil, err
		}
		surfaces = append(surfaces, s)
	}
	return surfaces, nil
}

// draw draws a surface of a kind.
func draw(rng *rand.Rand, kind string, g gridShape) *surfaceFile {
	s := &surfaceFile{
		NumCtx: g.ctx, NumBatch: g.batches,
		Noise: between(rng, 0.005, 0.03), OutlierProb: between(rng, 0, 0.05), OutlierLow: between(rng, 0.8, 0.95),
	}
	l := newLandscape(rng, kind, g)
	var rates [][]float64 // also of cells that fail
	for _, ctx := range g.ctx {
		var row []*float64
		var all []float64
		var sizes, inVRAM []int64
		for j, batch := range g.batches {
			rate := l.level * math.Exp(l.overBatch(j, float64(ctx))+l.overCtx(float64(ctx), rng)-l.spilled(ctx, batch))
			all = append(all, rate)
			if l.fails(ctx, batch) {
				row = append(row, nil)
			} else {
				row = append(row, &rate)
			}
			size := 1 + l.pressure(ctx, batch)
			sizes, inVRAM = append(sizes, int64(1e10*size)), append(inVRAM, int64(1e10*min(size, 1+l.spillAt)))
		}
		s.TrueRate, rates = append(s.TrueRate, row), append(rates, all)
		s.Size, s.SizeVRAM = append(s.Size, sizes), append(s.SizeVRAM, inVRAM)
	}
	l.drawProbes(rng, s, rates)
	return s
}

func between(rng *rand.Rand, a, b float64) float64 { return a + (b-a)*rng.Float64() }

// landscape is the parameters of a surface. Effects are on the logarithm of the
// rate.
type landscape struct {
	kind    string
	batches []float64

	level            float64 // tokens per second
	half, steep      float64 // num_batch at which half of the level is reached, and how suddenly
	fall             float64 // per octave above 512
	tile             int     // multiples of it as num_batch are faster
	tiled            float64 // by this much
	odd              []float64
	dips             map[int]float64 // by index of num_batch
	jumpAt           int             // index of num_batch from which the rate is lower
	jump             float64
	shift            float64 // of half over num_ctx, in octaves
	smallSlope       float64 // per octave, where the smallest num_batch is the fastest
	flatness         float64
	ctxSlope         float64
	maxCtx, maxBatch float64

	weight, product float64 // of num_batch, and of its product with num_ctx, in the pressure on memory
	spillAt         float64 // pressure above which layers leave GPU memory, one after the other
	layer, each     float64 // pressure that a layer takes, and the cost of one outside GPU memory
	oomAt           float64 // pressure above which loads fail
	risers          []riser // steps upwards over num_ctx
}

type riser struct{ at, height float64 }

func newLandscape(rng *rand.Rand, kind string, g gridShape) *landscape {
	l := &landscape{
		kind: kind, dips: make(map[int]float64),
		maxCtx: float64(g.ctx[len(g.ctx)-1]), maxBatch: float64(g.batches[len(g.batches)-1]),
	}
	for _, b := range g.batches {
		l.batches = append(l.batches, float64(b))
	}
	l.level = math.Exp(between(rng, math.Log(5), math.Log(4000)))
	l.half, l.steep, l.fall = math.Exp(between(rng, math.Log(30), math.Log(600))), between(rng, 0.6, 1.8), between(rng, -0.02, 0.1)
	l.tiled = between(rng, 0, 0.05)
	if kind == "bumpy" {
		l.tiled = between(rng, 0.05, 0.1)
	}
	l.tile = []int{256, 512}[rng.IntN(2)]
	for range g.batches {
		l.odd = append(l.odd, l.tiled/4*rng.NormFloat64())
	}
	if kind == "bumpy" {
		for range 1 + rng.IntN(3) {
			l.dips[rng.IntN(len(g.batches))] = between(rng, 0.02, 0.12)
		}
	}
	l.jumpAt, l.jump = rng.IntN(len(g.batches)), between(rng, 0.2, 0.4)
	l.ctxSlope = between(rng, 0, 0.05)
	if rng.Float64() < 0.3 {
		l.ctxSlope = between(rng, 0.1, 0.6)
	}
	l.weight, l.product = between(rng, 0.02, 0.4), between(rng, 0, 0.3)
	l.spillAt, l.layer, l.each = between(rng, 0.45, 0.9), between(rng, 0.02, 0.08), between(rng, 0.05, 0.25)
	if kind != "spill" && kind != "interior" {
		l.spillAt = 1 // never
	}
	l.oomAt = between(rng, 0.6, 0.95)
	l.shift = between(rng, -0.6, 0.6)
	for range 1 + rng.IntN(3) {
		l.risers = append(l.risers, riser{between(rng, 0.1, 0.7), between(rng, 0.02, 0.1)})
	}
	l.smallSlope = between(rng, 0.02, 0.25)
	l.flatness = between(rng, 0, 0.02)
	return l
}

// overBatch returns the effect of the num_batch with index j.
func (l *landscape) overBatch(j int, ctx float64) float64 {
	x := math.Log2(l.batches[j])
	half := l.half
	switch l.kind {
	case "flat":
		return 0
	case "shifting":
		half *= math.Exp2(2 * l.shift * ctx / l.maxCtx)
	}
	y := -math.Log1p(math.Pow(half/l.batches[j], l.steep)) - l.fall*max(0, x-9)
	switch {
	case l.kind == "small":
		y = -l.smallSlope * (x - math.Log2(l.batches[0]))
	case l.kind == "shifting":
		y -= 0.03 * math.Pow(x-math.Log2(half)-3, 2)
	case l.kind == "jump" && j >= l.jumpAt:
		y -= l.jump
	}
	if int(l.batches[j])%l.tile == 0 {
		y += l.tiled
	}
	return y + l.odd[j] - l.dips[j]
}

// overCtx returns the effect of num_ctx, plus a random effect of the cell.
func (l *landscape) overCtx(ctx float64, rng *rand.Rand) float64 {
	y := -l.ctxSlope * ctx / l.maxCtx
	switch l.kind {
	case "flat":
		y += l.flatness / 10 * rng.NormFloat64()
	case "interior":
		for _, r := range l.risers {
			if ctx/l.maxCtx > r.at {
				y += r.height
			}
		}
		y += 0.002 * rng.NormFloat64()
	}
	return y
}

// pressure returns the pressure on memory, relative to that of the largest cell.
func (l *landscape) pressure(ctx, batch int) float64 {
	c, b := float64(ctx)/l.maxCtx, float64(batch)/l.maxBatch
	return (c + l.weight*b + l.product*b*c) / (1 + l.weight + l.product)
}

// spilled returns the cost of the layers that are not in GPU memory.
func (l *landscape) spilled(ctx, batch int) float64 {
	over := l.pressure(ctx, batch) - l.spillAt
	if over <= 0 {
		return 0
	}
	return l.each * (1 + math.Floor(over/l.layer))
}

// fails reports whether the cell does not load. With the kind "band", bands of pressure
// that work alternate with bands that fail.
func (l *landscape) fails(ctx, batch int) bool {
	p := l.pressure(ctx, batch)
	return p > l.oomAt && (l.kind == "oom" || l.kind == "band" && int(p*40)%3 != 0)
}
