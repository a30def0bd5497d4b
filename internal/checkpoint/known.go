package checkpoint

// Known is what was measured of a cell.
type Known struct {
	Rates  []float64 // of each sample, in tokens per second
	Failed bool      // no rate will come of it
	// Size and SizeVRAM are the bytes of the loaded model, and of it in GPU memory;
	// 0 where they are not known.
	Size, SizeVRAM int64
	// Memory says that it failed for want of GPU memory, twice in a row: what
	// needs more memory will fail as well.
	Memory bool
	// Closed says that nothing more is to be measured of the cell: it was pruned,
	// passed over by the caller, or has the one rate of an older tool.
	Closed bool
}

// Open reports whether the cell lacks samples and may have them.
func (k Known) Open(want int) bool { return !k.Failed && !k.Closed && len(k.Rates) < want }
