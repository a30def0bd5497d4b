package check

import (
	"fmt"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// BusyGPU is the utilization in percent from which on a GPU counts as used by other programs.
const BusyGPU = 10

// Shares from which on the machine counts as busy: other programs used a tenth of its CPUs and no more
// than that was idle, or half of them in any case, since programs that share a core or the memory slow
// each other down; or processes waited for memory.
const (
	busyCPUs   = 0.1
	halfCPUs   = 0.5
	memoryWait = 0.1 // of the time
)

// Busy returns what else used the machine while a sample was taken, empty where nothing is known. Such
// a sample has a rate that is too low.
func Busy(s measurement.Sample) string {
	if s.OtherClient {
		return "another client used the model too"
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

// OthersShare returns the share of the machine that other programs used while a sample was taken.
func OthersShare(s measurement.Sample) float64 {
	var share float64
	for _, g := range s.GPU {
		share = max(share, float64(g.Others)/100)
	}
	if c := s.CPU; c != nil && c.Count > 0 {
		share = max(share, c.Others/float64(c.Count), c.MemoryWait)
	}
	return share
}
