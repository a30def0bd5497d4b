package check

// Spilled reports whether a part of a loaded model is not in GPU memory, by its
// sizes in bytes. A model with no part in GPU memory has spilled only where the
// server has a GPU.
func Spilled(size, sizeVRAM int64, gpu bool) bool {
	return sizeVRAM < size && (sizeVRAM > 0 || gpu)
}

// spill warns of a load whose layers did not all fit: newer servers move them to
// the CPU without an error, and the rate is 2 to 10 times lower.
func spill(e *Evidence) []Finding {
	size, vram := e.Loaded.Size, e.Loaded.SizeVRAM
	if !Spilled(size, vram, e.GPU) {
		return nil
	}
	if layers, ok := e.Asked.Value("num_gpu"); ok {
		if on, known := effectiveValue("num_gpu", layers, &e.Loaded); known && on == layers {
			return nil // as requested
		}
	}
	return warn("%.1f of %.1f GB of the model are in GPU memory, and the CPU does the rest: this rate says little about the GPU; use a smaller num_ctx or num_batch, a smaller model, or set num_gpu in a modelfile to get an error instead",
		float64(vram)/1e9, float64(size)/1e9)
}

// secondTry warns of a cell that failed for lack of memory or crashed, and then was
// loaded.
func secondTry(e *Evidence) []Finding {
	if e.Retries == 0 {
		return nil
	}
	return warn("loaded at try %d, after memory had been given back: the cell is near the memory limit, or something else uses memory at times", e.Retries+1)
}
