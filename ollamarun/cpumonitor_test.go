package ollamarun

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// writeProc creates a folder like /proc of a machine with two CPUs. Stats has the line of
// /proc/PID/stat of each process, as in Linux 6.18.
func writeProc(t *testing.T, stats map[int]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	write("stat", `cpu  1548090 196391 241659 773174 10286 0 7705 20788 0 0
cpu0 711091 100268 107842 351940 2621 0 2356 8682 0 0
cpu1 715532 95072 114813 339112 6507 0 4580 9331 0 0
intr 26353966 0
ctxt 1
btime 1764172000
processes 19449
procs_running 1
procs_blocked 0
softirq 0 0 0 0 0 0 0 0 0 0 0
`)
	write("pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
	for pid, stat := range stats {
		write(fmt.Sprintf("%d/stat", pid), stat)
	}
	return dir
}

// statLine returns the line of /proc/PID/stat of a process that has used so many hundredths of a second in
// user and in kernel mode.
func statLine(pid int, name string, parent, user, kernel int) string {
	return fmt.Sprintf("%d (%s) R %d 19440 6415 0 -1 4194304 100 0 0 0 %d %d 0 0 20 0 1 0 1399812 3133440 386 18446744073709551615 94385264959488 94385264979369 140734642292752 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 94385264995376 94385264996992 94385982066688 140734642297531 140734642297551 140734642297551 140734642298859 0\n", pid, name, parent, user, kernel)
}

func TestCPUCounters(t *testing.T) {
	proc := writeProc(t, map[int]string{
		1:  statLine(1, "systemd", 0, 900, 100),
		20: statLine(20, "ollama", 1, 150, 50),
		21: statLine(21, "llama (x) y", 20, 1000, 0), // counts whatever its name, because a server has started it
		30: statLine(30, "ollama-sweep.te", 1, 300, 0),
		40: statLine(40, "make", 30, 70, 0),
	})
	m := newCPUMonitor(proc, 30)
	require.NotNil(t, m)
	c, ok := m.counters()
	require.True(t, ok)
	assert.Equal(t, 2, c.cpus)
	assert.InDelta(t, (1548090+196391+241659+7705+20788)/100., c.used, 1e-6)
	assert.Equal(t, map[int]float64{20: 2, 21: 10}, c.server)
	assert.InDelta(t, 3, c.own, 1e-9)
	assert.InDelta(t, 2.5, c.waitForMemory, 1e-9)
	assert.True(t, c.memoryIsKnown)

	require.NoError(t, os.RemoveAll(filepath.Join(proc, "pressure")))
	require.NoError(t, os.WriteFile(filepath.Join(proc, "40", "stat"), []byte("ended"), 0o644))
	c, ok = m.counters()
	require.True(t, ok, "an older kernel, and a process that ends meanwhile")
	assert.False(t, c.memoryIsKnown)
}

func TestNoCPUMonitor(t *testing.T) {
	assert.Nil(t, newCPUMonitor(filepath.Join(t.TempDir(), "none"), 1), "no /proc")
	assert.Nil(t, newCPUMonitor(writeProc(t, map[int]string{1: statLine(1, "bash", 0, 1, 1)}), 1), "no server among the processes")
	var m *CPUMonitor
	assert.Nil(t, m.since(cpuCounts{at: time.Now()}))
}

func TestCPUUse(t *testing.T) {
	before := cpuCounts{at: time.Unix(100, 0), cpus: 4, used: 1000, server: map[int]float64{20: 5, 21: 7}, own: 3, waitForMemory: 1, memoryIsKnown: true}
	now := cpuCounts{at: time.Unix(110, 0), cpus: 4, used: 1035, server: map[int]float64{20: 6, 21: 20, 22: 1}, own: 4, waitForMemory: 2.5, memoryIsKnown: true}
	assert.Equal(t, &measurement.CPUUse{Count: 4, Server: 1.5, Others: 1.9, MemoryWait: 0.15}, use(before, now))

	now.server = map[int]float64{20: 6} // the other process has exited, so its time does not count
	now.memoryIsKnown = false
	assert.Equal(t, &measurement.CPUUse{Count: 4, Server: 0.1, Others: 3.3}, use(before, now))

	now.at = before.at.Add(minCPUTime - 1)
	assert.Nil(t, use(before, now))
	now.at, now.used = before.at.Add(time.Second), 900 // a counter that went back
	assert.Equal(t, &measurement.CPUUse{Count: 4, Server: 1}, use(before, now))
}

func TestLeastUtilization(t *testing.T) {
	m := &GPUMonitor{}
	begin := time.Unix(100, 0)
	for i, busy := range []int{99, 80, 35, 60, 37, 90, 99} {
		at := begin.Add(time.Duration(i) * readEvery)
		m.recent = append(m.recent, reading{at, measurement.GPU{Index: 0, Utilization: busy}}, reading{at, measurement.GPU{Index: 1, Utilization: busy * (i % 2)}})
	}
	end := begin.Add(time.Minute)
	assert.Equal(t, map[int]int{0: 35, 1: 0}, m.Least(begin, end))
	assert.Equal(t, map[int]int{0: 35, 1: 0}, m.Least(begin.Add(readEvery), end))
	assert.Empty(t, m.Least(begin.Add(2*readEvery), end), "too few readings")
	assert.Empty(t, m.Least(begin, begin.Add(4*readEvery)))
	assert.Empty(t, (*GPUMonitor)(nil).Least(begin, end))
}
