package verdict

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/stretchr/testify/assert"
)

// family is a family of random surfaces. draw returns the true rates of a grid, by column
// and then row; 0 is a cell that fails.
type family struct {
	name string
	draw drawer
}

type drawer func(rng *rand.Rand, columns, rows int) [][]float64

func between(rng *rand.Rand, a, b float64) float64 { return a + (b-a)*rng.Float64() }

func list(n int, of func(i int) float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = of(i)
	}
	return values
}

// rowsOf draws surfaces whose rates are a function of the row, and fall by up to 3 % over
// the columns.
func rowsOf(draw func(rng *rand.Rand, n int) []float64) drawer {
	return func(rng *rand.Rand, columns, rows int) [][]float64 {
		rates, fall := draw(rng, rows), between(rng, -0.005, 0.03)
		grid := make([][]float64, columns)
		for i := range grid {
			grid[i] = list(rows, func(j int) float64 { return rates[j] * (1 - fall*float64(i)/float64(max(1, columns-1))) })
		}
		return grid
	}
}

// modified changes the surfaces of another family.
func modified(draw drawer, change func(rng *rand.Rand, grid [][]float64)) drawer {
	return func(rng *rand.Rand, columns, rows int) [][]float64 {
		grid := draw(rng, columns, rows)
		change(rng, grid)
		return grid
	}
}

func flat(_ *rand.Rand, n int) []float64 { return list(n, func(int) float64 { return 1 }) }

func saturating(rng *rand.Rand, n int) []float64 {
	half, steep := between(rng, 0.05, 0.5), between(rng, 1, 3)
	return list(n, func(i int) float64 {
		x := math.Pow(2, steep*float64(i))
		return x / (x + half*math.Pow(2, steep*float64(n)/3))
	})
}

// peak returns n rates with a maximum of 1 at index at, which fall towards 1-by around it.
func peak(n int, at, by float64) []float64 {
	return list(n, func(i int) float64 { x := 2 * (float64(i) - at) / float64(n); return 1 - by*x*x/(1+x*x) })
}

// scaleBeyond multiplies the rates of the cells beyond a diagonal of the grid.
func scaleBeyond(grid [][]float64, limit, by float64) {
	for i := range grid {
		for j := range grid[i] {
			if i+j > 0 && float64(i+1)/float64(len(grid))+float64(j+1)/float64(len(grid[i])) > limit {
				grid[i][j] *= by
			}
		}
	}
}

var families = []family{
	{"saturates", rowsOf(saturating)},
	{"steps up", rowsOf(func(rng *rand.Rand, n int) []float64 {
		at, by := rng.IntN(n), between(rng, 0.1, 0.6)
		return list(n, func(i int) float64 {
			if i >= at {
				return 1
			}
			return 1 - by
		})
	})},
	{"falls", rowsOf(func(rng *rand.Rand, n int) []float64 {
		by := between(rng, 0.05, 0.5)
		return list(n, func(i int) float64 { return 1 - by*float64(i)/float64(n) })
	})},
	{"flat", rowsOf(flat)},
	{"peak inside", rowsOf(func(rng *rand.Rand, n int) []float64 {
		return peak(n, between(rng, 0, float64(n-1)), between(rng, 0.1, 0.5))
	})},
	{"dips", rowsOf(func(rng *rand.Rand, n int) []float64 {
		rows := flat(rng, n)
		for range max(1, n/4) {
			rows[rng.IntN(n)] = 1 - between(rng, 0.05, 0.3)
		}
		return rows
	})},
	{"needle: a row", rowsOf(func(rng *rand.Rand, n int) []float64 {
		rows := flat(rng, n)
		rows[rng.IntN(n)] = 1 + between(rng, 0.03, 0.2)
		return rows
	})},
	{"needle: a cell", modified(rowsOf(flat), func(rng *rand.Rand, grid [][]float64) {
		grid[rng.IntN(len(grid))][rng.IntN(len(grid[0]))] *= 1 + between(rng, 0.05, 0.2)
	})},
	{"spills at large num_ctx", modified(rowsOf(saturating), func(rng *rand.Rand, grid [][]float64) {
		at, by := rng.IntN(len(grid)+1), between(rng, 0.3, 0.8)
		for _, column := range grid[at:] {
			for j := range column {
				column[j] *= by
			}
		}
	})},
	{"spills by both settings", modified(rowsOf(saturating), func(rng *rand.Rand, grid [][]float64) {
		scaleBeyond(grid, between(rng, 0.4, 2), between(rng, 0.3, 0.8))
	})},
	{"best row moves", func(rng *rand.Rand, columns, rows int) [][]float64 {
		by, slope, at := between(rng, 0.1, 0.5), between(rng, -1, 1), between(rng, 0, float64(rows-1))
		grid := make([][]float64, columns)
		for i := range grid {
			grid[i] = peak(rows, at+slope*float64(i)/float64(columns)*float64(rows), by)
		}
		return grid
	}},
	{"uneven", modified(rowsOf(saturating), func(rng *rand.Rand, grid [][]float64) {
		by := between(rng, 0.005, 0.03)
		for i := range grid {
			for j := range grid[i] {
				grid[i][j] *= math.Exp(by * rng.NormFloat64())
			}
		}
	})},
	{"out of memory", modified(rowsOf(saturating), func(rng *rand.Rand, grid [][]float64) {
		scaleBeyond(grid, between(rng, 0.8, 2), 0)
	})},
}

