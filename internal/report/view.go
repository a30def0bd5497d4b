package report

import (
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/picture"
)

// mostTables is the largest number of combinations of the other axes that have a table of their own.
const mostTables = 12

// table is one table of a sweep: a part of its cells, over the two axes of the view.
type table struct {
	title string // empty where there is only one
	// cell returns the cell that is shown at a column and a row.
	cell func(column, row int) cell.Key
}

// show sets the axes that tables and pictures run over; an empty name is the default.
func (g *grid) show(x, y string) (err error) {
	g.view, err = g.cp.Grid().Project(x, y)
	return err
}

// tables returns a table for each combination of the axes that the view does not run over. Where there are
// too many of them it is one table, with the best cell over them in each place.
func (g *grid) tables() []table {
	if g.showsBest() {
		places := make(map[[2]int]cell.Key)
		return []table{{cell: func(column, row int) cell.Key {
			place := [2]int{column, row}
			if _, ok := places[place]; !ok {
				places[place] = g.bestOf(column, row)
			}
			return places[place]
		}}}
	}
	var all []table
	for _, t := range g.view.Tables {
		all = append(all, table{g.view.Text(t), func(column, row int) cell.Key { return g.view.Key(t, column, row) }})
	}
	return all
}

// showsBest reports whether its places show the best cell over the axes that the view does not run over.
func (g *grid) showsBest() bool { return len(g.view.Tables) > mostTables }

// bestOf returns the best cell of a place over the other axes: the fastest or, where none has a rate, the
// first one that is not measured yet, else the first one that failed or is none.
func (g *grid) bestOf(column, row int) (best cell.Key) {
	known, of := notPlanned, (*checkpoint.Result)(nil)
	for i, t := range g.view.Tables {
		c := g.view.Key(t, column, row)
		at, r := g.at(c)
		if i == 0 || standing(at) > standing(known) || at == measured && known == measured && g.faster(r, of) {
			best, known, of = c, at, r
		}
	}
	return best
}

// standing orders states by what they say of a place that several cells share.
func standing(s state) int {
	return map[state]int{notPlanned: 0, leftOut: 1, pruned: 2, failed: 3, missing: 4, measured: 5}[s]
}

func fasterCell(a, b *checkpoint.Result) bool { return *a.PromptEvalRate > *b.PromptEvalRate }

// bestText says what the places of tables show where they show the best cell.
func (g *grid) bestText() string {
	if !g.showsBest() {
		return ""
	}
	return fmt.Sprintf("each place shows its best of %d combinations of %s", len(g.view.Tables), list(cell.NamesOf(g.view.Rest)))
}

// tooLarge reports whether the grid has more cells than picture and page can show.
func (g *grid) tooLarge() bool {
	return picture.TooLarge(len(g.ctx), len(g.batch)*len(g.settings))
}

// sizeText is the number of cells of the grid as a product.
func (g *grid) sizeText() string {
	text := fmt.Sprintf("%d × %d", len(g.ctx), len(g.batch))
	if n := len(g.settings); n > 1 {
		text += fmt.Sprintf(" × %d", n)
	}
	return text
}
