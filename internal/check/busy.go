package check

import (
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// BusyGPU is from which utilization on a GPU is at work for somebody else, in percent.
const BusyGPU = 10

// From these on the machine counts as busy with something else: others used a tenth of its CPUs
// while no more than that was idle, or half of them in any case, since what shares a core or the
// memory slows down too; or processes waited for memory.
const (
	busyCPUs   = 0.1
	halfCPUs   = 0.5
	memoryWait = 0.1 // of the time
)

// Busy says what else used the machine while a sample was taken, and is empty where nothing is known to
// have. Such a sample is slower than its settings are.
func Busy(s measurement.Sample) string {
	if s.OtherClient {
		return "somebody else used the model too"
	}
	for _, g := range s.GPU {
		if g.Others >= BusyGPU {
			return fmt.Sprintf("others used %d %% of GPU %d while the model was loaded", g.Others, g.Index)
		}
	}
	c := s.CPU
	if c == nil || c.Count < 1 {
		return ""
	}
	n := float64(c.Count)
	idle := n - c.Server - c.Others
	switch {
	case c.Others >= halfCPUs*n, c.Others >= busyCPUs*n && idle <= busyCPUs*n:
		return fmt.Sprintf("other programs used %.1f of %d CPUs", c.Others, c.Count)
	case c.MemoryWait >= memoryWait:
		return fmt.Sprintf("processes waited for memory in %.0f %% of the time", 100*c.MemoryWait)
	}
	return ""
}

// Taken is how much of the machine others used while a sample was taken, as a share of it.
func Taken(s measurement.Sample) float64 {
	var share float64
	for _, g := range s.GPU {
		share = max(share, float64(g.Others)/100)
	}
	if c := s.CPU; c != nil && c.Count > 0 {
		share = max(share, c.Others/float64(c.Count), c.MemoryWait)
	}
	return share
}
