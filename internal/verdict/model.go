package verdict

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// model is what the samples of all cells together say of each one's rate:
//
//	log rate   = what its row and its column let expect + shape of its own
//	log figure = log rate + noise
//
// A cell's figure is the median of its samples. Where cells have repeated samples, the
// noise is their scatter. Where they have one each, noise and shape look the same, and the
// scatter around the fit is divided between the two (see divide).
//
// It is a linear mixed model with contaminated normal errors, fitted by the EM
// algorithm (Dempster, Laird and Rubin 1977; Little and Rubin, Statistical Analysis
// with Missing Data, 8.4 and 12).
type model struct {
	cells []Cell
	y     []float64 // log of each cell's figure

	basis Basis
	noise noise
	// repeated is the variance of a sample by some repeats, where there are too few of them to
	// outweigh the scatter of all other cells; else 0.
	repeated float64
	df       float64 // degrees of freedom of it
	shape    float64 // variance of cells around what is expected of them
	fit      fit
	shares
	explained [][3]explanation
	level     []float64 // of each cell: the expected value of its log rate
	polished  []float64 // deviations that median polish left; nil for a line
}

// What is taken for the noise and the shape where the figures say little, each worth
// priorDF observations: servers that nobody else uses scatter by half a percent to three.
const (
	priorSD = 0.015
	priorDF = 2
	// manyCells is how many cells need no prior.
	manyCells = 10
	// mostNoise is the standard deviation of a sample above which a scatter
	// around the fit is rather shape.
	mostNoise = 0.03
)

func newModel(cells []Cell, reference []float64) *model {
	m := &model{cells: cells, shares: shares{outlierShare, outlierShare, spikeShare}}
	repeats, df := repeatNoise(cells, reference)
	if df >= leastRepeats {
		m.basis, m.noise, m.df = Repeats, repeats, float64(df+priorDF)
	}
	for _, c := range cells {
		m.y = append(m.y, repeats.figure(c))
	}
	d := newDesign(cells)
	if d.groups[ofRows].size > 1 && d.groups[ofColumns].size > 1 {
		m.estimate(d)
	} else {
		m.onALine()
	}
	m.believe()
	return m
}

// leastRepeats is how many degrees of freedom the scatter of repeated samples needs
// to be believed.
const leastRepeats = 2

// mostOutweighed is how many times as many single cells as repeats there may be for the
// repeats alone to tell the noise.
const mostOutweighed = 4

// leastFree is how many of the cells' figures must be left over once rows and columns are
// fitted, for their scatter to tell noise.
const leastFree = 2

// withPrior is a variance that a few observations don't decide alone.
func withPrior(s scatter) float64 {
	return (priorDF*priorSD*priorSD + float64(s.df)*s.sd*s.sd) / float64(priorDF+s.df)
}

// divide splits the variance of single samples around their fit. What lies above the noise
// of some repeats, or else far above the noise that servers have, is shape.
func (m *model) divide(total float64) {
	if m.repeated > 0 {
		m.noise.sample = math.Min(total, m.repeated)
		m.shape = math.Max(total-m.repeated, 1e-3*total)
		return
	}
	share := total / (total + mostNoise*mostNoise)
	m.shape, m.noise.sample = share*total, (1-share)*total
}

// anyRate is the variance of the shape where every cell may have any rate.
const anyRate = 1

// onALine fits a grid of one row or column, where every cell may have any rate.
func (m *model) onALine() {
	if m.basis != Repeats {
		s := lineNoise(m.y)
		m.basis, m.noise.sample, m.df = Residuals, withPrior(s), float64(s.df+priorDF)
		if s.df == 0 {
			m.basis, m.noise.sample = Assumed, mostNoise*mostNoise
		}
	}
	m.fit = line(m.y, m.noise.sample)
	m.shape = anyRate
}

// mostCoefficients bounds the equations that are solved as a whole, which takes a
// second for 400. Grids with more have so many cells in every row and column that
// their levels are as good as known.
const mostCoefficients = 600

// mostRounds bounds the EM algorithm, which mostly settles in ten.
const mostRounds = 40

