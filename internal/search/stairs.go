package search

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// stairs is one hypothesis of how a model leaves GPU memory: one layer after the other, at steps of the
// pressure on memory, each adding about the same time to every token. Rates are the same between two
// steps. With each layer goes its part of the context, so the more layers are outside, the more pressure
// it takes for another.
type stairs struct {
	batchWeight, product float64 // of the pressure, as in a shape
	first, layer         float64 // pressure at which the first layer leaves, and from there to the second
	layers               float64 // of the model
	time                 float64 // that a layer adds, relative to a token at the level of all rates

	z        stairsFigures
	logPrior float64

	outside []int       // of each cell: layers outside GPU memory
	slower  [][]float64 // by layers outside and pass: the effect on the log rate
}

// stairsFigures are the parameters of stairs as distances from the prior's medians, in standard deviations.
type stairsFigures [6]float64

const (
	// stairsScale is the standard deviation of the factor of a hypothesis's effect. It is wide, so that
	// the time of a layer decides how the effects of many layers compare, and not how large they are.
	stairsScale = 1.5
	// stepSpread is the standard deviation by which the effect of a step differs from its hypothesis.
	stepSpread = 0.06
	// mostLayers is the largest number of layers outside GPU memory that is distinguished.
	mostLayers = 64
	// leastFirst is the least pressure at which a layer leaves.
	leastFirst = 0.3
	// stairsOdds is the logarithm of the odds of there being stairs at all.
	stairsOdds = -2
)

// newStairs returns the hypothesis with these figures. Where sizes of loaded models are known, they determine
// the pressure.
func (m *model) newStairs(z stairsFigures) stairs {
	t := stairs{
		batchWeight: 0.1 * math.Exp(1.2*z[0]), product: 0.1 * math.Exp(1.2*z[1]),
		layer: 0.08 * math.Exp(0.7*z[2]), time: 0.15 * math.Exp(0.8*z[3]), layers: 40 * math.Exp(0.6*z[5]),
		z: z, logPrior: stairsOdds,
	}
	if m.memory != nil {
		t.batchWeight, t.product = m.memory.batchWeight, m.memory.product
	}
	t.first = leastFirst + normalCDF(z[4])*(1+t.batchWeight+t.product-leastFirst)
	for _, v := range z {
		t.logPrior -= v * v / 2
	}
	return t
}

// nearStairs draws stairs around others.
func (m *model) nearStairs(rng *rand.Rand, t stairs, spread float64) stairs {
	for i := range t.z {
		t.z[i] += spread * rng.NormFloat64()
	}
	return m.newStairs(t.z)
}

// layersOf returns how many layers of a cell are outside GPU memory.
func (t *stairs) layersOf(s *space, cell int) int {
	return t.layersAt(s.c[s.ctx[cell]], s.b[s.batch[cell]])
}

// layersAt returns the same at shares of the largest num_ctx and num_batch.
func (t *stairs) layersAt(c, b float64) int {
	over := (c + t.batchWeight*b + t.product*c*b - t.first) / t.layer
	if over <= 0 {
		return 0
	}
	return min(1+int(over/(1+over/t.layers)), mostLayers)
}

// stepDoubt is the probability that a step is one num_batch lower than a hypothesis has it, and that it is one
// higher. Found by simulation.
const stepDoubt = 0.1

// displaced returns by how much a cell's effect is expected to differ for that.
func (t *stairs) displaced(s *space, cell int, rate float64) (change float64) {
	at := max(s.batch[cell], 1)
	one := s.b[at] - s.b[at-1]
	c, b := s.c[s.ctx[cell]], s.b[s.batch[cell]]
	placed := t.slower[t.outside[cell]][s.batch[cell]]
	for _, by := range []float64{-one, one} {
		change += stepDoubt * (t.slow(t.layersAt(c, b+by), rate) - placed)
	}
	return change
}

// slow returns the effect of layers outside GPU memory on the log rate of a pass that has this rate without
// them, relative to the level.
func (t *stairs) slow(outside int, rate float64) float64 {
	return math.Log1p(t.time * float64(outside) * rate)
}

// place computes the layers of all cells and their effects.
func (t *stairs) place(s *space, relative []float64) {
	t.outside = make([]int, len(s.cells))
	for i := range s.cells {
		t.outside[i] = t.layersOf(s, i)
	}
	t.slower = make([][]float64, slices.Max(t.outside)+1)
	for n := range t.slower {
		for _, rate := range relative {
			t.slower[n] = append(t.slower[n], t.slow(n, rate))
		}
	}
}

