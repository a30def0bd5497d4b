package check

// Drift returns what is to be said of the reference cell: over the sweep its
// rate changed by so much, which is more than noise.
func Drift(change, noise float64, times int) Finding {
	f := warn("the reference cell, measured %d times, changed by %+.1f %% over the sweep, where noise is ±%.1f %%: cells measured late and early don't compare; let the machine warm up or cool before, or use -order round", times, 100*change, 100*noise)[0]
	f.Check = "drift"
	return f
}
