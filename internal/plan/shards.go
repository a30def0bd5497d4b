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

// What our own work on a checkpoint takes, in nanoseconds for each byte of its JSON, on
// one core of a virtual machine of 2026.
const (
	mergeNs = 70  // merging and all reports: 60 s for a million cells, which are 880 MB
	saveNs  = 1.2 // writing the file anew: BenchmarkPut100000
)

const (
	mergeStart   = 2 * time.Second // for the command to be built and to begin
	assumedBytes = 800             // a cell's size where no checkpoint tells
	plays        = 20
)

// Sharing is what the whole grid takes on several machines, every cell from the start.
type Sharing struct {
	GPUs    int           // of a machine
	Known   int           // cells in the checkpoint whose timings are played
	Hosts   int           // in the checkpoint whose differences are played; 0 and 1 tell of none
	Fixed   time.Duration // that each of several shards takes beside its cells
	Work    time.Duration // that all cells take together, on average
	Longest time.Duration // that the longest cell takes, on average
	Costs   []ShardCost

	hostCells int
}

// ShardCost is what so many shards take, each on a machine of its own.
type ShardCost struct {
	Shards  int
	Largest int // cells of the largest shard
	// Time is until the last shard has ended and all are merged: the median of the
	// plays, and their 95th percentile.
	Time, Late time.Duration
	GPU        time.Duration // that the GPUs of all machines are held, on average
	Cells      float64       // share of it that measures the plan's cells
	Saving     float64       // share of it that writes checkpoints
	Merge      time.Duration // none for one shard
}

// Pays returns up to how many shards measuring cells takes more than what each shard
// takes beside them.
func (s *Sharing) Pays() int { return int(s.Work / max(1, s.Fixed)) }

// Check finds what does not go together.
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
		return fmt.Errorf("-shards: %d is below 2: write the number of machines", in.Shards)
	case in.Config.Shard != (cell.Shard{}):
		return fmt.Errorf("-shards looks at all shards of the grid: leave -shard %v out", in.Config.Shard)
	case in.Shards > len(cells):
		return fmt.Errorf("-shards: %d are more than the %d cells: each needs one at least", in.Shards, len(cells))
	}
	return nil
}

// took is what a measured cell took.
type took struct {
	load    time.Duration
	prompts []time.Duration
	failed  time.Duration // in all, where it failed
}

