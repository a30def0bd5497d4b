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

// GPUMonitor records the state of this machine's NVIDIA GPUs in the background. It
// keeps one nvidia-smi running for the whole sweep, since starting one takes up to a
// second of the CPU that feeds the GPU. The library behind it, NVML, would need cgo
// and be loaded into this process, while containers have the command. A nil monitor
// reports nothing and costs nothing.
type GPUMonitor struct {
	path, query string
	stop        context.CancelFunc
	ended       chan struct{} // closed when there are no more readings
	mu          sync.Mutex
	recent      []reading // oldest first
	news        chan struct{}
}

// reading is the state of one GPU at one time, by our clock.
type reading struct {
	at time.Time
	measurement.GPU
}

const (
	// readEvery is the interval of the readings, and the pause before the command
	// is restarted after it has exited.
	readEvery = 200 * time.Millisecond
	// maxReadingAge is how old a reading may be to count as current. A measurement
	// shorter than readEvery may have no reading of its own.
	maxReadingAge = time.Second
	// maxReadings limits the memory used: an hour of five GPUs.
	maxReadings = 100_000
	// firstReading is how long the command may take until its first line.
	firstReading = 5 * time.Second
)

// StartGPUMonitor returns nil if there is no nvidia-smi, or none that finds a GPU.
// End the monitor with Close.
func StartGPUMonitor(ctx context.Context) *GPUMonitor {
	path, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil
	}
	// Newer drivers have another name for the throttle reasons, very old ones have none.
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

// watch keeps the command running. If the command exits after at least one reading,
// it is restarted: a driver can be reset while a sweep runs.
func (m *GPUMonitor) watch(ctx context.Context) {
	defer close(m.ended)
	for m.run(ctx) > 0 && sleep(ctx, readEvery) == nil {
	}
}

// run records readings until the command exits, and returns how many. Other lines,
// such as error messages, are ignored.
func (m *GPUMonitor) run(ctx context.Context) (readings int) {
	cmd := exec.CommandContext(ctx, m.path, smiArgs(m.query, "csv,noheader,nounits", "-lms", strconv.FormatInt(readEvery.Milliseconds(), 10))...)
	// Not in the terminal's process group: after an interrupt, Close ends it. If this
	// process is killed, the command ends when it writes its next line.
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
	cmd.Wait() // the exit status does not matter
	return readings
}

// add keeps a reading, and wakes who waits for the first one.
func (m *GPUMonitor) add(g measurement.GPU) {
	m.mu.Lock()
	m.recent = append(m.recent, reading{time.Now(), g})
	if len(m.recent) > maxReadings {
		m.recent = slices.Clone(m.recent[maxReadings/2:])
	}
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// withoutReasons replaces the last value of a line by [N/A] if it is not the throttle
// reasons: for a driver that has none, the index is queried in their place.
func withoutReasons(line string) string {
	if i := strings.LastIndexByte(line, ','); i >= 0 && !strings.Contains(line[i:], "0x") {
		return line[:i] + ", [N/A]"
	}
	return line
}

// first waits for the first reading and reports whether there is one.
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

// since returns the readings from begin on.
func (m *GPUMonitor) since(begin time.Time) []reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.recent, begin, func(r reading, t time.Time) int { return r.at.Compare(t) })
	return slices.Clone(m.recent[i:])
}

// Between returns the state of each GPU in a past interval: its readings merged, or
// the last reading before, not older than maxReadingAge, if the interval is too short
// to have one. GPUs without a reading are omitted.
func (m *GPUMonitor) Between(begin, end time.Time) []measurement.GPU {
	if m == nil {
		return nil
	}
	var within, last []measurement.GPU
	for _, r := range m.since(end.Add(-max(maxReadingAge, end.Sub(begin)))) {
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

// minReadings is the number of readings needed for the lowest utilization: a GPU is reported
// as busy for up to a second after it was.
const minReadings = 6

// Least returns the lowest utilization of each GPU in a past interval, in percent, by the GPU's
// index. A server leaves a GPU idle for a part of the time in which it loads a model, so utilization
// that never drops then is due to other programs. GPUs with fewer than minReadings are omitted.
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
	maps.DeleteFunc(least, func(index, _ int) bool { return readings[index] < minReadings })
	return least
}

// Now returns the newest reading of each GPU, by its index: temperature in degrees Celsius, clock in MHz, power in
// watts, memory in MiB and utilization in percent, as nvidia-smi prints them. It is empty before the first
// reading, and where nvidia-smi has stopped answering.
func (m *GPUMonitor) Now() []measurement.GPU {
	now := time.Now()
	return m.Between(now, now)
}

// MemoryUsed returns the memory in use on all GPUs together in MiB, and false if it
// is unknown. It counts that of all programs, so only a difference says something of a server.
func (m *GPUMonitor) MemoryUsed() (mib int, ok bool) {
	gpus := m.Now()
	for _, g := range gpus {
		mib += g.MemoryMiB
	}
	return mib, len(gpus) > 0
}

// Close ends the nvidia-smi command. It may be called more than once.
func (m *GPUMonitor) Close() error {
	if m == nil {
		return nil
	}
	m.stop()
	<-m.ended
	return nil
}
