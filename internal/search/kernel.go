package search

import (
	"math"
	"math/rand/v2"
)

// shape is one hypothesis of how rates vary: the strength of each effect on the
// logarithm of the rate, as a standard deviation, and its length scale.
type shape struct {
	smooth, octaves     float64 // smooth in log2 num_batch; length in octaves
	jumps               float64 // jumps from one num_batch to the next that stay
	step                float64 // a single step from one num_batch to the next
	stepAt              float64 // position of the step, as a share of the octaves of num_batch
	perBatch            float64 // each num_batch by itself, the same for all num_ctx
	perPower            float64 // the largest power of two that divides num_batch
	perCtx, ctxLength   float64 // smooth in num_ctx; length as a share of the largest
	logCtx, ctxOctaves  float64 // smooth in log2 num_ctx; length in octaves
	memory, memoryRange float64 // the pressure on memory; length
	batchWeight         float64 // of num_batch in the pressure, against 1 of num_ctx
	product             float64 // of num_batch times num_ctx in the pressure
	rough               float64 // each cell by itself, with a short length over both settings
	noise               float64 // of one sample
	probeLevel          float64 // the error of all probes
	probeSmooth         float64 // the error of probes, smooth in log2 of their tokens
	probeEach           float64 // the error of probes of each size by itself
	probeFixed          float64 // the error of probes by a fixed time of each, as the tokens that are read in it
	probeNoise          float64 // of one probe of the largest size besides that of a sample; more of smaller ones
	setting             float64 // the offset of each value of another setting, the same in all cells
	settingBatch        float64 // its interaction with num_batch
	settingCtx          float64 // its interaction with num_ctx
	settingPair         float64 // each pair of values of two settings

	z        []float64 // all of these as distances from the prior's medians, in standard deviations
	logPrior float64
}

// prior is the distribution of shapes before any measurement: each parameter is
// log-normal, with this median and this standard deviation of the logarithm.
var prior = []struct {
	figure         func(*shape) *float64
	median, spread float64
}{
	{func(h *shape) *float64 { return &h.smooth }, 0.3, 1},
	{func(h *shape) *float64 { return &h.octaves }, 3, 0.5},
	{func(h *shape) *float64 { return &h.jumps }, 0.03, 1.2},
	{func(h *shape) *float64 { return &h.step }, 0.2, 0.5},
	{func(h *shape) *float64 { return &h.stepAt }, 0.5, 1},
	{func(h *shape) *float64 { return &h.perBatch }, 0.008, 1},
	{func(h *shape) *float64 { return &h.perPower }, 0.01, 1},
	{func(h *shape) *float64 { return &h.perCtx }, 0.05, 1.2},
	{func(h *shape) *float64 { return &h.ctxLength }, 1, 0.7},
	{func(h *shape) *float64 { return &h.logCtx }, 0.03, 1.2},
	{func(h *shape) *float64 { return &h.ctxOctaves }, 2, 0.5},
	{func(h *shape) *float64 { return &h.memory }, 0.15, 1.2},
	{func(h *shape) *float64 { return &h.memoryRange }, 0.3, 0.7},
	{func(h *shape) *float64 { return &h.batchWeight }, 0.15, 0.8},
	{func(h *shape) *float64 { return &h.product }, 0.15, 0.8},
	{func(h *shape) *float64 { return &h.rough }, 0.006, 0.8},
	{func(h *shape) *float64 { return &h.noise }, 0.012, 0.5},
	{func(h *shape) *float64 { return &h.probeLevel }, 0.01, 1.5},
	{func(h *shape) *float64 { return &h.probeSmooth }, 0.008, 0.8},
	{func(h *shape) *float64 { return &h.probeEach }, 0.01, 0.8},
	{func(h *shape) *float64 { return &h.probeFixed }, 1, 1.5},
	{func(h *shape) *float64 { return &h.probeNoise }, 0.003, 1.2},
	{func(h *shape) *float64 { return &h.setting }, 0.2, 0.8},
	{func(h *shape) *float64 { return &h.settingBatch }, 0.1, 1.2},
	{func(h *shape) *float64 { return &h.settingCtx }, 0.02, 1.2},
	{func(h *shape) *float64 { return &h.settingPair }, 0.05, 1.2},
}