// share plays the grid on 1, 2, 5, 10 … shards up to those asked for.
func (p *Plan) share() *Sharing {
	s := &Sharing{GPUs: 1}
	var slower []float64 // each host's share of the median one's time
	size := assumedBytes * float64(p.Config.Repeat+1) / 2
	if cp := p.Checkpoint; cp != nil && len(cp.Results) > 0 {
		s.GPUs = max(1, len(cp.Sweep.GPUs()))
		if spread, ok := sweep.Spread(cp); ok {
			for _, h := range spread.Hosts {
				slower = append(slower, 1/(1+h.Ratio))
			}
		}
		if text, err := json.Marshal(cp.Results); err == nil {
			size = float64(len(text)) / float64(len(cp.Results))
		}
	}
	s.Hosts = len(slower)
	cells, _ := cell.Grid{Ctx: p.Config.NumCtx.Values(), Batch: p.Config.NumBatch.Values()}.Cells()
	g := p.newGame(cells)
	s.Known, s.Fixed, s.hostCells = g.known, g.fixed(2, 1), g.hostCells
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
		play := g.play(rng)
		s.Work += play.work / plays
		s.Longest += play.longest / plays
		for i, shardOf := range dealt {
			c := &s.Costs[i]
			h := g.hold(play, shardOf, c.Shards, slower, size, rng)
			times[i] = append(times[i], float64(h.slowest+c.Merge))
			c.Largest = h.largest
			c.GPU += h.all * time.Duration(s.GPUs) / plays
			c.Cells += float64(h.cells) / float64(h.all) / plays
			c.Saving += float64(h.saving) / float64(h.all) / plays
		}
	}
	for i := range s.Costs {
		slices.Sort(times[i])
		s.Costs[i].Time = time.Duration(stat.Quantile(0.5, stat.LinInterp, times[i], nil))
		s.Costs[i].Late = time.Duration(stat.Quantile(0.95, stat.Empirical, times[i], nil))
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

// game is the grid with what its cells may take.
type game struct {
	cfg       *config.Config
	pace      sweep.Pace
	hostCells int       // measured to tell hosts apart
	known     int       // measured cells
	near      [][]*took // of each cell: its nearest measured ones
}

// neighbours is how many of the nearest measured cells a cell takes its timings from.
const neighbours = 8

// newGame looks up what the cells that were measured took.
func (p *Plan) newGame(cells []cell.Key) *game {
	shard := p.Config
	shard.Shard = cell.Shard{Index: 1, Count: p.Shards}
	g := &game{cfg: &p.Config, pace: p.Pace, hostCells: len(shard.HostCells()), near: make([][]*took, len(cells))}
	if p.Checkpoint == nil {
		return g
	}
	var points kdtree.Points
	at := make(map[[2]float64]*took)
	for i := range p.Checkpoint.Results {
		r := &p.Checkpoint.Results[i]
		if t := g.taken(r); t != nil {
			where := place(r.Cell())
			points, at[where] = append(points, where[:]), t
		}
	}
	g.known = len(points)
	if g.known == 0 {
		return g
	}
	tree := kdtree.New(points, false)
	for i, c := range cells {
		keep, where := kdtree.NewNKeeper(neighbours), place(c)
		// Of two as near, the larger comes first, and not the one that the tree met.
		where[0], where[1] = where[0]+1e-7, where[1]+2.345e-7
		tree.NearestSet(keep, kdtree.Point(where[:])) // the nearest comes first
		for _, found := range keep.Heap {
			g.near[i] = append(g.near[i], at[[2]float64(found.Comparable.(kdtree.Point))])
		}
	}
	return g
}

// place is where a cell stands among others: a doubling is as far everywhere.
func place(c cell.Key) [2]float64 {
	return [2]float64{math.Log2(float64(c.Ctx)), math.Log2(float64(c.Batch))}
}

// taken returns what a cell took, nil where nothing tells. Of a cell that failed no
// more is known than for how long it may be waited for, or that a load was tried.
func (g *game) taken(r *checkpoint.Result) *took {
	switch {
	case r.Failed() && *r.Error == measurement.Timeout:
		return &took{failed: g.cfg.CellTimeout}
	case r.Failed():
		return &took{failed: time.Duration(1+r.Retries) * g.pace.Load}
	case len(r.Samples) == 0:
		return nil
	}
	t := &took{load: g.pace.Load}
	if r.Warmup != nil {
		t.load = sweep.Taken(*r.Warmup)
	}
	for _, s := range r.Samples {
		t.prompts = append(t.prompts, sweep.Taken(s))
	}
	return t
}

// played is what the cells take in one play, in column order.
type played struct {
	loads, prompts []time.Duration // those of all samples together; a failure is a load
	work, longest  time.Duration
}

// play draws what each cell takes: it fails where the nearest one did, and else has the
// load and the prompts of one of those around it.
func (g *game) play(rng *rand.Rand) played {
	p := played{loads: make([]time.Duration, len(g.near)), prompts: make([]time.Duration, len(g.near))}
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

// fixed is what each of so many shards takes beside its cells, on a host whose prompts
// take so many times those of the median one: a load and a prompt to learn the prompt's
// length, and, where there are several, two measurements of each cell that tells hosts
// apart.
func (g *game) fixed(shards int, slower float64) time.Duration {
	var loads, prompts int
	if shards > 1 {
		loads, prompts = hostChecks(g.hostCells, g.cfg.Repeat)
	}
	return time.Duration(1+loads)*g.pace.Load + time.Duration(slower*float64(1+prompts)*float64(g.pace.Prompt))
}

// hostChecks returns the loads and prompts of measuring cells to tell hosts apart.
func hostChecks(cells, repeat int) (loads, prompts int) {
	return 2 * cells, 2 * cells * max(repeat, sweep.ReferenceSamples)
}

// held is what shards take in one play.
type held struct {
	slowest, all  time.Duration
	cells, saving time.Duration // what of all is for cells, and for writing checkpoints
	largest       int           // cells of the largest shard
}

// hold deals the cells out. Where hosts differ, each shard gets one drawn from those that
// are known.
func (g *game) hold(p played, shardOf []int, shards int, slower []float64, size float64, rng *rand.Rand) held {
	loads, prompts, cells := make([]time.Duration, shards), make([]time.Duration, shards), make([]int, shards)
	for i, index := range shardOf {
		loads[index-1] += p.loads[i]
		prompts[index-1] += p.prompts[i]
		cells[index-1]++
	}
	var h held
	for i := range shards {
		times := 1.0
		if len(slower) > 0 {
			times = slower[rng.IntN(len(slower))]
		}
		work := loads[i] + time.Duration(times*float64(prompts[i]))
		// The file is written anew with every sample, half as large on average as in
		// the end.
		saving := time.Duration(saveNs * size / 2 * float64(cells[i]) * float64(cells[i]*g.cfg.Repeat))
		all := g.fixed(shards, times) + work + saving
		h.slowest, h.all, h.largest = max(h.slowest, all), h.all+all, max(h.largest, cells[i])
		h.cells, h.saving = h.cells+work, h.saving+saving
	}
	return h
}
