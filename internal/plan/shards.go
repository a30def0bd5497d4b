package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/spatial/kdtree"
	"gonum.org/v1/gonum/stat"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// The time to process a checkpoint, in nanoseconds for each byte of its JSON, on
// one core of a virtual machine of 2026.
const (
	mergeNs = 70  // merging and all reports: 60 s for a million cells, which are 880 MB
	saveNs  = 1.2 // writing the whole file: BenchmarkPut100000
)

const (
	mergeStart   = 2 * time.Second // for the command to be built and started
	assumedBytes = 800             // a cell's size in the checkpoint, where there is none yet
	plays        = 20
)

// Sharing is the cost of the whole grid on several machines, every cell from the start.
type Sharing struct {
	GPUs     int           // of a machine
	Measured int           // cells in the checkpoint whose timings are used
	Hosts    int           // hosts in the checkpoint whose differences are used; 0 and 1 mean none
	Fixed    time.Duration // that each of several shards takes in addition to its cells
	Work     time.Duration // that all cells take together, on average
	Longest  time.Duration // that the longest cell takes, on average
	Costs    []ShardCost

	hostCells int
}

// ShardCost is the cost with so many shards, each on a machine of its own.
type ShardCost struct {
	Shards  int
	Largest int // cells of the largest shard
	// Time is until the last shard has ended and all are merged: the median of the
	// simulations; Late is their 95th percentile.
	Time, P95 time.Duration
	GPU       time.Duration // that the GPUs of all machines are held, on average
	Cells     float64       // share of GPU that is spent on the plan's cells
	Saving    float64       // share of GPU that is spent on writing checkpoints
	Merge     time.Duration // 0 for one shard
}

// MostUseful returns the largest number of shards that spend more time on cells than on the fixed
// cost of each shard.
func (s *Sharing) MostUseful() int { return int(s.Work / max(1, s.Fixed)) }

// Check returns an error where settings contradict each other.
func (in *Input) Check() error {
	if in.Config.Redo {
		return errors.New("redo: which cells -run names is not known here: leave it out to plan the cells that are missing")
	}
	if in.Shards == 0 {
		return nil
	}
	cells, _ := in.Config.Plan()
	switch {
	case in.Shards < 2:
		return fmt.Errorf("-shards: %d is below 2: give the number of machines", in.Shards)
	case in.Config.Shard != (cell.Shard{}):
		return fmt.Errorf("-shards plans all shards of the grid: leave -shard %v out", in.Config.Shard)
	case in.Shards > len(cells):
		return fmt.Errorf("-shards: %d are more than the %d cells: each shard needs at least one", in.Shards, len(cells))
	}
	return nil
}

// timing is how long a measured cell took.
type timing struct {
	load    time.Duration
	prompts []time.Duration
	failed  time.Duration // the whole time, where the cell failed
}

// share simulates the grid on 1, 2, 5, 10 … up to p.Shards shards.
func (p *Plan) share() *Sharing {
	s := &Sharing{GPUs: 1}
	var slowdowns []float64 // each host's time relative to the median host's
	size := assumedBytes * float64(p.Config.Repeat+1) / 2
	if cp := p.Checkpoint; cp != nil && len(cp.Results) > 0 {
		s.GPUs = max(1, len(cp.Sweep.GPUs()))
		if spread, ok := sweep.Spread(cp); ok {
			for _, h := range spread.Hosts {
				slowdowns = append(slowdowns, 1/(1+h.Ratio))
			}
		}
		if text, err := json.Marshal(cp.Results); err == nil {
			size = float64(len(text)) / float64(len(cp.Results))
		}
	}
	s.Hosts = len(slowdowns)
	grid := p.Config.Grid()
	grid.BatchFirst = false // cells are dealt in column order
	cells, _ := grid.Cells()
	g := p.newGridModel(cells)
	s.Measured, s.Fixed, s.hostCells = g.measured, g.fixed(2, 1), g.hostCells
	rng := rand.New(rand.NewPCG(1, 1))
	var dealt [][]int
	for _, n := range series(p.Shards) {
		c := ShardCost{Shards: n}
		if n > 1 {
			c.Merge = mergeStart + time.Duration(mergeNs*size*float64(len(cells)))
		}
		s.Costs, dealt = append(s.Costs, c), append(dealt, cell.Deal(cells, n))
	}
	times := make([][]float64, len(dealt))
	for range plays {
		drawn := g.draw(rng)
		s.Work += drawn.work / plays
		s.Longest += drawn.longest / plays
		for i, shardOf := range dealt {
			c := &s.Costs[i]
			t := g.distribute(drawn, shardOf, c.Shards, slowdowns, size, rng)
			times[i] = append(times[i], float64(t.slowest+c.Merge))
			c.Largest = t.largest
			c.GPU += t.all * time.Duration(s.GPUs) / plays
			c.Cells += float64(t.cells) / float64(t.all) / plays
			c.Saving += float64(t.saving) / float64(t.all) / plays
		}
	}
	for i := range s.Costs {
		slices.Sort(times[i])
		s.Costs[i].Time = time.Duration(stat.Quantile(0.5, stat.LinInterp, times[i], nil))
		s.Costs[i].P95 = time.Duration(stat.Quantile(0.95, stat.Empirical, times[i], nil))
	}
	return s
}

