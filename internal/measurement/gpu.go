package measurement

import "slices"

// GPU is the state of one GPU during a measurement. A figure of zero means that
// the driver did not report it.
type GPU struct {
	Index        int      `json:"index"`
	TemperatureC int      `json:"temperature_c,omitempty"`       // highest, °C
	SMClockMHz   int      `json:"sm_clock_mhz,omitempty"`        // lowest, MHz
	PowerW       float64  `json:"power_w,omitempty"`             // highest, W
	MemoryMiB    int      `json:"memory_used_mib,omitempty"`     // highest, MiB
	Utilization  int      `json:"utilization_percent,omitempty"` // highest, %
	Throttle     []string `json:"throttle,omitempty"`            // reasons for a reduced clock
	// Others is the lowest utilization while the model was loaded, in %: the use by other programs.
	Others int `json:"others_percent,omitempty"`
}

// MergeGPUs merges readings into one for each GPU, ordered by index.
func MergeGPUs(readings []GPU) []GPU {
	var merged []GPU
	for _, r := range readings {
		i := slices.IndexFunc(merged, func(g GPU) bool { return g.Index == r.Index })
		if i < 0 {
			r.Throttle = slices.Clone(r.Throttle)
			merged = append(merged, r)
			continue
		}
		g := &merged[i]
		g.TemperatureC = max(g.TemperatureC, r.TemperatureC)
		if g.SMClockMHz == 0 || r.SMClockMHz > 0 && r.SMClockMHz < g.SMClockMHz {
			g.SMClockMHz = r.SMClockMHz
		}
		g.PowerW = max(g.PowerW, r.PowerW)
		g.MemoryMiB = max(g.MemoryMiB, r.MemoryMiB)
		g.Utilization = max(g.Utilization, r.Utilization)
		for _, reason := range r.Throttle {
			if !slices.Contains(g.Throttle, reason) {
				g.Throttle = append(g.Throttle, reason)
			}
		}
		slices.Sort(g.Throttle)
	}
	slices.SortFunc(merged, func(a, b GPU) int { return a.Index - b.Index })
	return merged
}
