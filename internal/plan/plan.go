// Package plan estimates what a sweep will cost before it starts: cells, time with each
// strategy, and memory compared with that of the GPUs.
//
// A config, a checkpoint and the server's description of the model go in; a text comes
// out. The package measures nothing and writes no file.
package plan

import (
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// Input is what a plan is made from.
type Input struct {
	Config     config.Config
	Checkpoint *checkpoint.Checkpoint // of the out folder, nil where there is none
	// Model is from the server's /api/show; nil where it is not known, for the reason in NoModel.
	Model    *memory.Model
	NoModel  string
	Settings memory.Settings
	GPUBytes int64 // of memory of all GPUs together, 0 where that is not known
	// Shards is the largest number of machines to estimate a shared grid for, 0 for none.
	Shards int
	Now    time.Time
}

// Plan is the estimated cost of a sweep.
type Plan struct {
	Input
	Cells, LeftOut   []cell.Key
	Measured, Failed int // cells that are in the checkpoint and not to be measured again
	ToDo             int // cells that lack samples
	Pace             sweep.Pace
	Restart          Restart // of the server
	Costs            []Cost  // of each strategy, that of the config first
	// Sharing is the cost of the grid on several machines, nil where Shards is 0.
	Sharing *Sharing

	// Noise is the relative standard deviation of a sample, from the checkpoint; 0 where it is
	// not known.
	Noise float64

	axes     []cell.SettingAxis               // of the Cells, besides num_ctx and num_batch
	results  map[cell.Key]*checkpoint.Result  // of the checkpoint
	known    map[cell.Key]checkpoint.Measured // of the checkpoint, without failed cells to be retried
	forecast forecast
	repeats  int // automatic loads while the advice is unclear, at most
}

// Make estimates the cost. An error means that the input is not valid, see [Input.Check].
func Make(in Input) (*Plan, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	p, exhaustive := count(in)
	if in.Shards > 0 {
		p.Sharing = p.share()
	}
	var err error
	p.Costs, err = p.costs(exhaustive)
	return p, err
}

// count returns the plan with its cells counted and no Costs yet, and the cost of the exhaustive
// strategy.
func count(in Input) (*Plan, Cost) {
	p := &Plan{Input: in, Pace: sweep.AssumedPace}
	p.Cells, p.LeftOut = in.Config.Plan()
	p.axes, p.Restart = cell.SettingAxes(p.Cells), restartOf(&in.Config, in.Checkpoint)
	known := make(map[cell.Key]checkpoint.Measured)
	if in.Checkpoint != nil {
		known, p.results = in.Checkpoint.Measured(), in.Checkpoint.ByCell()
		if pace, ok := sweep.PaceOf(in.Checkpoint); ok {
			p.Pace = pace
		}
		p.Noise = sweep.Noise(in.Checkpoint)
	}
	p.forecast = p.makeForecast()
	p.known = known
	lacking, least := 0, 0 // prompts to measure; the fewest samples that a cell will have
	for _, c := range p.Cells {
		k := known[c]
		if k.Failed && in.Config.RetryFailed {
			delete(known, c)
			k = checkpoint.Measured{}
		}
		switch {
		case k.Failed:
			p.Failed++
		case len(k.Rates) >= in.Config.Repeat || k.Closed:
			p.Measured++
		default:
			p.ToDo++
			lacking += in.Config.Repeat - len(k.Rates)
		}
		if n := max(in.Config.Repeat, len(k.Rates)); !k.Failed && (least == 0 || n < least) {
			least = n
		}
	}
	p.repeats = p.repeatLoads(least)
	rounds := in.Config.Order == config.OrderRound
	every := sweep.Exhaustive{Repeat: in.Config.Repeat, Rounds: rounds}.Next(sweep.State{Plan: p.Cells, Measured: known})
	return p, Cost{Strategy: config.StrategyExhaustive, Loads: every.Left, Prompts: lacking, Least: every.Left, Most: every.Left, Restarts: p.exhaustiveRestarts()}
}
