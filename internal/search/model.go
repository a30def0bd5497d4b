package search

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// measured is the readings of one point: logarithms of rates.
type measured struct {
	point
	logs   []float64
	weight []float64 // of each: the probability that it is no outlier
}

func (o *measured) equal(other *measured) bool {
	return o.point == other.point && slices.Equal(o.logs, other.logs)
}

// mean returns the weighted mean of a cell's samples, and the sum of the weights.
func (o *measured) mean() (mean, n float64) {
	for i, v := range o.logs {
		mean += o.weight[i] * v
		n += o.weight[i]
	}
	return mean / n, n
}

// posterior is the Gaussian process of one shape, given the samples.
type posterior struct {
	k        *kernel
	weight   float64           // the probability of the shape
	chol     blas64.Triangular // upper factor of the covariance of the measured cells
	alpha    []float64
	noise    []float64 // variance of each measured cell's mean
	loglik   float64   // logarithm of the shape's probability, up to a constant
	sampled  bool      // the stairs were drawn by their probability: loglik is the mean of those drawn
	singular bool      // the covariance can't be factored in floating point
}

// model is the posterior distribution of a surface: that of the most probable shapes,
// weighted.
type model struct {
	s        *space
	memory   *memory
	all      []*measured
	obs      []*measured // those that the posteriors use
	level    float64     // median of the logs
	relative []float64   // of passes of each num_batch: see relativeRates
	posts    []*posterior
}

const (
	drawnShapes = 256
	keptShapes  = 12
	// forOutliers is how many of the drawn shapes are tried for a first estimate of
	// which samples are outliers.
	forOutliers = 64
	// nearShapes is how many shapes are drawn around those kept, once for each of
	// the spreads, in standard deviations of the prior.
	nearShapes = 40
	// mostMeasured is the largest number of cells used; the computing time grows with its cube.
	mostMeasured = 192
	// mostForShapes is how many of them are used for the choice of shapes.
	mostForShapes = 64
	// A sample is assumed to be an outlier with this probability, and then to be low by
	// up to outlierLow in the logarithm of the rate.
	outlierProb = 0.03
	outlierLow  = 0.22
	// The prediction of a cell by all others is wrong with this probability, and then by a standard deviation of
	// misfitSpread in the logarithm of the rate.
	misfitProb   = 0.01
	misfitSpread = 0.3
)

var nearSpreads = []float64{0.5, 0.3}

func newModel(s *space, kernels []*kernel, memory *memory, all []*measured, stairs bool) *model {
	m := &model{s: s, memory: memory, all: all, obs: fastest(s, all, mostForShapes)}
	var logs []float64
	for _, o := range all {
		o.weight = make([]float64, len(o.logs))
		for i := range o.weight {
			o.weight[i] = 1
		}
		logs = append(logs, o.logs...)
	}
	slices.Sort(logs)
	m.level = logs[len(logs)/2]
	best := m.best(kernels[:min(forOutliers, len(kernels))])
	for range 3 {
		if !m.reweigh(best) {
			break
		}
		best = m.fit(best.k)
	}
	for _, k := range kernels {
		m.posts = append(m.posts, m.fit(k))
	}
	m.keep()
	if stairs {
		m.addStairs()
	}
	m.refine()
	m.useAll()
	m.sampleStairs()
	m.weigh()
	return m
}

// fastest returns the n most informative points: sampled ones before probes, and of each the fastest
// of every num_ctx, then the second fastest of every num_ctx, and so on.
func fastest(s *space, all []*measured, n int) []*measured {
	if len(all) <= n {
		return all
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *measured) int { return cmp.Compare(slices.Max(b.logs), slices.Max(a.logs)) })
	rank := make(map[point]int) // within the num_ctx
	seen := make(map[int]int)   // by num_ctx
	for _, probe := range []bool{false, true} {
		for _, o := range sorted {
			if o.probe == probe {
				rank[o.point] = seen[s.ctx[o.cell]]
				seen[s.ctx[o.cell]]++
			}
		}
	}
	slices.SortStableFunc(sorted, func(a, b *measured) int { return cmp.Compare(rank[a.point], rank[b.point]) })
	return sorted[:n]
}

// refine looks for more probable shapes near the most probable ones.
func (m *model) refine() {
	rng := rand.New(rand.NewPCG(3, uint64(len(m.obs))))
	for _, spread := range nearSpreads {
		parents := len(m.posts)
		for i := range nearShapes {
			p := m.posts[i%parents]
			k := newKernel(m.s, near(rng, p.k.z, spread), m.memory)
			switch k.stairs = p.k.stairs; {
			case k.stairs != nil && i/parents%2 == 1:
				m.posts = append(m.posts, m.fitStairs(k, m.nearStairs(rng, *k.stairs, spread/2)))
			default:
				m.posts = append(m.posts, m.fit(k))
			}
		}
		m.keep()
	}
}