// estimate fits rows and columns.
func (m *model) estimate(d design) {
	rows, columns := d.lines(ofRows), d.lines(ofColumns)
	deviations := polish(m.y, rows, columns)
	m.polished = slices.Clone(deviations)
	scale := m.startScale(deviations, d.levels())
	if free := len(m.y) - d.levels(); m.basis == Repeats && free > int(mostOutweighed*m.df) {
		m.basis, m.repeated = Residuals, m.noise.sample
	}
	if m.basis == Repeats {
		m.shape = math.Max(scale*scale-m.noise.ofFigure(m.cells[0]), priorSD*priorSD)
	} else {
		m.basis = Residuals
		m.divide(scale * scale)
	}
	m.reseat(deviations, rows)
	m.reseat(deviations, columns)
	variances := slices.Repeat([]float64{startVariance}, len(d.groups))
	precision := m.precision(deviations)
	for range mostRounds {
		before := m.fit.mean
		if len(d.groupOf) <= mostCoefficients {
			var squares []float64
			m.fit, squares = d.solve(m.y, precision, variances)
			for g := range squares {
				variances[g] = d.groups[g].update(squares[g])
			}
		} else {
			m.fit = backfit(m.y, precision, deviations, d)
		}
		for i := range m.y {
			deviations[i] = m.y[i] - m.fit.mean[i]
		}
		m.update(deviations)
		precision = m.precision(deviations)
		if settled(before, m.fit.mean) {
			break
		}
	}
	if m.basis == Residuals && (m.repeated == 0 || m.noise.sample < m.repeated) {
		var free float64 // degrees of freedom that the fit has left
		for i, p := range precision {
			free += math.Max(0, 1-p*m.fit.covariance(i, i))
		}
		m.df = free + priorDF
		if free < leastFree {
			m.basis = Assumed
		}
	}
}

// reseat moves each line's deviations by what makes them most likely. The median of six
// is no good start where three of them were lucky.
func (m *model) reseat(deviations []float64, lines [][]int) {
	for _, line := range lines {
		likelihood := func(shift float64) (sum float64) {
			for _, i := range line {
				_, density := m.weigh(deviations[i]-shift, m.shape, m.noise.ofFigure(m.cells[i]), m.cells[i].samples())
				sum += math.Log(density)
			}
			return sum
		}
		best, most := 0.0, likelihood(0)
		for _, i := range line {
			if l := likelihood(deviations[i]); l > most+1 {
				best, most = deviations[i], l
			}
		}
		for _, i := range line {
			deviations[i] -= best
		}
	}
}

// startScale is the standard deviation of the deviations that median polish left of so many
// rows and columns. Of few cells it can't be both robust and right, so that it is
// the smaller of two figures.
func (m *model) startScale(deviations []float64, lines int) float64 {
	const least = 0.003
	var squares float64
	for _, d := range deviations {
		squares += d * d
	}
	plain := math.Sqrt(squares / math.Max(1, float64(len(deviations)-lines+1)))
	robust := robustSD(deviations)
	if len(deviations) < 12 {
		robust *= 2
	}
	return math.Max(least, math.Min(plain, robust))
}

// update is the M step for variances and shares.
func (m *model) update(deviations []float64) {
	var squares, cells, single float64
	var found shares
	for i, deviation := range deviations {
		e := m.explainCell(i, deviation)
		if m.cells[i].samples() < 3 {
			single++
			found.spike += e[isDifferent].probability
			if deviation > 0 {
				found.fast += e[wentWrong].probability
			} else {
				found.slow += e[wentWrong].probability
			}
		}
		square := deviation*deviation + m.fit.covariance(i, i)
		if m.basis == Repeats { // that of the shape's part of the deviation
			own := e[scatters].own
			square = own*own*square + e[scatters].variance
		}
		squares += e[scatters].probability * square
		cells += e[scatters].probability
	}
	// Of a hundred cells the prior would be the larger part of a small noise.
	weight := priorDF * math.Min(1, manyCells/cells)
	variance := (weight*priorSD*priorSD + squares) / (weight + cells)
	if m.basis == Repeats {
		m.shape = variance
	} else {
		m.divide(variance)
	}
	m.shares = found.learn(single)
}

// explainCell weighs the explanations of a deviation of cell i.
func (m *model) explainCell(i int, deviation float64) [3]explanation {
	return m.explain(deviation, m.shape, m.noise.ofFigure(m.cells[i]), m.cells[i].samples())
}

