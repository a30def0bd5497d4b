package cell

// MaxCells is the maximum number of cells of a grid: at one second per cell,
// twelve days.
const MaxCells = 1_000_000

// Grid holds the values of the two settings, each ascending and unique.
type Grid struct {
	Ctx   []int
	Batch []int
	// BatchFirst is row order: all num_ctx of one num_batch, then the next num_batch.
	// The zero value is column order: all num_batch of one num_ctx, then the next num_ctx.
	BatchFirst bool
}

// Cells returns the cells to measure, in order, and those left out because
// they are not valid.
func (g Grid) Cells() (plan, leftOut []Key) {
	add := func(c Key) {
		if c.Valid() {
			plan = append(plan, c)
		} else {
			leftOut = append(leftOut, c)
		}
	}
	if g.BatchFirst {
		for _, batch := range g.Batch {
			for _, ctx := range g.Ctx {
				add(Key{ctx, batch})
			}
		}
		return plan, leftOut
	}
	for _, ctx := range g.Ctx {
		for _, batch := range g.Batch {
			add(Key{ctx, batch})
		}
	}
	return plan, leftOut
}