// newShape returns the shape with these distances from the prior's medians, in
// standard deviations; the last parameters may be left out, and have the median.
func newShape(z []float64) shape {
	h := shape{z: z}
	for i, p := range prior {
		*p.figure(&h) = p.median
		if i < len(z) {
			*p.figure(&h) *= math.Exp(p.spread * z[i])
			h.logPrior -= z[i] * z[i] / 2
		}
	}
	return h
}

// withoutSettings is the number of parameters that do not concern settings besides num_ctx and num_batch,
// and withoutProbes of those that do not concern probes either. They come first.
var (
	withoutSettings = len(prior) - 4
	withoutProbes   = withoutSettings - 5
)

// shapes draws n shapes from the prior, the same ones every time. Without probes and other settings their
// parameters have the medians, so that shapes are no different from each other for what nothing is known of.
func shapes(n int, probes, settings bool) []shape {
	parameters := withoutProbes
	switch {
	case settings:
		parameters = len(prior)
	case probes:
		parameters = withoutSettings
	}
	rng := rand.New(rand.NewPCG(1, 2))
	drawn := make([]shape, n)
	for i := range drawn {
		drawn[i] = near(rng, make([]float64, parameters), 1)
	}
	return drawn
}

// near draws a shape around another.
func near(rng *rand.Rand, z []float64, spread float64) shape {
	moved := make([]float64, len(z))
	for i := range z {
		moved[i] = z[i] + spread*rng.NormFloat64()
	}
	return newShape(moved)
}

// kernel is the covariance of the cells of a space under a shape, without the
// noise.
type kernel struct {
	shape
	s          *space
	batch, ctx [][]float64 // by index of the two num_batch, num_ctx
	bias       [][]float64 // of probes, by index of the two num_batch
	// settings are the offsets and interactions of two combinations of other settings, and alongBatch and
	// alongCtx how their interactions with num_batch and num_ctx change along those; nil without other settings.
	settings             [][]float64
	alongBatch, alongCtx [][]float64
	up, down             []float64 // of each cell: e to the pressure on memory, and to its negative
	spill                []float64 // of each cell: the share of the model that is not in GPU memory; nil where that is not known
	stairs               *stairs   // nil for none
}

// constant is the variance of the level of all rates around the median of the
// samples.
const constant = 1

const (
	jumpOctaves  = 2
	roughOctaves = 0.7
	roughCtx     = 0.15
	// fallOctaves is the range of num_batch, in octaves, over which a lack of memory
	// slows cells by a similar factor: where each pass takes long, the part outside
	// the GPU is a smaller share of it.
	fallOctaves = 6
	// perSpill is the standard deviation of the difference in log rate between a model
	// that is entirely in GPU memory and one that is not at all.
	perSpill = 2
	// Where the error of all probes is large, that of each size is too: by these shares of its variance. On
	// an H200 probes were 3 to 41 % slow.
	unevenSmooth, unevenEach = 1.0 / 16, 1.0 / 16
	// probeOctaves is the length of the smooth part of the errors of probes.
	probeOctaves = 2
)

func newKernel(s *space, h shape, m *memory) *kernel {
	k := &kernel{shape: h, s: s}
	stepAt := s.x[0] + h.stepAt*(s.x[len(s.x)-1]-s.x[0])
	k.batch = table(len(s.batchs), func(i, j int) float64 {
		v := h.smooth * h.smooth * matern32(math.Abs(s.x[i]-s.x[j])/h.octaves)
		v += h.jumps * h.jumps * s.jumps[i][j]
		if s.x[i] > stepAt && s.x[j] > stepAt {
			v += h.step * h.step
		}
		if i == j {
			v += h.perBatch * h.perBatch
		}
		if s.power[i] == s.power[j] {
			v += h.perPower * h.perPower
		}
		return v
	})
	fixed := make([]float64, len(s.batchs)) // its part of the error of probes
	for i, size := range s.batchs {
		fixed[i] = math.Log1p(h.probeFixed / float64(max(size, 1)))
	}
	k.bias = table(len(s.batchs), func(i, j int) float64 {
		level := h.probeLevel * h.probeLevel
		v := level + (h.probeSmooth*h.probeSmooth+level*unevenSmooth)*matern32(math.Abs(s.x[i]-s.x[j])/probeOctaves)
		v += fixed[i] * fixed[j]
		if i == j {
			v += h.probeEach*h.probeEach + level*unevenEach
		}
		return v
	})
	k.ctx = table(len(s.ctxs), func(i, j int) float64 {
		return h.perCtx*h.perCtx*matern32(math.Abs(s.c[i]-s.c[j])/h.ctxLength) +
			h.logCtx*h.logCtx*matern32(math.Abs(s.cx[i]-s.cx[j])/h.ctxOctaves)
	})
	if s.hasSettings() {
		k.setSettings()
	}
	k.setPressure(m)
	return k
}

