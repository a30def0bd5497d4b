package ollamarun

import (
	"os"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// CPUMonitor measures how much of this machine's CPUs the processes of an Ollama server use, and
// how much all others, from the counters in /proc. Load averages and the kernel's pressure figures
// don't separate the two. A nil monitor reports nothing.
type CPUMonitor struct {
	fs  procfs.FS
	own int // our process ID
}

// minCPUTime is the shortest interval for which the CPU use is reported. The kernel counts in
// hundredths of a second.
const minCPUTime = 200 * time.Millisecond

// NewCPUMonitor returns nil if there is no /proc, or if it shows no Ollama server, as when the
// server runs in another container.
func NewCPUMonitor() *CPUMonitor { return newCPUMonitor(procfs.DefaultMountPoint, os.Getpid()) }

// newCPUMonitor reads another folder than /proc, or for another process, in tests.
func newCPUMonitor(proc string, own int) *CPUMonitor {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return nil
	}
	m := &CPUMonitor{fs, own}
	if _, ok := m.counters(); !ok {
		return nil
	}
	return m
}

// cpuCounts are counters at one time, in seconds of one CPU.
type cpuCounts struct {
	at            time.Time
	cpus          int
	used          float64         // by all processes, plus time stolen by other guests of the host
	server        map[int]float64 // by each process of a server, by process ID
	own           float64         // by this process
	waitForMemory float64         // during which some process waited for memory
	memoryIsKnown bool
}

// counters reads the counters. It returns false if they can't be read or show no server.
func (m *CPUMonitor) counters() (cpuCounts, bool) {
	if m == nil {
		return cpuCounts{}, false
	}
	stat, err := m.fs.Stat()
	if err != nil || len(stat.CPU) == 0 {
		return cpuCounts{}, false
	}
	all := stat.CPUTotal // User and Nice include guests
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

// processes returns the CPU times of the servers' processes, including those that they started,
// and of this process.
func (m *CPUMonitor) processes() (server map[int]float64, own float64) {
	procs, err := m.fs.AllProcs()
	if err != nil {
		return nil, 0
	}
	stats := make(map[int]procfs.ProcStat, len(procs))
	for _, p := range procs {
		if s, err := p.Stat(); err == nil { // otherwise it has ended
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

// ofServer reports whether a process or one of its ancestors has the name of a server.
func ofServer(stats map[int]procfs.ProcStat, pid int) bool {
	for range len(stats) { // the table is read while it changes, so it could have a cycle
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

// since returns the CPU use since the counters before, nil if it is unknown or if they are too recent.
func (m *CPUMonitor) since(before cpuCounts) *measurement.CPUUse {
	if before.at.IsZero() || time.Since(before.at) < minCPUTime {
		return nil // before every process of the machine is read
	}
	now, ok := m.counters()
	if !ok {
		return nil
	}
	return use(before, now)
}

// use returns the CPU use between two readings of the counters, nil if they are less than minCPUTime apart.
func use(before, now cpuCounts) *measurement.CPUUse {
	span := now.at.Sub(before.at).Seconds()
	if span < minCPUTime.Seconds() {
		return nil
	}
	var server float64
	for pid, used := range now.server {
		server += used - before.server[pid] // which is 0 for a process that has started since
	}
	u := &measurement.CPUUse{Count: now.cpus, Server: max(0, server/span)}
	u.Others = max(0, (now.used-before.used-server-(now.own-before.own))/span)
	if before.memoryIsKnown && now.memoryIsKnown {
		u.MemoryWait = max(0, (now.waitForMemory-before.waitForMemory)/span)
	}
	return u
}
