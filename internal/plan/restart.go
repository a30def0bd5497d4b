package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// Restart is the time that the end and the start of the server take, for other settings of it.
type Restart struct {
	Time  time.Duration
	Basis string // where it comes from, as a text
}

var (
	// assumedRestart is for a server that looks for its GPUs at the start.
	assumedRestart = Restart{2 * time.Second, "an assumption"}
	// embeddedRestart was measured on a machine without a GPU: BenchmarkRestart.
	embeddedRestart = Restart{100 * time.Millisecond, "as measured on the embedded engine without a GPU"}
)

// leastRestarts is how many restarts in a checkpoint give their time: a sweep that was stopped between two
// cells has one that seems long.
const leastRestarts = 3

// restartOf returns the time of a restart: by the checkpoint, from the sample of one cell to that of the next
// one without the requests, or else an assumption. Cells that were loaded again for more samples don't show it.
func restartOf(cfg *config.Config, cp *checkpoint.Checkpoint) Restart {
	if cp != nil && cfg.Order != config.OrderRound {
		results := slices.Clone(cp.Results)
		slices.SortStableFunc(results, func(a, b checkpoint.Result) int { return a.Timestamp.Compare(b.Timestamp) })
		var times []float64
		for i := 1; i < len(results); i++ {
			before, r := &results[i-1], &results[i]
			if r.Failed() || r.Warmup == nil || len(r.Samples) != cfg.Repeat || before.Timestamp.IsZero() || before.Cell().Settings.Server() == r.Cell().Settings.Server() {
				continue
			}
			spent := r.Timestamp.Sub(before.Timestamp) - sweep.LoadTime(r)
			for _, s := range r.Samples {
				spent -= sweep.RequestTime(s)
			}
			times = append(times, float64(max(0, spent)))
		}
		if len(times) >= leastRestarts {
			return Restart{time.Duration(verdict.Median(times)), fmt.Sprintf("as in the checkpoint, the median of %d", len(times))}
		}
	}
	if cfg.Engine == config.EngineEmbedded {
		return embeddedRestart
	}
	return assumedRestart
}

// restartCounter counts the restarts of a server that loads cells in an order.
type restartCounter struct {
	n       int
	running cell.Settings
	server  map[cell.Settings]cell.Settings // of the settings of cells
}

// newRestartCounter returns a counter for a server that was started for a cell.
func newRestartCounter(c cell.Key) *restartCounter {
	return &restartCounter{running: c.Settings.Server(), server: make(map[cell.Settings]cell.Settings)}
}

func (r *restartCounter) load(c cell.Key) {
	s, ok := r.server[c.Settings]
	if !ok {
		s = c.Settings.Server()
		r.server[c.Settings] = s
	}
	if s != r.running {
		r.n, r.running = r.n+1, s
	}
}

// exhaustiveRestarts returns how many times an exhaustive sweep restarts the server for the cells that lack
// samples.
func (p *Plan) exhaustiveRestarts() int {
	if !p.restartsServer() {
		return 0
	}
	counter, first := newRestartCounter(p.Cells[0]), p.Config.Repeat
	if p.Config.Order == config.OrderRound {
		first = 1
	}
	for want := first; want <= p.Config.Repeat; want++ {
		for _, c := range p.Cells {
			if p.known[c].Open(want) {
				counter.load(c)
			}
		}
	}
	return counter.n
}

// roundRestarts returns how many restarts a load of every cell takes.
func (p *Plan) roundRestarts() int {
	counter := newRestartCounter(p.Cells[len(p.Cells)-1])
	for _, c := range p.Cells {
		counter.load(c)
	}
	return counter.n
}

// restartsServer reports whether cells differ in settings of the server.
func (p *Plan) restartsServer() bool {
	return slices.ContainsFunc(p.axes, cell.SettingAxis.Server)
}

// automaticRestarts returns how many restarts the automatic loads of a strategy take at most, after so
// many planned loads: to the reference cell and back, to a leading cell each time, to the baseline's cell,
// and all combinations again for each sample that is repeated.
func (p *Plan) automaticRestarts(c Cost, planned, baseline int) (n int) {
	if !p.restartsServer() {
		return 0
	}
	if every := p.Config.ReferenceEvery; every > 0 {
		n += 2 * (planned / every)
	}
	if n += min(c.Auxiliary, p.Config.Leaders()*sweep.MostRounds); baseline > 0 {
		n++
	}
	if c.Repeats > 0 {
		rounds := (c.Repeats + len(p.Cells) - 1) / len(p.Cells)
		n += rounds * p.roundRestarts()
	}
	return n
}

// restartLine describes the restarts for the table of times, empty where there are none.
func (p *Plan) restartLine() string {
	if !p.restartsServer() {
		return ""
	}
	names := axisNames(slices.DeleteFunc(slices.Clone(p.axes), func(a cell.SettingAxis) bool { return !a.Server() }))
	return fmt.Sprintf("restart: the server is restarted for another %s, %v each time (%s)", english.WordSeries(names, "or"), short(p.Restart.Time), p.Restart.Basis)
}
