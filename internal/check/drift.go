package check

// Drift returns the warning that the reference cell's rate changed by more than noise
// over the sweep. change and noise are relative; times is the number of measurements.
func Drift(change, noise float64, times int) Finding {
	f := warn("the reference cell, measured %d times, changed by %+.1f %% over the sweep, where noise is ±%.1f %%: cells measured late and early don't compare; let the machine warm up or cool down first, or use -order round", times, 100*change, 100*noise)[0]
	f.Check = "drift"
	return f
}

// Hosts returns the warning that hosts differ by more than noise at the cell with this
// name. ratio is how much faster the fastest is than the slowest, relative, and low and
// high are its 95 % interval.
func Hosts(name, slowest, fastest string, ratio, low, high float64) Finding {
	f := warn("at %s the host %s is %.1f %% faster than %s (95 %% interval %.1f to %.1f %%): cells of different hosts don't compare within that; measure the leading cells again on one host, with -confirm 3", name, fastest, 100*ratio, slowest, 100*low, 100*high)[0]
	f.Check = "hosts"
	return f
}
