package verdict

import (
	"math"
	"slices"
)

// polish returns the residuals of Tukey's median polish (Exploratory Data Analysis, 1977,
// 11), which subtracts the medians of rows and columns in turn. It is robust to outliers;
// the model's fit starts from it.
func polish(values []float64, rows, columns [][]int) []float64 {
	left := slices.Clone(values)
	const settled = 1e-5
	for range 10 { // 2 or 3 iterations are usual; some grids oscillate and need the bound
		if math.Max(subtractMedians(left, rows), subtractMedians(left, columns)) < settled {
			break
		}
	}
	return left
}

// backfit fits a large grid: it subtracts the weighted means of the rows, then of the columns,
// from the deviations so far.
func backfit(y, precision, deviations []float64, d design) fit {
	left := slices.Clone(deviations)
	for _, group := range []int{ofRows, ofColumns} {
		for _, line := range d.lines(group) {
			var sum, weight float64
			for _, i := range line {
				sum += precision[i] * left[i]
				weight += precision[i]
			}
			for _, i := range line {
				left[i] -= sum / weight
			}
		}
	}
	f := fit{mean: make([]float64, len(y)), covariance: func(i, j int) float64 { return 0 }, variance: func([]float64) float64 { return 0 }}
	for i := range y {
		f.mean[i] = y[i] - left[i]
	}
	return f
}

// subtractMedians subtracts from each line of values its median, and returns the
// largest absolute median.
func subtractMedians(values []float64, lines [][]int) float64 {
	var largest float64
	for _, line := range lines {
		picked := make([]float64, len(line))
		for i, at := range line {
			picked[i] = values[at]
		}
		m := Median(picked)
		for _, at := range line {
			values[at] -= m
		}
		largest = math.Max(largest, math.Abs(m))
	}
	return largest
}

// robustSD is the median absolute deviation from 0, scaled to the standard deviation
// of a normal distribution.
func robustSD(deviations []float64) float64 {
	abs := make([]float64, len(deviations))
	for i, d := range deviations {
		abs[i] = math.Abs(d)
	}
	return 1.4826 * Median(abs)
}