// useAll fits the shapes to all cells, up to mostMeasured.
func (m *model) useAll() {
	obs := fastest(m.s, m.all, mostMeasured)
	if len(obs) == len(m.obs) {
		return
	}
	m.obs = obs
	m.reweigh(m.fit(m.posts[0].k))
	for i, p := range m.posts {
		m.posts[i] = m.fit(p.k)
	}
	m.keep()
}

func (m *model) best(kernels []*kernel) *posterior {
	var best *posterior
	for _, k := range kernels {
		if p := m.fit(k); best == nil || p.loglik > best.loglik {
			best = p
		}
	}
	return best
}

// keep drops all but the most probable shapes, at most two with the same stairs, and sorts them by probability.
func (m *model) keep() {
	m.posts = slices.DeleteFunc(m.posts, func(p *posterior) bool { return p.singular })
	slices.SortStableFunc(m.posts, func(a, b *posterior) int { return cmp.Compare(b.loglik, a.loglik) })
	var kept []*posterior
	for _, p := range m.posts {
		same := 0
		for _, q := range kept {
			if p.k.stairs.equal(q.k.stairs) {
				same++
			}
		}
		if p.k.stairs == nil || same < 2 || p.sampled {
			kept = append(kept, p)
		}
	}
	m.posts = kept[:min(keptShapes, len(kept))]
}

// weigh computes the shapes' probabilities.
func (m *model) weigh() {
	var sum float64
	for _, p := range m.posts {
		p.weight = math.Exp(p.loglik - m.posts[0].loglik)
		sum += p.weight
	}
	for _, p := range m.posts {
		p.weight /= sum
	}
}

// fit computes the posterior of a shape: Gaussian process regression as in Rasmussen
// and Williams, Gaussian Processes for Machine Learning, algorithm 2.1.
func (m *model) fit(k *kernel) *posterior {
	n := len(m.obs)
	p := &posterior{k: k, noise: make([]float64, n)}
	a := blas64.Symmetric{N: n, Stride: n, Data: make([]float64, n*n), Uplo: blas.Upper}
	y := make([]float64, n)
	points := make([]point, n)
	for i, o := range m.obs {
		points[i] = o.point
	}
	var within float64 // log likelihood of the noise, from the scatter within cells
	for i, o := range m.obs {
		mean, count := o.mean()
		y[i] = mean - m.level
		noise := k.noiseOf(o.point)
		p.noise[i] = noise / count
		k.row(a.Data[i*n+i:(i+1)*n], o.point, points[i:])
		a.Data[i*n+i] += p.noise[i]
		for l, v := range o.logs {
			if len(o.logs) > 1 {
				within -= o.weight[l] * (v - mean) * (v - mean) / (2 * noise)
			}
		}
		within -= (count - 1) * math.Log(math.Sqrt(noise))
	}
	// Not mat.Cholesky, which also computes the condition number: that takes longer than
	// the factorization.
	var ok bool
	if p.chol, ok = lapack64.Potrf(a); !ok {
		p.singular, p.loglik = true, math.Inf(-1)
		return p
	}
	p.alpha = slices.Clone(y)
	alpha := blas64.Vector{N: n, Data: p.alpha, Inc: 1}
	blas64.Trsv(blas.Trans, p.chol, alpha)
	blas64.Trsv(blas.NoTrans, p.chol, alpha)
	p.loglik = -0.5*floats.Dot(y, p.alpha) - 0.5*logDet(p.chol) + within + k.logPrior
	if k.stairs != nil {
		p.loglik += k.stairs.logPrior
	}
	return p
}

// logDet returns the logarithm of the determinant of a matrix from its Cholesky factor.
func logDet(chol blas64.Triangular) (sum float64) {
	for i := range chol.N {
		sum += 2 * math.Log(chol.Data[i*chol.Stride+i])
	}
	return sum
}

// reweigh updates the samples' weights, their probabilities of being no outlier, from
// the predictions by all other samples, of the same cell and of other cells. It reports
// whether any weight changed by more than 0.05.
func (m *model) reweigh(p *posterior) bool {
	if len(m.obs) < 4 || p.singular {
		return false
	}
	chol := p.chol
	chol.Data = slices.Clone(chol.Data)
	inv, ok := lapack64.Potri(chol)
	if !ok {
		return false
	}
	var changed bool
	for i, o := range m.obs {
		mean, _ := o.mean()
		noise := p.k.noiseOf(o.point)
		// The prediction by the other cells (leave-one-out).
		precision := inv.Data[i*inv.Stride+i]
		without := mean - m.level - p.alpha[i]/precision
		variance := max(1/precision-p.noise[i], 1e-8)
		// Not for probes: those of a load agree also where they mislead.
		if !o.probe && misfits(o.logs, without+m.level, math.Sqrt(variance+noise), math.Sqrt(2*noise)) {
			variance = misfitSpread * misfitSpread
		}
		for l, v := range o.logs {
			precision, at := 1/variance, without/variance
			for other, v := range o.logs {
				if other != l {
					precision += o.weight[other] / noise
					at += o.weight[other] * (v - m.level) / noise
				}
			}
			w := regular(v-m.level-at/precision, math.Sqrt(noise+1/precision))
			changed = changed || math.Abs(w-o.weight[l]) > 0.05
			o.weight[l] = w
		}
	}
	return changed
}

