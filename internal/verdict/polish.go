package verdict

import (
	"math"
	"slices"
)

// polish is Tukey's median polish: the level of a cell is the sum of an effect
// of its row and one of its column (Exploratory Data Analysis, 1977, 11). A
// cell alone in its row or column would be its own level, so its neighbourhood
// stands in.
func (s *surface) polish() []float64 {
	left := slices.Clone(s.logs)
	for range 10 { // 2 or 3 rounds settle it; an upper bound for grids that swing
		moved := subtractMedians(left, s.rows)
		moved = math.Max(moved, subtractMedians(left, s.columns))
		if moved < floor/100 {
			break
		}
	}
	levels := make([]float64, len(left))
	for i, residual := range left {
		levels[i] = s.logs[i] - residual
		if len(s.rows[s.row[i]]) < 2 || len(s.columns[s.column[i]]) < 2 {
			levels[i] = s.local[i]
		}
	}
	return levels
}

// subtractMedians takes from each line of cells its median and returns the
// largest that it took.
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

// trend is for grids of one row or one column, where rows and columns say
// nothing: the level of a cell is on the line of Theil and Sen (the median of
// all slopes) through five cells around it.
func (s *surface) trend() []float64 {
	line := s.line()
	levels := make([]float64, len(s.cells))
	for place, i := range line {
		from := inwards(place-2, 5, len(line))
		near := line[from:min(from+5, len(line))]
		levels[i] = s.theilSen(near, place-from)
	}
	return levels
}

// line lists the cells of a grid of one row or one column in order.
func (s *surface) line() []int {
	lines := s.columns
	if len(s.columns) == 1 {
		lines = s.rows
	}
	return slices.Concat(lines...)
}

// theilSen is the value at the given place of the line through the cells.
func (s *surface) theilSen(cells []int, place int) float64 {
	var slopes, heights []float64
	for b := range cells {
		for a := range b {
			slopes = append(slopes, (s.logs[cells[b]]-s.logs[cells[a]])/float64(b-a))
		}
	}
	slope := Median(slopes)
	for a, i := range cells {
		heights = append(heights, s.logs[i]+slope*float64(place-a))
	}
	return Median(heights)
}
