package plan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

// steps returns n values, starting at first.
func steps(first, step, n int) []int {
	values := make([]int, n)
	for i := range values {
		values[i] = first + i*step
	}
	return values
}

// uniform returns a sweep in which every cell took ten seconds for the load and two for the
// prompt, on a machine with five GPUs.
func uniform(columns, rows int) Input {
	in := Input{Config: configOf(steps(8192, 2048, columns), steps(128, 128, rows)), Checkpoint: new(checkpoint.Checkpoint), Now: noon}
	in.Checkpoint.Sweep.GPU = make([]string, 5)
	cells, _ := in.Config.Plan()
	for _, c := range cells {
		in.Checkpoint.Results = append(in.Checkpoint.Results, takes(c, 10*time.Second, 2*time.Second))
	}
	return in
}

func takes(c cell.Key, load, prompt time.Duration) checkpoint.Result {
	r := measured(c.Ctx, c.Batch, 0, 0)
	r.Samples[0].Wall, r.Warmup.Wall = prompt, load
	return r
}

// onHosts adds two measurements of two cells by each host, at its tokens per second.
func onHosts(in Input, rates map[string]float64) Input {
	for host, rate := range rates {
		for _, c := range in.Checkpoint.Results[:2] {
			for _, noise := range []float64{0.999, 1.001} {
				r := takes(c.Cell(), 10*time.Second, 2*time.Second)
				noisy := rate * noise
				r.PromptEvalRate = &noisy
				in.Checkpoint.Auxiliary = append(in.Checkpoint.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.HostCheck, Host: host, Result: r})
			}
		}
	}
	return in
}

func share(t *testing.T, in Input, shards int) *Sharing {
	t.Helper()
	in.Shards = shards
	require.NoError(t, in.Check())
	p, _ := count(in)
	return p.share()
}

func TestShardsTexts(t *testing.T) {
	race.SkipSequential(t)
	assumed := Input{Config: configOf(steps(32768, 2048, 39), steps(128, 128, 16)), NoModel: "the server does not answer", Now: noon, Shards: 100}
	differ := onHosts(uniform(12, 8), map[string]float64{"node1": 1000, "node2": 990, "node3": 700})
	differ.Shards = 10
	searching := midway()
	searching.Config.Strategy, searching.Shards = config.StrategyBest, 5
	small := Input{Config: configOf([]int{8192, 16384}, []int{256, 512}), NoModel: "the server does not answer", Now: noon, Shards: 4}
	large := uniform(4, 4)
	for i := range large.Checkpoint.Results {
		large.Checkpoint.Results[i] = takes(large.Checkpoint.Results[i].Cell(), 100*time.Millisecond, 100*time.Millisecond)
	}
	large.Config = configOf(steps(8192, 64, 500), steps(8, 8, 500))
	large.Shards = 1000
	for name, in := range map[string]Input{
		"shards_assumed": assumed, "shards_of_hosts_that_differ": differ, "shards_searching": searching,
		"shards_of_few_cells": small, "shards_of_many_cells": large,
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := count(in)
			p.Sharing = p.share()
			var b strings.Builder
			p.printShards(&b)
			golden.Equal(t, name+".txt", b.String())
		})
	}
}

// TestShardTimes: for uniform cells the times follow from arithmetic.
func TestShardTimes(t *testing.T) {
	s := share(t, uniform(10, 10), 10)
	assert.Equal(t, 1200*time.Second, s.Work)
	assert.Equal(t, 12*time.Second, s.Longest)
	assert.Equal(t, 5, s.GPUs)
	assert.Equal(t, 100, s.Measured)
	const prompt = 12 * time.Second                        // to determine its length
	const hosts = 2*2*10*time.Second + 2*2*3*2*time.Second // two cells twice, three samples of each
	assert.Equal(t, prompt+hosts, s.Fixed)
	assert.Equal(t, 15, s.MostUseful(), "1,200 s by 76 s")
	require.Len(t, s.Costs, 4)
	for i, want := range []ShardCost{
		{Shards: 1, Largest: 100, Time: prompt + 1200*time.Second, GPU: 5 * (prompt + 1200*time.Second)},
		{Shards: 2, Largest: 50, Time: s.Fixed + 600*time.Second + mergeStart, GPU: 5 * (2*s.Fixed + 1200*time.Second)},
		{Shards: 5, Largest: 20, Time: s.Fixed + 240*time.Second + mergeStart, GPU: 5 * (5*s.Fixed + 1200*time.Second)},
		{Shards: 10, Largest: 10, Time: s.Fixed + 120*time.Second + mergeStart, GPU: 5 * (10*s.Fixed + 1200*time.Second)},
	} {
		got := s.Costs[i]
		assert.Equal(t, want.Shards, got.Shards)
		assert.Equal(t, want.Largest, got.Largest)
		assert.InDelta(t, want.Time.Seconds(), got.Time.Seconds(), 0.1, "saving and merging a hundred cells take almost no time")
		assert.Equal(t, got.Time, got.P95, "all simulations are the same")
		assert.InDelta(t, want.GPU.Seconds(), got.GPU.Seconds(), 0.1)
		assert.InDelta(t, 5*1200/want.GPU.Seconds(), got.Cells, 1e-3)
	}
	assert.Zero(t, s.Costs[0].Merge, "one machine's checkpoint needs no merge")
	assert.Greater(t, s.Costs[1].Merge, mergeStart)
}