// covariance is that of the effects on two points.
func (t *stairs) covariance(p, q point) float64 {
	n, l := t.outside[p.cell], t.outside[q.cell]
	return stairsScale*stairsScale*t.slower[n][p.pass]*t.slower[l][q.pass] + stepSpread*stepSpread*float64(min(n, l))
}

// equal reports whether both have the same layers of all cells outside GPU memory.
func (t *stairs) equal(u *stairs) bool {
	if t == nil || u == nil {
		return t == u
	}
	return slices.Equal(t.outside, u.outside)
}

// relativeRates returns, for each num_batch, the highest reading relative to the level, as its rate without
// layers outside GPU memory. Between those with readings it interpolates over log2 num_batch.
func (m *model) relativeRates() []float64 {
	highest := make(map[int]float64)
	for _, o := range m.all {
		log, _ := o.mean()
		if most, ok := highest[o.pass]; !ok || log > most {
			highest[o.pass] = log
		}
	}
	var known []int
	for pass := range m.s.batchs {
		if _, ok := highest[pass]; ok {
			known = append(known, pass)
		}
	}
	relative := make([]float64, len(m.s.batchs))
	for pass := range relative {
		at, _ := slices.BinarySearch(known, pass)
		above := known[min(at, len(known)-1)]
		below := above
		if above > pass && at > 0 {
			below = known[at-1]
		}
		log := highest[above]
		if below < above {
			log += (m.s.x[above] - m.s.x[pass]) / (m.s.x[above] - m.s.x[below]) * (highest[below] - highest[above])
		}
		relative[pass] = math.Exp(log - m.level)
	}
	return relative
}

// memoryParameter is the index of a shape's memory among its parameters.
const memoryParameter = 11

// addStairs adds to the shapes those with the stairs that explain what the most probable one leaves to its
// other effects. Where stairs explain spills, the pressure on memory explains less.
func (m *model) addStairs() {
	m.relative = m.relativeRates()
	p := m.posts[0]
	climb := newClimb(m, p)
	if climb == nil {
		return
	}
	climb.search(nil)
	for _, t := range climb.best {
		for _, share := range []float64{1, 0.2} {
			z := slices.Clone(p.k.z)
			z[memoryParameter] += math.Log(share) / prior[memoryParameter].spread
			m.posts = append(m.posts, m.fitStairs(newKernel(m.s, newShape(z), m.memory), t.stairs))
		}
	}
	m.keep()
}

// sampleStairs adds the most probable shape with other stairs, drawn by their probability: different ones
// may explain the readings about as well, and agree where they have been measured only.
func (m *model) sampleStairs() {
	if m.posts[0].k.stairs == nil {
		return
	}
	without := *m.posts[0].k
	without.stairs = nil
	climb := newClimb(m, m.fit(&without))
	if climb == nil {
		return
	}
	var from []stairs
	for _, p := range m.posts {
		if p.k.stairs != nil {
			from = append(from, *p.k.stairs)
		}
	}
	climb.search(from)
	var sampled []*posterior
	for _, t := range climb.chain() {
		k := without
		if p := m.fitStairs(&k, t); !p.singular {
			sampled = append(sampled, p)
		}
	}
	var mean float64
	for _, p := range sampled {
		mean += p.loglik / float64(len(sampled))
	}
	for _, p := range sampled {
		p.sampled, p.loglik = true, mean
	}
	m.posts = append(sampled, m.posts...)
	m.keep()
}

// fitStairs returns the posterior of a kernel with stairs.
func (m *model) fitStairs(k *kernel, t stairs) *posterior {
	t.place(m.s, m.relative)
	k.stairs = &t
	return m.fit(k)
}

const (
	drawnStairs = 400 // hypotheses that are drawn first
	keptStairs  = 24  // of them, and of each round of near ones
	keptEach    = 3   // of them with the same number of layers
	nearKept    = 8   // near each of those kept, in each round
	stairRounds = 12

	chainSteps   = 1600
	chainSamples = 8
)

