package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// The cost of a measurement, in cells: a load takes about as long as three
// prompts.
const (
	loadCost   = 1 - promptCost
	promptCost = search.PromptShare
)

// Run is the result of one play of a strategy.
type Run struct {
	// Cost is in cells: a load with one prompt is 1, also where it fails or the cell
	// was measured before; each further prompt of the same load is 0.25.
	Cost  float64
	Share float64 // Cost relative to the number of cells in the plan
	// LoadShare is Loads relative to the number of cells in the plan.
	LoadShare float64
	Measured  int // cells that have a rate
	Failed    int // cells
	Samples   int // prompts
	Probes    int // readings of probes
	Loads     int
	Restarts  int     // of the server, for other settings of it
	Regret    float64 // by how much the recommended cell's true rate is below the highest: 0.02 is 2 %
	// Columns is the regret of the recommended cell of each num_ctx where any cell
	// works. A recommended cell that fails counts as 1.
	Columns []float64
	Steps   int           // calls of the strategy's Next
	Thought time.Duration // computing time of all these calls
	Why     string        // the reason for which the strategy ended

	settings cell.Settings // of the server, in the last load
}

// Play runs a strategy on a surface. The same seed gives the same measurements for
// the same choices.
func Play(s *Surface, strategy sweep.Strategy, seed uint64) Run {
	rng := rand.New(rand.NewPCG(seed, 1))
	state := sweep.State{Plan: s.Plan, Measured: make(map[cell.Key]checkpoint.Measured), Probes: s.Probes != nil, PromptTokens: s.PromptTokens}
	var run Run
	for {
		begun := time.Now()
		choice := strategy.Next(state)
		run.Thought += time.Since(begun)
		run.Steps++
		if len(choice.Cells) == 0 {
			run.Why = choice.Why
			run.Share = run.Cost / float64(len(s.Plan))
			run.LoadShare = float64(run.Loads) / float64(len(s.Plan))
			run.judge(s, state, choice.Answer)
			return run
		}
		for _, c := range choice.Cells {
			run.measure(s, &state, c, choice, rng)
		}
	}
}

func (run *Run) measure(s *Surface, state *sweep.State, c cell.Key, choice sweep.Choice, rng *rand.Rand) {
	if state.Loaded != c || choice.Reload {
		if run.Loads > 0 && run.settings != c.Settings.Server() {
			run.Restarts++
		}
		run.settings = c.Settings.Server()
		run.Cost += loadCost
		run.Loads++
		state.Loaded = c
	}
	if s.Rates[c] == 0 {
		run.Cost += promptCost
		run.Failed++
		state.Measured[c] = checkpoint.Measured{Failed: true, Memory: !s.Refused[c]}
		state.Loaded = cell.Key{}
		return
	}
	known := state.Measured[c]
	known.Size, known.SizeVRAM = s.Sizes[c].All, s.Sizes[c].VRAM
	if len(known.Rates) == 0 {
		run.Measured++
	}
	for len(known.Rates) < choice.Samples {
		run.Cost += promptCost
		run.Samples++
		known.Rates = append(known.Rates, s.reading(s.Rates[c], rng))
	}
	if len(choice.Probes) > 0 && !run.probe(s, &known, c, choice.Probes, rng) {
		state.Loaded = cell.Key{} // as in a sweep, so that it is not asked for ever
	}
	state.Measured[c] = known
}

// probe takes one reading of passes of each size under the load of the cell, and reports whether there
// are any. The server reads half a prompt before them.
func (run *Run) probe(s *Surface, known *checkpoint.Measured, c cell.Key, sizes []int, rng *rand.Rand) (any bool) {
	tokens := s.PromptTokens / 2
	for _, size := range sizes {
		rate, ok := s.Probes[c][size]
		if !ok {
			continue
		}
		tokens += size
		run.Probes++
		any = true
		known.Probes = checkpoint.AddReading(known.Probes, size, s.reading(rate, rng))
	}
	run.Cost += promptCost * float64(tokens) / float64(s.PromptTokens)
	return any
}

// judge compares an answer with the true rates. Without an answer it uses the cell with
// the highest measured rate, as a reader of the table would.
func (run *Run) judge(s *Surface, state sweep.State, answer *checkpoint.Answer) {
	columns := make(map[int]cell.Key)
	var best cell.Key
	if answer == nil {
		best, columns = highest(state)
	} else {
		best = answer.Best
		for _, c := range answer.Columns {
			columns[c.NumCtx] = c.Cell()
		}
	}
	run.Regret = 1 - s.Rates[best]/s.Best()
	if len(columns) == 0 {
		return
	}
	for _, column := range s.columns() {
		run.Columns = append(run.Columns, 1-s.Rates[columns[column.ctx]]/column.best)
	}
}

// highest returns the cell with the highest median, and that of each num_ctx.
func highest(s sweep.State) (best cell.Key, columns map[int]cell.Key) {
	columns = make(map[int]cell.Key)
	rate := func(c cell.Key) float64 {
		if rates := s.Measured[c].Rates; len(rates) > 0 {
			return verdict.Median(rates)
		}
		return 0
	}
	for _, c := range s.Plan {
		if rate(c) > rate(best) {
			best = c
		}
		if rate(c) > rate(columns[c.Ctx]) {
			columns[c.Ctx] = c
		}
	}
	return best, columns
}