// series returns 1, 2, 5, 10, 20, 50 … up to n, and n.
func series(n int) []int {
	var all []int
	for ten := 1; ten < n; ten *= 10 {
		for _, k := range []int{1, 2, 5} {
			if k*ten < n {
				all = append(all, k*ten)
			}
		}
	}
	return append(all, n)
}

// gridModel is a grid with the timings that its cells may have.
type gridModel struct {
	cfg       *config.Config
	pace      sweep.Pace
	hostCells int             // cells that each host measures for comparison with others
	measured  int             // cells with a timing
	near      [][]*timing     // of each cell: those of the nearest measured cells
	server    []cell.Settings // of each cell, those of the server
	restart   time.Duration   // for other settings of the server
}

// neighbours is the number of nearest measured cells that a cell's timing is drawn from.
const neighbours = 8

// newGridModel finds the nearest measured cells of each cell.
func (p *Plan) newGridModel(cells []cell.Key) *gridModel {
	shard := p.Config
	shard.Shard = cell.Shard{Index: 1, Count: p.Shards}
	g := &gridModel{cfg: &p.Config, pace: p.Pace, hostCells: len(shard.HostCells()), near: make([][]*timing, len(cells)), restart: p.Restart.Time}
	if p.restartsServer() {
		for _, c := range cells {
			g.server = append(g.server, c.Settings.Server())
		}
	}
	if p.Checkpoint == nil {
		return g
	}
	var points kdtree.Points
	at := make(map[[3]float64]*timing)
	place := p.places()
	for i := range p.Checkpoint.Results {
		r := &p.Checkpoint.Results[i]
		if t := g.timingOf(r); t != nil {
			where := place(r.Cell())
			points, at[where] = append(points, where[:]), t
		}
	}
	g.measured = len(points)
	if g.measured == 0 {
		return g
	}
	tree := kdtree.New(points, false)
	for i, c := range cells {
		keep, where := kdtree.NewNKeeper(neighbours), place(c)
		// A small offset breaks ties: of two cells at the same distance the larger comes first,
		// whatever the order in the tree.
		where[0], where[1] = where[0]+1e-7, where[1]+2.345e-7
		tree.NearestSet(keep, kdtree.Point(where[:])) // the nearest comes first
		for _, found := range keep.Heap {
			g.near[i] = append(g.near[i], at[[3]float64(found.Comparable.(kdtree.Point))])
		}
	}
	return g
}

// settingsApart is the distance of cells that differ in other settings than num_ctx and num_batch, in octaves of
// those.
const settingsApart = 3

// places returns a function that returns log2 of num_ctx and num_batch, so that a doubling is the same distance
// everywhere, and a third coordinate by which cells with other settings are far away.
func (p *Plan) places() func(cell.Key) [3]float64 {
	index := make(map[cell.Settings]float64)
	for i, s := range cell.AllSettings(p.Cells) {
		index[s] = settingsApart * float64(i)
	}
	return func(c cell.Key) [3]float64 {
		return [3]float64{math.Log2(float64(c.Ctx)), math.Log2(float64(c.Batch)), index[c.Settings]}
	}
}

// timingOf returns how long a cell took, nil where that is not known. The checkpoint does not
// record it for a failed cell: that is assumed to take the timeout, or a load for each attempt.
func (g *gridModel) timingOf(r *checkpoint.Result) *timing {
	switch {
	case r.Failed() && *r.Error == measurement.Timeout:
		return &timing{failed: g.cfg.CellTimeout}
	case r.Failed():
		return &timing{failed: time.Duration(1+r.Retries) * g.pace.Load}
	case len(r.Samples) == 0:
		return nil
	}
	t := &timing{load: g.pace.Load}
	if r.Warmup != nil {
		t.load = sweep.LoadTime(r)
	}
	for _, s := range r.Samples {
		t.prompts = append(t.prompts, sweep.RequestTime(s))
	}
	return t
}

