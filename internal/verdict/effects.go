package verdict

import (
	"gonum.org/v1/gonum/mat"
)

// fit is the expected log rate of each cell, estimated from all cells.
type fit struct {
	mean []float64
	// covariance returns the covariance of the expected log rates of two cells.
	covariance func(i, j int) float64
	// variance returns the variance of the sum of the expected log rates, each with its weight.
	variance func(weights []float64) float64
}

// solve estimates the coefficients of the design by Henderson's mixed model
// equations (Biometrics 31, 1975): the coefficients of a group come from a normal
// distribution around 0 with the group's variance, and a cell's log rate y lies
// around its expected value with the given precision, which is 1 / variance. A group
// with a small variance is kept near 0, so that only effects that the figures show
// are fitted. solve also returns the mean square of each group's coefficients, which
// is the next estimate of its variance (the M step of the EM algorithm).
func (d design) solve(y, precision, variances []float64) (fit, []float64) {
	n := len(d.groupOf)
	left, right := make([]float64, n*n), make([]float64, n)
	for i, w := range precision {
		for _, p := range d.terms[i] {
			right[p.coefficient] += w * p.factor * y[i]
			for _, q := range d.terms[i] {
				left[p.coefficient*n+q.coefficient] += w * p.factor * q.factor
			}
		}
	}
	for c, g := range d.groupOf {
		if g >= 0 {
			left[c*n+c] += 1 / variances[g]
		}
	}
	var cholesky mat.Cholesky
	for !cholesky.Factorize(mat.NewSymDense(n, left)) {
		for c := range n { // only rounding can make the matrix singular
			left[c*n+c] *= 1 + 1e-9
		}
	}
	var coefficients mat.VecDense
	var covariance mat.SymDense
	_ = cholesky.SolveVecTo(&coefficients, mat.NewVecDense(n, right)) // the errors only
	_ = cholesky.InverseTo(&covariance)                               // warn of rounding

	squares, count := make([]float64, len(d.groups)), make([]float64, len(d.groups))
	for c, g := range d.groupOf {
		if g >= 0 {
			squares[g] += coefficients.AtVec(c)*coefficients.AtVec(c) + covariance.At(c, c)
			count[g]++
		}
	}
	for g := range squares {
		squares[g] /= count[g]
	}
	return d.fit(&coefficients, &covariance), squares
}

func (d design) fit(coefficients *mat.VecDense, covariance *mat.SymDense) fit {
	f := fit{mean: make([]float64, len(d.terms))}
	for i, terms := range d.terms {
		for _, t := range terms {
			f.mean[i] += t.factor * coefficients.AtVec(t.coefficient)
		}
	}
	f.covariance = func(i, j int) float64 {
		var sum float64
		for _, p := range d.terms[i] {
			for _, q := range d.terms[j] {
				sum += p.factor * q.factor * covariance.At(p.coefficient, q.coefficient)
			}
		}
		return sum
	}
	f.variance = func(weights []float64) float64 {
		of := mat.NewVecDense(coefficients.Len(), nil)
		for i, weight := range weights {
			for _, t := range d.terms[i] {
				of.SetVec(t.coefficient, of.AtVec(t.coefficient)+weight*t.factor)
			}
		}
		return mat.Inner(of, covariance, of)
	}
	return f
}
