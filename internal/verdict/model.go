package verdict

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// model estimates the rate of each cell from the samples of all cells:
//
//	log rate   = value expected from row and column + shape
//	log figure = log rate + noise
//
// A cell's figure is the median of its samples, and its shape is the real deviation of its
// rate. Where cells have repeated samples, the noise is their scatter. Where they have one
// each, noise and shape can't be distinguished, and the scatter around the fit is divided
// between the two (see divide).
//
// It is a linear mixed model with contaminated normal errors, fitted by the EM
// algorithm (Dempster, Laird and Rubin 1977; Little and Rubin, Statistical Analysis
// with Missing Data, 8.4 and 12).
type model struct {
	cells []Cell
	y     []float64 // log of each cell's figure

	basis Basis
	noise noise
	// repeated is the variance of a sample estimated from repeats, where there are too few of
	// them compared with the single samples to decide the noise alone; else 0.
	repeated float64
	df       float64 // degrees of freedom of the noise
	shape    float64 // variance of cells around their expected values
	fit      fit
	shares
	explained [][3]explanation
	level     []float64 // of each cell: the expected value of its log rate
	polished  []float64 // residuals of the median polish; nil for a line
}

// The prior of noise and shape, with the weight of priorDF observations: servers that
// nobody else uses scatter by 0.5 % to 3 %.
const (
	priorSD = 0.015
	priorDF = 2
	// manyCells is the number of cells from which on the prior loses weight.
	manyCells = 10
	// maxNoise is the standard deviation above which most of the scatter of single
	// samples around the fit is treated as shape.
	maxNoise = 0.03
)

func newModel(cells []Cell, reference []float64) *model {
	m := &model{cells: cells, shares: shares{outlierShare, outlierShare, spikeShare}}
	repeats, df := repeatNoise(cells, reference)
	if df >= minRepeatDF {
		m.basis, m.noise, m.df = Repeats, repeats, float64(df+priorDF)
	}
	for _, c := range cells {
		m.y = append(m.y, repeats.figure(c))
	}
	d := newDesign(cells)
	if d.groups[ofRows].size > 1 && d.groups[ofColumns].size > 1 {
		m.estimate(d)
	} else {
		m.fitLine()
	}
	m.setLevels()
	return m
}

// minRepeatDF is the number of degrees of freedom that the scatter of repeated samples
// must have to be used.
const minRepeatDF = 2

// maxResidualRatio: where the residuals of the fit have more than this many times the
// degrees of freedom of the repeats, the noise is not estimated from the repeats alone.
const maxResidualRatio = 4

// minResidualDF is the number of degrees of freedom that the residuals of the fit must have
// for the noise to be estimated from them.
const minResidualDF = 2

// withPrior returns the variance of s, shrunk towards the prior.
func withPrior(s scatter) float64 {
	return (priorDF*priorSD*priorSD + float64(s.df)*s.sd*s.sd) / float64(priorDF+s.df)
}

// divide splits the variance of single samples around their fit into noise and shape. The
// part above the noise of the repeats is shape; without repeats, the part that is far above
// the usual noise of servers.
func (m *model) divide(total float64) {
	if m.repeated > 0 {
		m.noise.sample = math.Min(total, m.repeated)
		m.shape = math.Max(total-m.repeated, 1e-3*total)
		return
	}
	share := total / (total + maxNoise*maxNoise)
	m.shape, m.noise.sample = share*total, (1-share)*total
}

// anyRate is the variance of the shape of a grid of one row or column, where the other
// cells hardly restrict the rate of a cell.
const anyRate = 1

// fitLine fits a grid of one row or column.
func (m *model) fitLine() {
	if m.basis != Repeats {
		s := lineNoise(m.y)
		m.basis, m.noise.sample, m.df = Residuals, withPrior(s), float64(s.df+priorDF)
		// Neighbours with other settings show nothing of each other.
		if s.df == 0 || m.cells[0].Settings != m.cells[len(m.cells)-1].Settings {
			m.basis, m.noise.sample = Assumed, maxNoise*maxNoise
		}
	}
	m.fit = lineFit(m.y, m.noise.sample)
	m.shape = anyRate
}

// maxCoefficients is the largest number of coefficients for which the mixed model
// equations are solved, which takes a second for 400. Larger grids have so many cells in
// every row and column that weighted means (see backfit) are precise enough.
const maxCoefficients = 600

// maxIterations bounds the EM algorithm, which mostly converges in ten iterations.
const maxIterations = 40