// drawnTimes is how long the cells take in one simulation, in column order.
type drawnTimes struct {
	loads, prompts []time.Duration // of all samples of a cell together; a failure counts as a load
	work, longest  time.Duration
}

// draw draws how long each cell takes: it fails where the nearest measured cell did, and
// otherwise has the load and the prompts of one of the nearest.
func (g *gridModel) draw(rng *rand.Rand) drawnTimes {
	p := drawnTimes{loads: make([]time.Duration, len(g.near)), prompts: make([]time.Duration, len(g.near))}
	loads := 1
	if g.cfg.Order == config.OrderRound {
		loads = g.cfg.Repeat
	}
	for i, near := range g.near {
		switch {
		case len(near) == 0:
			p.loads[i], p.prompts[i] = time.Duration(loads)*g.pace.Load, time.Duration(g.cfg.Repeat)*g.pace.Prompt
		case near[0].failed > 0:
			p.loads[i] = near[0].failed
		default:
			t := near[rng.IntN(len(near))]
			for t.failed > 0 {
				t = near[rng.IntN(len(near))] // the nearest did not
			}
			p.loads[i] = time.Duration(loads) * t.load
			for range g.cfg.Repeat {
				p.prompts[i] += t.prompts[rng.IntN(len(t.prompts))]
			}
		}
		all := p.loads[i] + p.prompts[i]
		p.work, p.longest = p.work+all, max(p.longest, all)
	}
	return p
}

// fixed returns the time that each of so many shards takes in addition to its cells: a load and
// a prompt to determine the prompt's length and, with several shards, two measurements of each
// cell that compares hosts. slowdown is the host's prompt time relative to the median host's.
func (g *gridModel) fixed(shards int, slowdown float64) time.Duration {
	var loads, prompts int
	if shards > 1 {
		loads, prompts = hostChecks(g.hostCells, g.cfg.Repeat)
	}
	return time.Duration(1+loads)*g.pace.Load + time.Duration(slowdown*float64(1+prompts)*float64(g.pace.Prompt))
}

// hostChecks returns the loads and prompts of measuring cells to compare hosts.
func hostChecks(cells, repeat int) (loads, prompts int) {
	return 2 * cells, 2 * cells * max(repeat, sweep.ReferenceSamples)
}

// shardTimes is how long the shards take in one simulation.
type shardTimes struct {
	slowest, all  time.Duration // of the slowest shard, and of all shards together
	cells, saving time.Duration // parts of all: measuring cells, writing checkpoints
	largest       int           // cells of the largest shard
}

// distribute sums up the cells of each shard. Where hosts differ, each shard runs on one drawn
// from those in the checkpoint.
func (g *gridModel) distribute(p drawnTimes, shardOf []int, shards int, slowdowns []float64, size float64, rng *rand.Rand) shardTimes {
	loads, prompts, cells := make([]time.Duration, shards), make([]time.Duration, shards), make([]int, shards)
	restarts, running := make([]int, shards), make([]cell.Settings, shards)
	for i, index := range shardOf {
		if g.server != nil {
			if cells[index-1] > 0 && running[index-1] != g.server[i] {
				restarts[index-1]++
			}
			running[index-1] = g.server[i]
		}
		loads[index-1] += p.loads[i]
		prompts[index-1] += p.prompts[i]
		cells[index-1]++
	}
	var t shardTimes
	for i := range shards {
		slowdown := 1.0
		if len(slowdowns) > 0 {
			slowdown = slowdowns[rng.IntN(len(slowdowns))]
		}
		work := loads[i] + time.Duration(slowdown*float64(prompts[i]))
		// The whole file is written with every sample; its average size is half the final
		// one.
		saving := time.Duration(saveNs * size / 2 * float64(cells[i]) * float64(cells[i]*g.cfg.Repeat))
		all := g.fixed(shards, slowdown) + work + saving + time.Duration(restarts[i])*g.restart
		t.slowest, t.all, t.largest = max(t.slowest, all), t.all+all, max(t.largest, cells[i])
		t.cells, t.saving = t.cells+work, t.saving+saving
	}
	return t
}