// misfits reports whether the samples of a cell agree so much better with each other than with the prediction by
// other cells that it is the prediction that is wrong: several outliers would differ among themselves.
// The standard deviations are those of the distance to the prediction, and of the distance between two samples.
func misfits(logs []float64, predicted, sd, between float64) bool {
	if len(logs) < 2 {
		return false
	}
	sorted := slices.Sorted(slices.Values(logs))
	middle := len(logs) / 2
	byPrediction := math.Log(1 - misfitProb)
	byEachOther := math.Log(misfitProb * normalPDF((sorted[middle]-predicted)/misfitSpread) / misfitSpread)
	for i, v := range sorted {
		byPrediction += math.Log(density(v-predicted, sd))
		if i != middle {
			byEachOther += math.Log(density(v-sorted[middle], between))
		}
	}
	return byEachOther > byPrediction
}

// density is that of a sample, which may be an outlier, at a distance to its prediction with this standard deviation.
func density(distance, sd float64) float64 {
	good, bad := densities(distance, sd)
	return max(good+bad, 1e-300)
}

// densities are those of a sample that is no outlier and of one that is, each with its probability.
func densities(distance, sd float64) (good, bad float64) {
	good = (1 - outlierProb) * normalPDF(distance/sd) / sd
	bad = outlierProb * (normalCDF((distance+outlierLow)/sd) - normalCDF(distance/sd)) / outlierLow
	return good, bad
}

// regular is the probability that a sample is no outlier, from its distance to the
// prediction and the prediction's standard deviation. It is at least 0.01, so that
// every sample keeps some weight.
func regular(distance, sd float64) float64 {
	good, bad := densities(distance, sd)
	if good+bad == 0 {
		return 0.01
	}
	return max(good/(good+bad), 0.01)
}

// beliefs are one shape's predictions for points: the mean and the covariance of their
// true log rates. Slices are indexed as the list of points.
type beliefs struct {
	k        *kernel
	points   []point
	mean     []float64
	variance []float64
	rows     [][]float64 // of each cell: its covariances with the measured cells, divided by their Cholesky factor
}

func (m *model) beliefs(p *posterior, points []point) *beliefs {
	b := &beliefs{k: p.k, points: points, mean: make([]float64, len(points)), variance: make([]float64, len(points)), rows: make([][]float64, len(points))}
	solved := mat.NewDense(len(m.obs), len(points), nil)
	for c := range points {
		b.mean[c] = m.level
	}
	for i, o := range m.obs {
		row := solved.RawRowView(i)
		p.k.row(row, o.point, points)
		for c, covariance := range row {
			b.mean[c] += covariance * p.alpha[i]
		}
	}
	blas64.Trsm(blas.Left, blas.Trans, 1, p.chol, solved.RawMatrix())
	for c, at := range points {
		b.rows[c] = mat.Col(nil, c, solved)
		b.variance[c] = p.k.at(at, at)
		for _, v := range b.rows[c] {
			b.variance[c] -= v * v
		}
		b.variance[c] = max(b.variance[c], 1e-10)
	}
	m.holdToSamples(b)
	return b
}

// ownSpread is how many standard deviations of a cell's own samples a prediction for it may differ from their mean.
const ownSpread = 2

// holdToSamples limits what is believed of measured cells to what their own samples allow, where these are no
// outliers: none of the shapes may fit them.
func (m *model) holdToSamples(b *beliefs) {
	own := make(map[point]*measured)
	for _, o := range m.all {
		if !o.probe {
			own[o.point] = o
		}
	}
	for c, at := range b.points {
		o := own[at]
		if o == nil {
			continue
		}
		if mean, n := o.mean(); n > doubtWeight {
			sd := math.Sqrt(b.k.noiseOf(at) / n)
			b.mean[c] = min(max(b.mean[c], mean-ownSpread*sd), mean+ownSpread*sd)
		}
	}
}

// spread is the standard deviation of the difference of two cells.
func (b *beliefs) spread(i, j int) float64 {
	covariance := b.k.at(b.points[i], b.points[j])
	other := b.rows[j]
	for n, x := range b.rows[i] {
		covariance -= x * other[n]
	}
	return math.Sqrt(max(b.variance[i]+b.variance[j]-2*covariance, 1e-12))
}

func normalCDF(z float64) float64 { return distuv.UnitNormal.CDF(z) }
func normalPDF(z float64) float64 { return distuv.UnitNormal.Prob(z) }
