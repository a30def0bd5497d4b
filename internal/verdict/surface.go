package verdict

import (
	"math"
	"slices"
)

// surfaceCells is the fewest cells whose neighbourhoods say anything.
const surfaceCells = 6

// surface is the grid of medians and what each cell's surroundings lead to
// expect of it. Values are natural logarithms of rates, so that differences
// are relative ones.
type surface struct {
	cells   []Cell
	logs    []float64
	row     []int // of each cell: the index of its Batch among all of them
	column  []int // of each cell: the index of its Ctx among all of them
	rows    [][]int
	columns [][]int
	at      map[[2]int]int // cell by row and column

	local    []float64 // expected by the neighbourhood
	additive []float64 // expected by the row and the column
	scale    float64   // robust scale of one sample's deviation
}

func newSurface(cells []Cell) *surface {
	s := &surface{cells: cells, at: make(map[[2]int]int, len(cells))}
	batch := axis(cells, func(c Cell) int { return c.Batch })
	ctx := axis(cells, func(c Cell) int { return c.Ctx })
	s.rows, s.columns = make([][]int, len(batch)), make([][]int, len(ctx))
	for i, c := range cells {
		row, _ := slices.BinarySearch(batch, c.Batch)
		column, _ := slices.BinarySearch(ctx, c.Ctx)
		s.logs = append(s.logs, math.Log(c.Median()))
		s.row, s.column = append(s.row, row), append(s.column, column)
		s.rows[row] = append(s.rows[row], i)
		s.columns[column] = append(s.columns[column], i)
		s.at[[2]int{row, column}] = i
	}
	s.expect()
	return s
}

// axis is the sorted values of a setting, each once.
func axis(cells []Cell, setting func(Cell) int) []int {
	values := make([]int, len(cells))
	for i, c := range cells {
		values[i] = setting(c)
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// expect fills in what the surroundings lead to expect. Two views are needed
// because each has a blind side: the neighbourhood takes the top row of a slope
// for a row of outliers, and rows and columns know nothing of a cliff where
// large windows and large batches together outgrow the memory.
func (s *surface) expect() {
	s.local = make([]float64, len(s.cells))
	for i := range s.cells {
		s.local[i] = Median(s.neighbourhood(i))
	}
	if len(s.rows) == 1 || len(s.columns) == 1 {
		s.additive = s.trend()
	} else {
		s.additive = s.polish()
	}
	s.scale = math.Min(s.robustScale(s.local), s.robustScale(s.additive))
}

// neighbourhood holds the logs of the 3×3 cells around cell i, itself among
// them, less those that were not measured. At an edge the square is moved
// inwards rather than cut: four cells in a corner, two of them outliers, would
// make a level of their own.
func (s *surface) neighbourhood(i int) []float64 {
	top, left := inwards(s.row[i]-1, 3, len(s.rows)), inwards(s.column[i]-1, 3, len(s.columns))
	near := make([]float64, 0, 9)
	for r := top; r < top+3; r++ {
		for c := left; c < left+3; c++ {
			if j, ok := s.at[[2]int{r, c}]; ok {
				near = append(near, s.logs[j])
			}
		}
	}
	return near
}

// inwards moves the start of a window of the given width to where the window
// is within n places, if it fits.
func inwards(start, width, n int) int {
	return max(min(start, n-width), 0)
}

// floor is the smallest scale that is believed. On a perfectly flat surface
// the robust scale is 0, and the last digit of a rate would be an outlier.
const floor = 0.001

// robustScale is the median absolute deviation from what was expected, scaled
// to be the standard deviation of normal noise. It is taken around 0, not
// around the median residual, so that never more than half of all cells
// deviate.
func (s *surface) robustScale(expected []float64) float64 {
	deviations := make([]float64, len(s.logs))
	for i, v := range s.logs {
		deviations[i] = math.Abs(v - expected[i])
	}
	return math.Max(1.4826*Median(deviations), floor)
}

// scatter is the plain standard deviation around what was expected, by
// whichever view leaves less of it. It is not robust: outliers are part of what
// a lone sample is subject to.
func (s *surface) scatter() scatter {
	n := len(s.cells)
	local := s.squares(s.local, n-1)
	additive := s.squares(s.additive, n-len(s.rows)-len(s.columns)+1)
	if additive.df > 0 && additive.sd < local.sd {
		return additive
	}
	return local
}

func (s *surface) squares(expected []float64, df int) scatter {
	var squares float64
	for i, v := range s.logs {
		squares += (v - expected[i]) * (v - expected[i])
	}
	return scatterOf(squares, df)
}
