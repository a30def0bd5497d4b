package verdict

import (
	"maps"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
)

// term is one summand of a cell's expected log rate: factor times coefficient.
type term struct {
	coefficient int
	factor      float64
}

// design is the design matrix of the fit, by cell: the expected log rate of a cell is
// the sum of its terms. Coefficient 0 is the mean of all cells.
type design struct {
	terms   [][]term // of each cell
	groupOf []int    // of each coefficient; -1 for the mean, which is in no group
	groups  []group
}

// group is a set of coefficients with a common normal distribution around 0.
type group struct {
	size  int
	prior float64 // prior variance, with the weight of priorDF coefficients; 0 for none
}

// The indexes of the two groups that every design has: the levels of the rows (Batch)
// and of the columns (Ctx, with any other settings). Where all cells have one Batch, rows are the
// other settings, and columns Ctx alone.
const (
	ofRows = iota
	ofColumns
)

// newDesign returns a design with a level for each row and column, a slope over the
// columns for each row, and a slope over the rows for each column. Slopes are the only
// interaction of the two settings that few cells can show: num_batch matters more at a
// larger num_ctx, or the best num_batch depends on num_ctx.
func newDesign(cells []Cell) design {
	batch := values(cells, func(c Cell) int { return c.Batch })
	ctxs := values(cells, func(c Cell) int { return c.Ctx })
	rowOf, columnOf := func(c Cell) cell.Key { return cell.Key{Batch: c.Batch} }, func(c Cell) cell.Key { return c.Column() }
	if len(batch) == 1 {
		rowOf, columnOf = func(c Cell) cell.Key { return cell.Key{Settings: c.Settings} }, func(c Cell) cell.Key { return cell.Key{Ctx: c.Ctx} }
	}
	rowNumbers, columnNumbers := numbered(cells, rowOf), numbered(cells, columnOf)
	d := design{groupOf: []int{-1}}
	rows := d.add(group{size: len(rowNumbers)})
	columns := d.add(group{size: len(columnNumbers)})
	const fewest = 3 // with two columns, slopes would fit any rates exactly
	rowSlopes, columnSlopes := -1, -1
	if len(ctxs) >= fewest {
		rowSlopes = d.add(group{size: len(rowNumbers), prior: 1e-5})
	}
	if len(batch) >= fewest {
		columnSlopes = d.add(group{size: len(columnNumbers), prior: 1e-5})
	}
	for _, c := range cells {
		row, column := rowNumbers[rowOf(c)], columnNumbers[columnOf(c)]
		ctx, _ := slices.BinarySearch(ctxs, c.Ctx)
		terms := []term{{0, 1}, {rows + row, 1}, {columns + column, 1}}
		if rowSlopes >= 0 {
			terms = append(terms, term{rowSlopes + row, position(ctx, len(ctxs))})
		}
		if columnSlopes >= 0 {
			terms = append(terms, term{columnSlopes + column, position(row, len(batch))})
		}
		d.terms = append(d.terms, terms)
	}
	return d
}

// add adds a group of coefficients and returns the index of its first one.
func (d *design) add(g group) int {
	first := len(d.groupOf)
	for range g.size {
		d.groupOf = append(d.groupOf, len(d.groups))
	}
	d.groups = append(d.groups, g)
	return first
}

// initialVariance is the variance of each group in the first iteration. It is large
// because the EM algorithm converges slowly from a variance that is too small.
const initialVariance = 0.05

// update returns the variance of a group from the mean square of its coefficients. With a
// prior (inverse gamma) it is the mode of the posterior distribution.
func (g group) update(square float64) float64 {
	const least = 1e-7 // keeps the equations solvable
	if g.prior > 0 {
		n := float64(g.size)
		square = (n*square + priorDF*g.prior) / (n + priorDF + 2)
	}
	return max(square, least)
}

// levels is the number of rows plus the number of columns.
func (d design) levels() int { return d.groups[ofRows].size + d.groups[ofColumns].size }

// numbered numbers the rows or columns of the cells in order.
func numbered(cells []Cell, of func(Cell) cell.Key) map[cell.Key]int {
	seen := make(map[cell.Key]int)
	for _, c := range cells {
		seen[of(c)] = 0
	}
	for i, line := range slices.SortedFunc(maps.Keys(seen), cell.Key.Compare) {
		seen[line] = i
	}
	return seen
}

// position maps the index i of n values to the range from -1 to 1.
func position(i, n int) float64 { return 2*float64(i)/float64(n-1) - 1 }

// lines returns the cells of each row (group ofRows) or column (group ofColumns).
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

// values returns the distinct values of a setting, ascending.
func values(cells []Cell, setting func(Cell) int) []int {
	all := make([]int, len(cells))
	for i, c := range cells {
		all[i] = setting(c)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
