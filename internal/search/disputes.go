package search

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// dispute is a column of which the shapes don't all hold the same cell for the fastest.
type dispute struct {
	cells []int       // the column's pick, and the fastest by each shape
	rates [][]float64 // of each of the cells, by shape: the expected log rate
}

// disputes returns the disputed columns.
func (c *columns) disputes() (all []dispute) {
	for _, col := range c.picks {
		if col.pick < 0 {
			continue
		}
		d := dispute{cells: []int{col.pick}}
		for k := range c.m.posts {
			best, most := -1, math.Inf(-1)
			for _, i := range col.cells {
				if v := c.believed[k].mean[i] + c.logWorks[i]; v > most {
					best, most = i, v
				}
			}
			if !slices.Contains(d.cells, best) {
				d.cells = append(d.cells, best)
			}
		}
		if len(d.cells) == 1 {
			continue
		}
		for _, i := range d.cells {
			rates := make([]float64, len(c.m.posts))
			for k := range rates {
				rates[k] = c.believed[k].mean[i] + c.logWorks[i]
			}
			d.rates = append(d.rates, rates)
		}
		all = append(all, d)
	}
	return all
}

// addDisputed adds the expected improvement of the picks from learning which shape holds: a reading of a
// cell changes the shapes' probabilities, where they predict different rates for it. Of the readings that
// a shape predicts, two are tried, a standard deviation below and above its mean.
func (c *columns) addDisputed(gains []float64, candidates []int) {
	all := c.disputes()
	if len(all) == 0 {
		return
	}
	posts := c.m.posts
	sds, after := make([]float64, len(posts)), make([]float64, len(posts))
	for _, i := range candidates {
		low, high := math.Inf(1), math.Inf(-1)
		for k, p := range posts {
			sds[k] = math.Sqrt(c.believed[k].variance[i] + p.k.noise*p.k.noise)
			low, high = min(low, c.believed[k].mean[i]), max(high, c.believed[k].mean[i])
		}
		if high-low < floats.Min(sds)/2 {
			continue // it decides little
		}
		var gain float64
		for k, p := range posts {
			if p.weight < 1e-3 {
				continue // its readings are too improbable to count
			}
			for _, side := range []float64{-1, 1} {
				reading := c.believed[k].mean[i] + side*sds[k]
				var sum float64
				for j, q := range posts {
					z := (reading - c.believed[j].mean[i]) / sds[j]
					after[j] = q.weight * math.Exp(-z*z/2) / sds[j]
					sum += after[j]
				}
				for _, d := range all {
					now := floats.Dot(d.rates[0], after)
					most := now
					for _, rates := range d.rates[1:] {
						most = max(most, floats.Dot(rates, after))
					}
					gain += p.weight / 2 * (most - now) / sum
				}
			}
		}
		gains[i] += c.works[i] * gain
	}
}
