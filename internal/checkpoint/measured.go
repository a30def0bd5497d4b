package checkpoint

import (
	"cmp"
	"slices"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Measured is the result of a cell as a strategy sees it.
type Measured struct {
	Rates  []float64 // of each sample, in tokens per second
	Failed bool      // the cell failed, and gets no more samples
	// Probes are the readings of passes of tokens while the cell was loaded, by size.
	Probes []ProbeRates
	// Size is the bytes of the loaded model, and SizeVRAM those in GPU memory; 0 where they are
	// not known.
	Size, SizeVRAM int64
	// Parts is the memory of the load by the server's log, nil where it does not have it or the load is spread
	// over GPUs and the host.
	Parts *measurement.DeviceMemory
	// Memory reports whether the cell ran out of GPU memory, twice in a row: cells that
	// need more memory will fail too.
	Memory bool
	// Closed reports whether the cell gets no more samples: it was pruned, skipped by the
	// caller, or has the single rate of an older tool.
	Closed bool
}

// ProbeRates are the rates of probes of one size.
type ProbeRates struct {
	NumBatch int       // tokens per pass: the num_batch that the probe stands for
	Rates    []float64 // of each reading, in tokens per second
}

// AddReading adds the rate of a probe of that size to those of a load, which are ascending by size.
func AddReading(all []ProbeRates, size int, rate float64) []ProbeRates {
	i, ok := slices.BinarySearchFunc(all, size, func(p ProbeRates, size int) int { return cmp.Compare(p.NumBatch, size) })
	if !ok {
		all = slices.Insert(all, i, ProbeRates{NumBatch: size})
	}
	all[i].Rates = append(all[i].Rates, rate)
	return all
}

// Open reports whether the cell has fewer than want samples and can get more.
func (k Measured) Open(want int) bool { return !k.Failed && !k.Closed && len(k.Rates) < want }