// TestTheSlowestShardCounts: a host of half the speed delays the end, and with more machines
// one is likelier to be among them.
func TestTheSlowestShardCounts(t *testing.T) {
	in := uniform(10, 10)
	for i := range in.Checkpoint.Results {
		in.Checkpoint.Results[i] = takes(in.Checkpoint.Results[i].Cell(), time.Second, 20*time.Second)
	}
	same := share(t, in, 5)
	// Rates are relative to the geometric mean of all hosts: the fast ones are a little above.
	differ := share(t, onHosts(in, map[string]float64{"a": 1000, "b": 1000, "c": 1000, "d": 1000, "e": 500}), 5)
	assert.Equal(t, 5, differ.Hosts)
	one, five := differ.Costs[0], differ.Costs[len(differ.Costs)-1]
	assert.InDelta(t, 1, float64(one.Time)/float64(same.Costs[0].Time), 0.2, "one machine is rarely the slow one")
	slow := float64(five.P95) / float64(same.Costs[len(same.Costs)-1].Time)
	assert.Greater(t, slow, 1.5, "one of five often is")
	assert.Less(t, slow, 2.1)
	assert.Greater(t, five.P95, five.Time/2)
	assert.Less(t, five.GPU, 2*same.Costs[len(same.Costs)-1].GPU, "the others end earlier, and release their GPUs")
}

// TestTimingsComeFromNearestCells: large contexts take longer, and so do unmeasured cells near
// them.
func TestTimingsComeFromNearestCells(t *testing.T) {
	in := Input{Config: configOf([]int{1024, 2048, 65536, 131072}, []int{64, 128, 256, 512}), Checkpoint: new(checkpoint.Checkpoint), Now: noon}
	for _, batch := range []int{64, 128, 256, 512} {
		for _, ctx := range []int{1024, 1536} {
			in.Checkpoint.Results = append(in.Checkpoint.Results, takes(cell.Key{Ctx: ctx, Batch: batch}, time.Second, time.Second))
		}
		for _, ctx := range []int{65536, 98304} {
			in.Checkpoint.Results = append(in.Checkpoint.Results, takes(cell.Key{Ctx: ctx, Batch: batch}, 40*time.Second, 20*time.Second))
		}
	}
	p, _ := count(in)
	g := p.newGridModel(p.Cells)
	drawn := g.draw(rand.New(rand.NewPCG(1, 1)))
	for i, c := range p.Cells {
		want := 2 * time.Second
		if c.Ctx > 10_000 {
			want = time.Minute
		}
		assert.Equal(t, want, drawn.loads[i]+drawn.prompts[i], c)
	}
	assert.Equal(t, time.Minute, drawn.longest)
}

func TestRoundsReloadForEachSample(t *testing.T) {
	in := uniform(10, 10)
	in.Config.Repeat = 3
	cells := share(t, in, 2).Work
	assert.Equal(t, 100*(10+3*2)*time.Second, cells)
	in.Config.Order = config.OrderRound
	assert.Equal(t, 100*3*(10+2)*time.Second, share(t, in, 2).Work)
	in.Checkpoint = nil
	assert.Equal(t, 100*3*(sweep.AssumedPace.Load+sweep.AssumedPace.Prompt), share(t, in, 2).Work)
}

// TestFailuresTakeTheirTime: a cell fails where the nearest measured one did; a timeout takes
// the cell timeout, another failure a load for each attempt.
func TestFailuresTakeTheirTime(t *testing.T) {
	timeout, memory := measurement.Timeout, measurement.OutOfGPUMemory
	in := uniform(1, 4)
	in.Config.CellTimeout = 5 * time.Minute
	in.Checkpoint.Results[2] = checkpoint.Result{NumCtx: 8192, NumBatch: 384, Error: &timeout}
	in.Checkpoint.Results[3] = checkpoint.Result{NumCtx: 8192, NumBatch: 512, Error: &memory, Retries: 2}
	assert.Equal(t, 2*12*time.Second+5*time.Minute+3*10*time.Second, share(t, in, 2).Work)

	in.Checkpoint.Results = []checkpoint.Result{{NumCtx: 8192, NumBatch: 128, Error: &memory}, measured(8192, 256, 0, 0)}
	in.Checkpoint.Results[1].Samples = nil // as in a checkpoint of an older version
	s := share(t, in, 2)
	assert.Equal(t, 1, s.Measured, "a cell without a sample has no timing")
	assert.Equal(t, 4*90*time.Second, s.Work)
	in.Checkpoint.Results = in.Checkpoint.Results[1:]
	assert.Zero(t, share(t, in, 2).Measured)
}

