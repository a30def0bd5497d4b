package ollamarun

import (
	"bufio"
	"context"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// GPUMonitor reads the state of this machine's NVIDIA GPUs while it runs. It
// keeps one nvidia-smi at work for the whole sweep: starting one takes up to a
// second of the CPU that feeds the GPU. The library behind it, NVML, would need
// cgo and be loaded into this process; the command is also where containers
// have it. A nil monitor knows nothing, and costs nothing.
type GPUMonitor struct {
	path, query string
	stop        context.CancelFunc
	ended       chan struct{} // closed when there is nothing more to read
	mu          sync.Mutex
	recent      []reading // the oldest first
	news        chan struct{}
}

type reading struct {
	at time.Time
	measurement.GPU
}

const (
	// readEvery is how often a GPU is read, and how long a command that has
	// ended by itself is left alone before the next.
	readEvery = 200 * time.Millisecond
	// fresh is how old a reading may be that stands for now. A shorter
	// measurement than readEvery has none of its own.
	fresh = time.Second
	// mostReadings bounds memory: an hour of five GPUs.
	mostReadings = 100_000
	// firstReading is how long the command may take until its first line.
	firstReading = 5 * time.Second
)

// StartGPUMonitor returns nil where there is no nvidia-smi, or none that finds a
// GPU. End the monitor with Close.
func StartGPUMonitor(ctx context.Context) *GPUMonitor {
	path, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil
	}
	// Newer drivers have another name for the reasons, very old ones none.
	const reasons = "clocks_throttle_reasons.active"
	for _, name := range []string{reasons, "clocks_event_reasons.active", "index"} {
		m := &GPUMonitor{path: path, query: strings.Replace(parse.GPUQuery, reasons, name, 1), ended: make(chan struct{}), news: make(chan struct{}, 1)}
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		m.stop = stop
		go m.watch(watching)
		if m.first(ctx) {
			return m
		}
		m.Close()
	}
	return nil
}

// watch keeps the command at work. One that ends after it has read something is
// started again: a driver can be reset in the middle of a day.
func (m *GPUMonitor) watch(ctx context.Context) {
	defer close(m.ended)
	for m.run(ctx) > 0 && sleep(ctx, readEvery) == nil {
	}
}

// run takes readings until the command ends, and returns how many. What is no
// reading, such as an error text, is passed over.
func (m *GPUMonitor) run(ctx context.Context) (readings int) {
	cmd := exec.CommandContext(ctx, m.path, smiArgs(m.query, "csv,noheader,nounits", "-lms", strconv.FormatInt(readEvery.Milliseconds(), 10))...)
	// Not of the terminal's group: an interrupt ends it by way of Close. Should
	// this process be killed, its next line finds nobody to read it, and it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return 0
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if g, err := parse.GPUReading(withoutReasons(lines.Text())); err == nil {
			m.add(g)
			readings++
		}
	}
	cmd.Wait() // how it ended does not matter: it is over
	return readings
}

func (m *GPUMonitor) add(g measurement.GPU) {
	m.mu.Lock()
	m.recent = append(m.recent, reading{time.Now(), g})
	if len(m.recent) > mostReadings {
		m.recent = slices.Clone(m.recent[mostReadings/2:])
	}
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// withoutReasons makes a line of a driver that has no reasons, where the index
// was asked for in their place, into one that says so.
func withoutReasons(line string) string {
	if i := strings.LastIndexByte(line, ','); i >= 0 && !strings.Contains(line[i:], "0x") {
		return line[:i] + ", [N/A]"
	}
	return line
}

// first reports whether a reading comes in time.
func (m *GPUMonitor) first(ctx context.Context) bool {
	select {
	case <-m.news:
		return true
	case <-m.ended:
		return len(m.since(time.Time{})) > 0
	case <-time.After(firstReading):
	case <-ctx.Done():
	}
	return false
}

// since returns the readings from a time on.
func (m *GPUMonitor) since(begin time.Time) []reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.recent, begin, func(r reading, t time.Time) int { return r.at.Compare(t) })
	return slices.Clone(m.recent[i:])
}

// Between returns the state of each GPU over a span of time that has passed: of
// the readings in it, or the last one before its end where it is too short to
// have one. A GPU of which nothing is known then is not among them.
func (m *GPUMonitor) Between(begin, end time.Time) []measurement.GPU {
	if m == nil {
		return nil
	}
	var within, last []measurement.GPU
	for _, r := range m.since(end.Add(-max(fresh, end.Sub(begin)))) {
		switch {
		case r.at.After(end):
		case r.at.Before(begin):
			last = slices.DeleteFunc(last, func(g measurement.GPU) bool { return g.Index == r.Index })
			last = append(last, r.GPU)
		default:
			within = append(within, r.GPU)
		}
	}
	for _, g := range last {
		if !slices.ContainsFunc(within, func(w measurement.GPU) bool { return w.Index == g.Index }) {
			within = append(within, g)
		}
	}
	return measurement.MergeGPUs(within)
}

// enoughReadings is how many readings tell the least utilization: a GPU is still said to have
// been at work for up to a second after it was.
const enoughReadings = 6

// Least returns the lowest utilization of each GPU over a span of time that has passed, in percent, by
// its index. A server leaves a GPU idle for a part of the time that it loads a model, so that what is never
// idle then is somebody else's. A GPU of which too little is known is not among them.
func (m *GPUMonitor) Least(begin, end time.Time) map[int]int {
	if m == nil {
		return nil
	}
	least, readings := make(map[int]int), make(map[int]int)
	for _, r := range m.since(begin) {
		if r.at.After(end) {
			break
		}
		if readings[r.Index]++; readings[r.Index] == 1 || r.Utilization < least[r.Index] {
			least[r.Index] = r.Utilization
		}
	}
	maps.DeleteFunc(least, func(index, _ int) bool { return readings[index] < enoughReadings })
	return least
}

// Now returns the newest reading of each GPU.
func (m *GPUMonitor) Now() []measurement.GPU {
	now := time.Now()
	return m.Between(now, now)
}

// MemoryUsed returns the MiB in use on all GPUs together, and false when that is
// not known.
func (m *GPUMonitor) MemoryUsed() (mib int, ok bool) {
	gpus := m.Now()
	for _, g := range gpus {
		mib += g.MemoryMiB
	}
	return mib, len(gpus) > 0
}

// Close ends the command. It may be called more than once.
func (m *GPUMonitor) Close() error {
	if m == nil {
		return nil
	}
	m.stop()
	<-m.ended
	return nil
}