// precision is the E step: how much each cell's figure counts for the fit.
func (m *model) precision(deviations []float64) []float64 {
	precision := make([]float64, len(deviations))
	for i, deviation := range deviations {
		for _, e := range m.explainCell(i, deviation) {
			precision[i] += e.probability * e.precision
		}
	}
	return precision
}

func settled(before, after []float64) bool {
	const within = 1e-4
	if len(before) != len(after) {
		return false
	}
	for i := range after {
		if math.Abs(after[i]-before[i]) > within {
			return false
		}
	}
	return true
}

// believe settles what is believed of each cell.
func (m *model) believe() {
	for i, y := range m.y {
		deviation := y - m.fit.mean[i]
		e := m.explainCell(i, deviation)
		if m.basis != Repeats && m.shape < anyRate {
			// Whether it is the cell's own or noise, one sample can't tell: none of it is known better
			// for having been seen.
			e[scatters].variance = m.shape
		}
		level := m.fit.mean[i]
		for _, e := range e {
			level += e.probability * e.own * deviation
		}
		m.explained, m.level = append(m.explained, e), append(m.level, level)
	}
}

// slower is the probability that cell i is slower than cell j.
func (m *model) slower(i, j int) float64 {
	t := distuv.StudentsT{Sigma: 1, Nu: m.df}
	var p float64
	m.each(i, j, func(probability, difference, variance float64) {
		p += probability * t.CDF(-difference/math.Sqrt(variance))
	})
	return p
}

// contrast is the expected difference of the log rates of cells i and j, and its
// variance.
func (m *model) contrast(i, j int) (mean, variance float64) {
	m.each(i, j, func(probability, difference, variance float64) { mean += probability * difference })
	m.each(i, j, func(probability, difference, v float64) {
		variance += probability * (v + (difference-mean)*(difference-mean))
	})
	return mean, variance
}

// variance is that of the cell's log rate around its level.
func (m *model) variance(i int) float64 {
	var variance float64
	for _, e := range m.explained[i] {
		difference := m.fit.mean[i] + e.own*(m.y[i]-m.fit.mean[i]) - m.level[i]
		variance += e.probability * (difference*difference + (1-e.own)*(1-e.own)*m.fit.covariance(i, i) + e.variance)
	}
	return variance
}

// each goes through the pairs of explanations of cells i and j, with the
// probability of both, and with the difference of the log rates under them and its variance.
func (m *model) each(i, j int, visit func(probability, difference, variance float64)) {
	ii, jj, ij := m.fit.covariance(i, i), m.fit.covariance(j, j), m.fit.covariance(i, j)
	for _, a := range m.explained[i] {
		for _, b := range m.explained[j] {
			difference := m.fit.mean[i] + a.own*(m.y[i]-m.fit.mean[i]) - m.fit.mean[j] - b.own*(m.y[j]-m.fit.mean[j])
			// What is not a cell's own is what was expected, which cells of a row share.
			p, q := 1-a.own, 1-b.own
			variance := p*p*ii + q*q*jj - 2*p*q*ij + a.variance + b.variance
			const rounding = 1e-12
			visit(a.probability*b.probability, difference, math.Max(variance, rounding))
		}
	}
}

// scatter is the variance of a sample, and of single ones that around the fit.
func (m *model) scatter() float64 {
	if m.basis == Residuals && m.shape < anyRate {
		return m.noise.sample + m.shape
	}
	return m.noise.sample
}

// lucky reports whether a cell stands above what is expected of it and that is most likely a
// sample that went wrong.
func (m *model) lucky(i int) bool {
	return m.y[i] > m.fit.mean[i] && m.explained[i][wentWrong].probability > 0.5
}

// Far is by how much a rate differs from what is expected of it, at least, for its sample to be in
// doubt: 5 %.
const Far = 0.05

// farBelow reports whether a cell lies far below what is expected of it and that is most likely
// not noise: a sample that went wrong, or a cell that is really different. What has less than half
// of what row and column let expect is told without the model, which such a cell bends.
func (m *model) farBelow(i int) bool {
	if m.polished != nil && m.polished[i] < math.Log(0.5) {
		return true
	}
	return m.y[i]-m.fit.mean[i] < math.Log1p(-Far) && m.explained[i][scatters].probability < 0.5
}

func (m *model) farAbove(i int) bool {
	return m.y[i]-m.fit.mean[i] > math.Log1p(Far) && m.explained[i][scatters].probability < 0.5
}