// setSettings computes the covariances of the combinations of other settings.
func (k *kernel) setSettings() {
	h, s := k.shape, k.s
	k.settings = table(len(s.others.all), func(i, j int) float64 {
		return h.setting*h.setting*s.others.alike[i][j] + h.settingPair*h.settingPair*s.others.alikePairs[i][j]
	})
	k.alongBatch = table(len(s.batchs), func(i, j int) float64 {
		return h.settingBatch * h.settingBatch * matern32(math.Abs(s.x[i]-s.x[j])/h.octaves)
	})
	k.alongCtx = table(len(s.ctxs), func(i, j int) float64 {
		return h.settingCtx * h.settingCtx * matern32(math.Abs(s.cx[i]-s.cx[j])/h.ctxOctaves)
	})
}

// setPressure computes the pressure on memory, with the weights fitted to reported
// sizes where there are any.
func (k *kernel) setPressure(m *memory) {
	weight, product := k.batchWeight, k.product
	k.spill = nil
	if m != nil {
		weight, product, k.spill = m.batchWeight, m.product, m.spill
	}
	k.up, k.down = make([]float64, len(k.s.cells)), make([]float64, len(k.s.cells))
	for i := range k.s.cells {
		c, b := k.s.c[k.s.ctx[i]], k.s.b[k.s.batch[i]]
		k.up[i] = math.Exp(min((c+weight*b+product*c*b)/k.memoryRange, 300))
		k.down[i] = 1 / k.up[i]
	}
}

// at is the covariance of the true rates of two points.
func (k *kernel) at(p, q point) float64 {
	var v [1]float64
	k.row(v[:], p, []point{q})
	return v[0]
}

// row sets v to the covariances of the true rates of p and of each of the others.
func (k *kernel) row(v []float64, p point, others []point) {
	s, i, bi, ci := k.s, p.cell, p.pass, k.s.ctx[p.cell]
	batch, ctx, up, down := k.batch[bi], k.ctx[ci], k.up[i], k.down[i]
	roughB, roughC, fall := s.roughB[bi], s.roughC[ci], s.fall[bi]
	ofRough, ofMemory := k.rough*k.rough, k.memory*k.memory
	for n, q := range others {
		j, bj, cj := q.cell, q.pass, s.ctx[q.cell]
		rough := ofRough * roughB[bj] * roughC[cj]
		var settings float64
		if k.settings != nil {
			oi, oj := s.other[i], s.other[j]
			settings = k.settings[oi][oj] + s.others.alike[oi][oj]*(k.alongBatch[bi][bj]+k.alongCtx[ci][cj])
			if oi != oj {
				rough = 0
			}
		}
		sum := constant + settings + batch[bj] + ctx[cj] + rough +
			ofMemory*fall[bj]*min(up*k.down[j], k.up[j]*down) // e to the negative distance
		if k.spill != nil {
			sum += perSpill * perSpill * k.spill[i] * k.spill[j]
		}
		if k.stairs != nil {
			sum += k.stairs.covariance(p, q)
		}
		if p.probe && q.probe {
			sum += k.bias[bi][bj]
		}
		v[n] = sum
	}
}

// noiseOf is the variance of one reading of a point. What disturbs a pass weighs the more the fewer tokens
// it has.
func (k *kernel) noiseOf(p point) float64 {
	v := k.noise * k.noise
	if p.probe {
		v += k.probeNoise * k.probeNoise / k.s.b[p.pass]
	}
	return v
}

func table(n int, at func(i, j int) float64) [][]float64 {
	t, all := make([][]float64, n), make([]float64, n*n)
	for i := range t {
		t[i] = all[i*n : (i+1)*n]
		for j := range i + 1 {
			v := at(i, j)
			all[i*n+j], all[j*n+i] = v, v
		}
	}
	return t
}

func matern32(d float64) float64 {
	d *= math.Sqrt(3)
	return (1 + d) * math.Exp(-d)
}
