package ollamarun

import (
	"os"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// CPUMonitor tells who uses this machine's CPUs, as the kernel counts it in /proc: the
// processes of an Ollama server, or all else. Load averages and the kernel's pressure figures hold the server's own
// threads too, which can't be told from others there. A nil monitor knows nothing.
type CPUMonitor struct {
	fs  procfs.FS
	own int // process id
}

// shortest is the shortest time of which the use of CPUs is told. The kernel counts in
// hundredths of a second.
const shortest = 200 * time.Millisecond

// NewCPUMonitor returns nil where there is no /proc, or one in which no server is to be seen, as
// in a container beside it.
func NewCPUMonitor() *CPUMonitor { return newCPUMonitor(procfs.DefaultMountPoint, os.Getpid()) }

func newCPUMonitor(proc string, own int) *CPUMonitor {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return nil
	}
	m := &CPUMonitor{fs, own}
	if _, ok := m.look(); !ok {
		return nil
	}
	return m
}

// cpuCounts are counters at one time, in seconds of one CPU.
type cpuCounts struct {
	at            time.Time
	cpus          int
	used          float64         // by all, with what other guests of the same host took
	server        map[int]float64 // by each process of a server
	own           float64         // by this process
	waitForMemory float64         // in which some process waited for memory
	memoryIsKnown bool
}

// look reads the counters, and returns false where they, or a server, are not to be seen.
func (m *CPUMonitor) look() (cpuCounts, bool) {
	if m == nil {
		return cpuCounts{}, false
	}
	stat, err := m.fs.Stat()
	if err != nil || len(stat.CPU) == 0 {
		return cpuCounts{}, false
	}
	all := stat.CPUTotal // guests are in user and nice
	c := cpuCounts{
		at:   time.Now(),
		cpus: len(stat.CPU),
		used: all.User + all.Nice + all.System + all.IRQ + all.SoftIRQ + all.Steal,
	}
	if psi, err := m.fs.PSIStatsForResource("memory"); err == nil && psi.Some != nil {
		c.waitForMemory, c.memoryIsKnown = float64(psi.Some.Total)/1e6, true
	}
	c.server, c.own = m.processes()
	return c, len(c.server) > 0
}

// processes returns the CPU time of the servers' processes, with those that they started, and
// of this one.
func (m *CPUMonitor) processes() (server map[int]float64, own float64) {
	procs, err := m.fs.AllProcs()
	if err != nil {
		return nil, 0
	}
	stats := make(map[int]procfs.ProcStat, len(procs))
	for _, p := range procs {
		if s, err := p.Stat(); err == nil { // else it has ended
			stats[s.PID] = s
		}
	}
	server = make(map[int]float64)
	for pid, s := range stats {
		switch {
		case pid == m.own:
			own = s.CPUTime()
		case ofServer(stats, pid):
			server[pid] = s.CPUTime()
		}
	}
	return server, own
}

// ofServer reports whether a process or one that it descends from is a server by its name.
func ofServer(stats map[int]procfs.ProcStat, pid int) bool {
	for range len(stats) { // a table that is read while it changes could have a circle
		s, ok := stats[pid]
		if !ok {
			return false
		}
		if s.Comm == "ollama" || strings.HasPrefix(s.Comm, "ollama_llama") || strings.HasPrefix(s.Comm, "llama-server") {
			return true
		}
		pid = s.PPID
	}
	return false
}

// since returns the use since the counters were read before; nil where it is not known.
func (m *CPUMonitor) since(before cpuCounts) *measurement.CPUUse {
	now, ok := m.look()
	if !ok || before.at.IsZero() {
		return nil
	}
	return use(before, now)
}

// use is what was used between two readings of the counters, nil where the time between them is too short.
func use(before, now cpuCounts) *measurement.CPUUse {
	span := now.at.Sub(before.at).Seconds()
	if span < shortest.Seconds() {
		return nil
	}
	var server float64
	for pid, used := range now.server {
		server += used - before.server[pid] // 0 for one that has started since
	}
	u := &measurement.CPUUse{Count: now.cpus, Server: max(0, server/span)}
	u.Others = max(0, (now.used-before.used-server-(now.own-before.own))/span)
	if before.memoryIsKnown && now.memoryIsKnown {
		u.MemoryWait = max(0, (now.waitForMemory-before.waitForMemory)/span)
	}
	return u
}
