package cell

import "slices"

// MaxCells is the maximum number of cells of a grid: at one second per cell,
// twelve days.
const MaxCells = 1_000_000

// Grid holds the values of num_ctx and num_batch, each ascending and unique, and those of other settings.
type Grid struct {
	Ctx   []int
	Batch []int
	// BatchFirst is row order: all num_ctx of one num_batch, then the next num_batch.
	// The zero value is column order: all num_batch of one num_ctx, then the next num_ctx.
	BatchFirst bool
	// Settings are the other axes, in the order in which keys name them.
	Settings []SettingAxis
}

// Cells returns the cells to measure, in order, and those left out because
// they are not valid. Settings of the server change slowest, since each takes a restart, then num_ctx,
// num_batch, and the options of requests.
func (g Grid) Cells() (plan, leftOut []Key) {
	var server, options []SettingAxis
	for _, a := range g.Settings {
		if a.Server() {
			server = append(server, a)
		} else {
			options = append(options, a)
		}
	}
	within := Combinations(options)
	pairs := g.pairs()
	for _, process := range Combinations(server) {
		var all []Settings
		for _, option := range within {
			all = append(all, NewSettings(append(option.values(), process.values()...)...))
		}
		plan = slices.Grow(plan, len(pairs)*len(all))
		for _, c := range pairs {
			for _, c.Settings = range all {
				if c.Valid() {
					plan = append(plan, c)
				} else {
					leftOut = append(leftOut, c)
				}
			}
		}
	}
	return plan, leftOut
}

// pairs returns each num_ctx with each num_batch, in order.
func (g Grid) pairs() (pairs []Key) {
	pairs = slices.Grow(pairs, len(g.Ctx)*len(g.Batch))
	if g.BatchFirst {
		for _, batch := range g.Batch {
			for _, ctx := range g.Ctx {
				pairs = append(pairs, Key{Ctx: ctx, Batch: batch})
			}
		}
		return pairs
	}
	for _, ctx := range g.Ctx {
		for _, batch := range g.Batch {
			pairs = append(pairs, Key{Ctx: ctx, Batch: batch})
		}
	}
	return pairs
}

// Has reports whether a cell is on the grid.
func (g Grid) Has(c Key) bool {
	_, column := slices.BinarySearch(g.Ctx, c.Ctx)
	_, row := slices.BinarySearch(g.Batch, c.Batch)
	return column && row && c.Settings.match(g.Settings, func(a SettingAxis, value string) bool { return slices.Contains(a.Values, value) })
}

// Count returns the number of cells, invalid ones included, and more than [MaxCells] where it is larger.
func (g Grid) Count() int {
	n := 1
	for _, a := range g.Settings {
		n = multiplied(n, len(a.Values))
	}
	return multiplied(multiplied(n, len(g.Ctx)), len(g.Batch))
}

// multiplied returns the product of two counts, at most MaxCells+1.
func multiplied(a, b int) int {
	if a > MaxCells || b > MaxCells {
		return MaxCells + 1
	}
	return min(a*b, MaxCells+1)
}