func TestShardsAreChecked(t *testing.T) {
	for want, change := range map[string]func(*Input){
		"-shards: -1 is below 2: give the number of machines":                   func(in *Input) { in.Shards = -1 },
		"-shards: 1 is below 2":                                                 func(in *Input) { in.Shards = 1 },
		"-shards: 17 are more than the 16 cells: each shard needs at least one": func(in *Input) { in.Shards = 17 },
		"-shards plans all shards of the grid: leave -shard 1/2 out":            func(in *Input) { in.Shards, in.Config.Shard = 4, cell.Shard{Index: 1, Count: 2} },
		"redo: which cells -run names is not known here: leave it out to":       func(in *Input) { in.Config.Redo = true },
	} {
		in := uniform(4, 4)
		change(&in)
		_, err := Make(in)
		assert.ErrorContains(t, err, want)
	}
	assert.Len(t, share(t, uniform(4, 4), 16).Costs, 5, "1, 2, 5, 10 and 16")
}

func TestShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"7ms": 7123 * time.Microsecond, "2.3s": 2345 * time.Millisecond, "3m4s": 184*time.Second + 300*time.Millisecond,
		"20h53m": 20*time.Hour + 53*time.Minute + 10*time.Second, "1354.2 days": 32500 * time.Hour,
	} {
		assert.Equal(t, want, short(d))
	}
}

func TestSeries(t *testing.T) {
	assert.Equal(t, []int{1, 2}, series(2))
	assert.Equal(t, []int{1, 2, 5, 10}, series(10))
	assert.Equal(t, []int{1, 2, 5, 10, 20, 50, 64}, series(64))
}

func TestHours(t *testing.T) {
	assert.Equal(t, "0.00585", hours(21*time.Second+60*time.Millisecond))
	assert.Equal(t, "20.5", hours(20*time.Hour+30*time.Minute))
	assert.Equal(t, "12,346", hours(12345*time.Hour+31*time.Minute))
}

// TestScaleTables: the tables of docs/clusters.md are the plan's.
func TestScaleTables(t *testing.T) {
	race.SkipSequential(t)
	doc, err := os.ReadFile("../../docs/clusters.md")
	require.NoError(t, err)
	for _, pace := range []struct {
		name         string
		load, prompt time.Duration
		gpus         int
	}{
		{"scale_large_model", 90 * time.Second, 30 * time.Second, 5},
		{"scale_demo", 277 * time.Millisecond, 439 * time.Millisecond, 1},
	} {
		t.Run(pace.name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("| cells | machines | time | GPU hours | for cells | largest shard | merge |\n")
			b.WriteString("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
			for _, grid := range [][2]int{{39, 16}, {100, 100}, {1000, 1000}} {
				in := Input{Config: configOf(steps(8192, 64, grid[0]), steps(8, 8, grid[1])), Checkpoint: new(checkpoint.Checkpoint), Now: noon}
				in.Checkpoint.Sweep.GPU = make([]string, pace.gpus)
				rng := rand.New(rand.NewPCG(1, 1))
				around := func(d time.Duration) time.Duration { return time.Duration(float64(d) * (0.9 + 0.2*rng.Float64())) }
				for _, c := range thinned(in.Config.NumCtx.List, 8) {
					for _, batch := range thinned(in.Config.NumBatch.List, 8) {
						r := takes(cell.Key{Ctx: c, Batch: batch}, around(pace.load), around(pace.prompt))
						// As large in the file as a real result.
						sample := &r.Samples[0]
						sample.EvalCount, sample.EvalDuration, sample.LoadDuration, sample.TotalDuration = 2, around(time.Second), around(time.Second), sample.Wall
						for i := range pace.gpus {
							sample.GPU = append(sample.GPU, measurement.GPU{Index: i, TemperatureC: 61, SMClockMHz: 1755, PowerW: 412.5, MemoryMiB: 41210, Utilization: 100})
						}
						warm := *sample
						warm.Wall = r.Warmup.Wall
						r.Timestamp, r.Warmup, r.ContextLength, r.Size, r.SizeVRAM, r.Settings = noon, &warm, c, 40e9, 40e9, checkpoint.SettingsVerified
						in.Checkpoint.Results = append(in.Checkpoint.Results, r)
					}
				}
				in = onHosts(in, map[string]float64{"a": 1000, "b": 1010, "c": 990, "d": 1005, "e": 950})
				s := share(t, in, min(1000, grid[0]*grid[1]))
				for _, c := range s.Costs {
					if slices.Contains([]int{1, 10, 100, 624, 1000}, c.Shards) {
						fmt.Fprintf(&b, "| %s | %d | %v | %s | %.0f %% | %d | %v |\n", humanize.Comma(int64(grid[0]*grid[1])), c.Shards, short(c.Time), hours(c.GPU), 100*c.Cells, c.Largest, short(c.Merge))
					}
				}
			}
			golden.Equal(t, pace.name+".md", b.String())
			assert.Contains(t, string(doc), b.String())
		})
	}
}
