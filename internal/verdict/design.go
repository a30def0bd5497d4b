package verdict

import "slices"

// term is a coefficient of the fit and its factor in one cell.
type term struct {
	coefficient int
	factor      float64
}

// design says how the coefficients of the fit make up the expected log rate of
// each cell: the sum of its terms. Coefficient 0 is the mean of all cells.
type design struct {
	terms   [][]term // of each cell
	groupOf []int    // of each coefficient; the mean is in none and has -1
	groups  []group
}

// group is a family of coefficients that come from one normal distribution around 0.
type group struct {
	size  int
	prior float64 // variance that counts as much as priorDF coefficients; 0 for none
}

// The indexes of the groups that every design has: a level for each row (Batch) and
// column (Ctx).
const (
	ofRows = iota
	ofColumns
)

// newDesign lays out the levels, and a slope over the columns for each row and over the
// rows for each column. Slopes are as much of an interaction between the settings as few
// cells can show: num_batch matters more the larger num_ctx is, or the best num_batch
// moves.
func newDesign(cells []Cell) design {
	batch := values(cells, func(c Cell) int { return c.Batch })
	ctx := values(cells, func(c Cell) int { return c.Ctx })
	d := design{groupOf: []int{-1}}
	rows := d.add(group{size: len(batch)})
	columns := d.add(group{size: len(ctx)})
	const fewest = 3 // over two columns, rows with slopes could have any rates
	rowSlopes, columnSlopes := -1, -1
	if len(ctx) >= fewest {
		rowSlopes = d.add(group{size: len(batch), prior: 1e-5})
	}
	if len(batch) >= fewest {
		columnSlopes = d.add(group{size: len(ctx), prior: 1e-5})
	}
	for _, c := range cells {
		row, _ := slices.BinarySearch(batch, c.Batch)
		column, _ := slices.BinarySearch(ctx, c.Ctx)
		terms := []term{{0, 1}, {rows + row, 1}, {columns + column, 1}}
		if rowSlopes >= 0 {
			terms = append(terms, term{rowSlopes + row, place(column, len(ctx))})
		}
		if columnSlopes >= 0 {
			terms = append(terms, term{columnSlopes + column, place(row, len(batch))})
		}
		d.terms = append(d.terms, terms)
	}
	return d
}

// add makes room for a group's coefficients and returns the first.
func (d *design) add(g group) int {
	first := len(d.groupOf)
	for range g.size {
		d.groupOf = append(d.groupOf, len(d.groups))
	}
	d.groups = append(d.groups, g)
	return first
}

// startVariance is what a group's is taken for to begin with: wide, since the algorithm
// is slow to find effects that it holds for small.
const startVariance = 0.05

// update returns the variance of a group whose coefficients have this mean square: the mode
// of its posterior distribution, where there is a prior one (inverse gamma).
func (g group) update(square float64) float64 {
	const least = 1e-7 // keeps the equations solvable
	if g.prior > 0 {
		n := float64(g.size)
		square = (n*square + priorDF*g.prior) / (n + priorDF + 2)
	}
	return max(square, least)
}

// levels counts the rows and columns.
func (d design) levels() int { return d.groups[ofRows].size + d.groups[ofColumns].size }

// place is where the i-th of n values lies between -1 and 1.
func place(i, n int) float64 { return 2*float64(i)/float64(n-1) - 1 }

// lines lists the cells of each row, or of each column, of the design.
func (d design) lines(group int) [][]int {
	of := make(map[int][]int)
	for i, terms := range d.terms {
		at := terms[1+group].coefficient
		of[at] = append(of[at], i)
	}
	var lines [][]int
	for at, g := range d.groupOf {
		if g == group {
			lines = append(lines, of[at])
		}
	}
	return lines
}

// values lists those of a setting, ascending, each once.
func values(cells []Cell, setting func(Cell) int) []int {
	all := make([]int, len(cells))
	for i, c := range cells {
		all[i] = setting(c)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