// climb looks for the stairs that explain the readings together with the other effects of a posterior. With
// the inverse of their covariance, trying one takes no factorization: stairs add a covariance of rank one.
type climb struct {
	m       *model
	p       *posterior
	inverse blas64.Symmetric
	rng     *rand.Rand
	best    []*scored
	gains   map[float64]bool // of the best

	effect []float64 // of each measured point
	spills []int     // those with an effect
}

// scored is stairs with the improvement of the posterior's log probability.
type scored struct {
	stairs
	gain float64
	most int // layers outside GPU memory in a measured cell
}

// newClimb returns nil where the covariance can't be inverted.
func newClimb(m *model, p *posterior) *climb {
	if p.singular {
		return nil
	}
	chol := p.chol
	chol.Data = slices.Clone(chol.Data)
	inverse, ok := lapack64.Potri(chol)
	if !ok {
		return nil
	}
	rng := rand.New(rand.NewPCG(7, uint64(len(m.obs))))
	return &climb{m: m, p: p, inverse: inverse, rng: rng, gains: make(map[float64]bool), effect: make([]float64, len(m.obs))}
}

// score tries the stairs with these figures.
func (c *climb) score(z stairsFigures) *scored {
	t := &scored{stairs: c.m.newStairs(z)}
	var linear, square float64
	c.spills = c.spills[:0]
	for i, o := range c.m.obs {
		outside := t.layersOf(c.m.s, o.cell)
		if outside == 0 {
			continue
		}
		t.most = max(t.most, outside)
		c.effect[i] = t.slow(outside, c.m.relative[o.pass])
		linear += c.effect[i] * c.p.alpha[i]
		var sum float64
		for _, j := range c.spills {
			sum += c.inverse.Data[j*c.inverse.Stride+i] * c.effect[j]
		}
		square += c.effect[i] * (2*sum + c.inverse.Data[i*c.inverse.Stride+i]*c.effect[i])
		c.spills = append(c.spills, i)
	}
	if linear >= 0 { // a layer outside GPU memory makes no cell faster
		t.gain = math.Inf(-1)
		return t
	}
	const v = stairsScale * stairsScale
	t.gain = t.logPrior - 0.5*math.Log(1+v*square) + 0.5*v*linear*linear/(1+v*square)
	return t
}

// search collects the best stairs, from these and drawn ones on, in rounds.
func (c *climb) search(from []stairs) {
	for _, t := range from {
		c.add(t.z)
	}
	for range drawnStairs {
		var z stairsFigures
		for i := range z {
			z[i] = c.rng.NormFloat64()
		}
		c.add(z)
	}
	c.keep()
	for range stairRounds {
		for _, t := range slices.Clone(c.best) {
			for range nearKept {
				c.add(c.near(t.z))
			}
		}
		c.keep()
	}
}

func (c *climb) add(z stairsFigures) {
	t := c.score(z)
	if math.IsInf(t.gain, -1) || c.gains[t.gain] {
		return
	}
	c.best, c.gains[t.gain] = append(c.best, t), true
}

// keep drops all but the best. Those with another number of layers are kept too, since no small change
// leads from one to the other.
func (c *climb) keep() {
	slices.SortStableFunc(c.best, func(a, b *scored) int { return cmp.Compare(b.gain, a.gain) })
	same := make(map[int]int)
	c.best = slices.DeleteFunc(c.best, func(t *scored) bool {
		same[t.most]++
		return same[t.most] > keptEach
	})
	c.best = c.best[:min(keptStairs, len(c.best))]
	clear(c.gains)
	for _, t := range c.best {
		c.gains[t.gain] = true
	}
}

// near returns some of the figures changed, by little or by much.
func (c *climb) near(z stairsFigures) stairsFigures {
	spread := math.Exp2(-6 * c.rng.Float64())
	for i := range z {
		if c.rng.IntN(2) == 0 {
			z[i] += spread * c.rng.NormFloat64()
		}
	}
	return z
}

// chain returns stairs drawn by their probability: by a Markov chain (Metropolis) from the best on.
func (c *climb) chain() (samples []stairs) {
	if len(c.best) == 0 {
		return nil
	}
	at := c.best[0]
	for step := range chainSteps {
		if t := c.score(c.near(at.z)); math.Log(c.rng.Float64()) < t.gain-at.gain {
			at = t
		}
		if (step+1)%(chainSteps/chainSamples) == 0 {
			samples = append(samples, at.stairs)
		}
	}
	return samples
}