// The conditions under which each family is simulated.
var (
	grids       = [][2]int{{2, 2}, {1, 4}, {3, 3}, {1, 8}, {2, 6}, {4, 7}, {6, 6}, {12, 8}} // columns, rows
	noises      = []float64{0.005, 0.01, 0.02, 0.03}
	sampleSizes = []int{1, 3, 6}
	slowShares  = []float64{0, 0.04} // of samples that are 5 to 30 % too slow
)

// tally sums up the results of simulated sweeps, whose true rates are known.
type tally struct {
	sweeps    int
	loss      float64 // sum of the losses of the recommended cells, relative to the truly best
	above5    int     // sweeps with a loss above 5 %
	highest   float64 // sum of the losses of the cells with the highest figure
	missed    int     // sweeps whose truly best cell is neither best nor tied
	slow      int     // cells that are truly 5 % slower than the best
	slowTied  int     // those of them that are tied
	different int     // sweeps whose recommended cell is neither best nor tied
}

func (t *tally) add(o tally) {
	t.sweeps += o.sweeps
	t.loss += o.loss
	t.above5 += o.above5
	t.highest += o.highest
	t.missed += o.missed
	t.slow += o.slow
	t.slowTied += o.slowTied
	t.different += o.different
}

// percent returns the mean loss, the share of sweeps above 5 %, the mean loss of the highest
// figure, the share of missed best cells, and the share of slow cells that are tied.
func (t tally) percent() [5]float64 {
	of := func(x float64, n int) float64 { return 100 * x / float64(max(n, 1)) }
	return [5]float64{
		of(t.loss, t.sweeps), of(float64(t.above5), t.sweeps), of(t.highest, t.sweeps),
		of(float64(t.missed), t.sweeps), of(float64(t.slowTied), t.slow),
	}
}

// draw simulates a sweep. It returns the cells and their true rates.
func draw(rng *rand.Rand, f family, grid [2]int, noise float64, samples int, slowShare float64) ([]Cell, map[[2]int]float64) {
	var cells []Cell
	truth := make(map[[2]int]float64)
	for i, column := range f.draw(rng, grid[0], grid[1]) {
		for j, rate := range column {
			if rate == 0 {
				continue
			}
			c := Cell{Key: cell.Key{Ctx: 1024 << i, Batch: 32 << j}}
			truth[settings(c)] = rate
			for range samples {
				x := 1000 * rate * math.Exp(noise*rng.NormFloat64())
				if rng.Float64() < slowShare {
					x *= between(rng, 0.7, 0.95)
				}
				c.Rates = append(c.Rates, x)
			}
			cells = append(cells, c)
		}
	}
	return cells, truth
}

func settings(c Cell) [2]int { return [2]int{c.Ctx, c.Batch} }