// estimate fits a grid of several rows and columns.
func (m *model) estimate(d design) {
	rows, columns := d.lines(ofRows), d.lines(ofColumns)
	deviations := polish(m.y, rows, columns)
	m.polished = slices.Clone(deviations)
	scale := m.initialScale(deviations, d.levels())
	if free := len(m.y) - d.levels(); m.basis == Repeats && free > int(maxResidualRatio*m.df) {
		m.basis, m.repeated = Residuals, m.noise.sample
	}
	if m.basis == Repeats {
		m.shape = math.Max(scale*scale-m.noise.ofFigure(m.cells[0]), priorSD*priorSD)
	} else {
		m.basis = Residuals
		m.divide(scale * scale)
	}
	m.recentre(deviations, rows)
	m.recentre(deviations, columns)
	variances := slices.Repeat([]float64{initialVariance}, len(d.groups))
	precision := m.precision(deviations)
	for range maxIterations {
		before := m.fit.mean
		if len(d.groupOf) <= maxCoefficients {
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
		if converged(before, m.fit.mean) {
			break
		}
	}
	if m.basis == Residuals && (m.repeated == 0 || m.noise.sample < m.repeated) {
		var free float64 // degrees of freedom of the residuals
		for i, p := range precision {
			free += math.Max(0, 1-p*m.fit.covariance(i, i))
		}
		m.df = free + priorDF
		if free < minResidualDF {
			m.basis = Assumed
		}
	}
}

// recentre shifts the deviations of each line so that their likelihood is the highest. The
// median of six, from which they start, is too high where three samples are too fast.
func (m *model) recentre(deviations []float64, lines [][]int) {
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

// initialScale is the standard deviation of the residuals of a median polish; lines is the
// number of rows and columns. With few cells no estimate is both robust and unbiased, so it
// is the smaller of two.
func (m *model) initialScale(deviations []float64, lines int) float64 {
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

// update is the M step of the EM algorithm for the variances and shares.
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
		if m.basis == Repeats { // only the part of the deviation that is shape
			own := e[scatters].own
			square = own*own*square + e[scatters].variance
		}
		squares += e[scatters].probability * square
		cells += e[scatters].probability
	}
	// With the full weight, the prior would dominate a small noise even for a hundred cells.
	weight := priorDF * math.Min(1, manyCells/cells)
	variance := (weight*priorSD*priorSD + squares) / (weight + cells)
	if m.basis == Repeats {
		m.shape = variance
	} else {
		m.divide(variance)
	}
	m.shares = found.learn(single)
}

// explainCell returns the explanations for a deviation of cell i.
func (m *model) explainCell(i int, deviation float64) [3]explanation {
	return m.explain(deviation, m.shape, m.noise.ofFigure(m.cells[i]), m.cells[i].samples())
}

// precision is the E step of the EM algorithm: the weight of each cell's figure in the fit.
func (m *model) precision(deviations []float64) []float64 {
	precision := make([]float64, len(deviations))
	for i, deviation := range deviations {
		for _, e := range m.explainCell(i, deviation) {
			precision[i] += e.probability * e.precision
		}
	}
	return precision
}

func converged(before, after []float64) bool {
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

// setLevels sets the explanations and the expected log rate of each cell from the fit.
func (m *model) setLevels() {
	for i, y := range m.y {
		deviation := y - m.fit.mean[i]
		e := m.explainCell(i, deviation)
		if m.basis != Repeats && m.shape < anyRate {
			// A single sample can't show whether its deviation is shape or noise, so it does not
			// reduce the variance of the shape.
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
	m.eachPair(i, j, func(probability, difference, variance float64) {
		p += probability * t.CDF(-difference/math.Sqrt(variance))
	})
	return p
}

// contrast is the expected difference of the log rates of cells i and j, and its
// variance.
func (m *model) contrast(i, j int) (mean, variance float64) {
	m.eachPair(i, j, func(probability, difference, variance float64) { mean += probability * difference })
	m.eachPair(i, j, func(probability, difference, v float64) {
		variance += probability * (v + (difference-mean)*(difference-mean))
	})
	return mean, variance
}

// variance is the variance of the cell's log rate around its level.
func (m *model) variance(i int) float64 {
	var variance float64
	for _, e := range m.explained[i] {
		difference := m.fit.mean[i] + e.own*(m.y[i]-m.fit.mean[i]) - m.level[i]
		variance += e.probability * (difference*difference + (1-e.own)*(1-e.own)*m.fit.covariance(i, i) + e.variance)
	}
	return variance
}

// eachPair calls visit for each pair of explanations of cells i and j, with the probability
// of the pair, and the difference of the log rates under it and its variance.
func (m *model) eachPair(i, j int, visit func(probability, difference, variance float64)) {
	ii, jj, ij := m.fit.covariance(i, i), m.fit.covariance(j, j), m.fit.covariance(i, j)
	for _, a := range m.explained[i] {
		for _, b := range m.explained[j] {
			difference := m.fit.mean[i] + a.own*(m.y[i]-m.fit.mean[i]) - m.fit.mean[j] - b.own*(m.y[j]-m.fit.mean[j])
			// The rest of each deviation is uncertainty of the fit, which cells of a row share.
			p, q := 1-a.own, 1-b.own
			variance := p*p*ii + q*q*jj - 2*p*q*ij + a.variance + b.variance
			const rounding = 1e-12
			visit(a.probability*b.probability, difference, math.Max(variance, rounding))
		}
	}
}

// scatter is the variance of a sample; for single samples, the variance around the fit.
func (m *model) scatter() float64 {
	if m.basis == Residuals && m.shape < anyRate {
		return m.noise.sample + m.shape
	}
	return m.noise.sample
}

// lucky reports whether a cell is above its expected value, most likely because a sample
// went wrong.
func (m *model) lucky(i int) bool {
	return m.y[i] > m.fit.mean[i] && m.explained[i][wentWrong].probability > 0.5
}

// MinDisturbance is the smallest relative difference from the expected rate at which a sample is
// considered doubtful: 5 %.
const MinDisturbance = 0.05

// farBelow reports whether a cell is far below its expected value, most likely not because of
// noise but because a sample went wrong or the cell is really different. A cell with less than
// half of the value that the median polish expects is found without the model, whose fit it
// distorts.
func (m *model) farBelow(i int) bool {
	if m.polished != nil && m.polished[i] < math.Log(0.5) {
		return true
	}
	return m.y[i]-m.fit.mean[i] < math.Log1p(-MinDisturbance) && m.explained[i][scatters].probability < 0.5
}

// farAbove is farBelow for a cell above its expected value.
func (m *model) farAbove(i int) bool {
	return m.y[i]-m.fit.mean[i] > math.Log1p(MinDisturbance) && m.explained[i][scatters].probability < 0.5
}
