package check

// Spilled reports whether a part of a loaded model is not in GPU memory. A model
// that is not there at all has spilled only where there is a GPU.
func Spilled(size, sizeVRAM int64, gpu bool) bool {
	return sizeVRAM < size && (sizeVRAM > 0 || gpu)
}

// spill tells of a load whose layers did not fit: newer servers move them to the
// CPU without an error, and the rate is 2 to 10 times lower.
func spill(e *Evidence) []Finding {
	size, vram := e.Loaded.Size, e.Loaded.SizeVRAM
	if !Spilled(size, vram, e.GPU) {
		return nil
	}
	return warn("%.1f of %.1f GB of the model are in GPU memory, and the CPU does the rest: this rate says little of the GPU; use a smaller num_ctx or num_batch, a smaller model, or give num_gpu in a modelfile to have an error instead",
		float64(vram)/1e9, float64(size)/1e9)
}

// secondTry tells of a cell that could not be loaded, or crashed, and then was
// loaded.
func secondTry(e *Evidence) []Finding {
	if e.Retries == 0 {
		return nil
	}
	return warn("loaded at try %d, after what was in memory had gone: the cell is near the limit of the memory, or something else takes it at times", e.Retries+1)
}