// judged compares the verdict on the cells with the true rates.
func judged(cells []Cell, truth map[[2]int]float64) tally {
	v, ok := Judge(cells, nil)
	if !ok {
		panic("no verdict")
	}
	byTruth := func(a, b Cell) int { return cmp.Compare(truth[settings(a)], truth[settings(b)]) }
	top := slices.MaxFunc(cells, byTruth)
	best := truth[settings(top)]
	highest := slices.MaxFunc(cells, func(a, b Cell) int { return cmp.Compare(a.Median(), b.Median()) })
	is := map[[2]int]bool{settings(v.Best): true}
	for _, c := range v.Tied {
		is[settings(c)] = true
	}
	t := tally{sweeps: 1, loss: 1 - truth[settings(v.Recommended)]/best, highest: 1 - truth[settings(highest)]/best}
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	count(&t.above5, t.loss > 0.05)
	count(&t.missed, !is[settings(top)])
	count(&t.different, !is[settings(v.Recommended)])
	for _, c := range cells {
		if truth[settings(c)] < 0.95*best {
			t.slow++
			count(&t.slowTied, is[settings(c)] && c.Key != v.Best.Key)
		}
	}
	return t
}

// simulateAll simulates every family under all conditions, each several times. It returns the
// tallies by name: of all sweeps, by family, by condition, and by family for one sample.
func simulateAll(repeats int) (names []string, by map[string]*tally) {
	by = make(map[string]*tally)
	put := func(t tally, as ...string) {
		for _, name := range as {
			if by[name] == nil {
				by[name], names = &tally{}, append(names, name)
			}
			by[name].add(t)
		}
	}
	for fi, f := range families {
		for gi, grid := range grids {
			for ni, noise := range noises {
				for _, samples := range sampleSizes {
					for si, slow := range slowShares {
						rng := rand.New(rand.NewPCG(uint64(fi*1000+gi*100+ni*10+samples), uint64(si)))
						for range repeats {
							t := judged(draw(rng, f, grid, noise, samples, slow))
							put(t, "all", "family="+f.name,
								fmt.Sprintf("grid=%d×%d", grid[0], grid[1]), fmt.Sprintf("noise=%.1f%%", 100*noise),
								fmt.Sprintf("samples=%d", samples), fmt.Sprintf("slow=%.0f%%", 100*slow))
							if samples == 1 {
								put(t, "one sample: family="+f.name)
							}
						}
					}
				}
			}
		}
	}
	slices.Sort(names)
	return names, by
}

// TestFamilies checks the accuracy of the recommendation on simulated sweeps, whose true
// rates are known.
func TestFamilies(t *testing.T) {
	race.SkipSequential(t)
	names, by := simulateAll(1)
	for _, name := range names {
		got := by[name].percent()
		loss, above5, highest, missed, slowTied := got[0], got[1], got[2], got[3], got[4]
		assert.LessOrEqual(t, loss, highest+0.3, "%s: mean loss, compared with that of the highest rate", name)
		if by[name].sweeps >= 100 { // of fewer sweeps, a single one is more than 1 %
			assert.LessOrEqual(t, missed, 5.0, "%s: best cells called slower", name)
		}
		assert.Zero(t, by[name].different, "%s: recommended, but not tied with the best", name)
		switch name {
		case "all", "samples=1", "samples=3", "samples=6":
			assert.LessOrEqual(t, loss, 0.5, "%s: mean loss", name)
			assert.LessOrEqual(t, above5, 2.0, "%s: sweeps with a loss above 5 %%", name)
			assert.LessOrEqual(t, slowTied, map[string]float64{"all": 7, "samples=1": 12, "samples=3": 7, "samples=6": 3}[name], "%s: slow cells tied", name)
		}
	}
}

// BenchmarkFamilies prints the figures of docs/method.md, in percent.
func BenchmarkFamilies(b *testing.B) {
	const repeats = 10
	var names []string
	var by map[string]*tally
	for b.Loop() {
		names, by = simulateAll(repeats)
	}
	for _, name := range names { // b.Log is cut after ten lines
		s := by[name].percent()
		fmt.Printf("%-40s %6d sweeps: loss %5.2f, above 5 %%: %4.1f, highest rate %5.2f, best missed %4.1f, slow tied %4.1f\n", name, by[name].sweeps, s[0], s[1], s[2], s[3], s[4])
	}
	all := by["all"].percent()
	for i, unit := range []string{"loss-%", "above5-%", "highest-%", "missed-%", "slow-tied-%"} {
		b.ReportMetric(all[i], unit)
	}
}
