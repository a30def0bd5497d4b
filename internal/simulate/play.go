package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// What a measurement costs, in cells: a load takes about as long as three
// prompts.
const (
	loadCost   = 0.75
	promptCost = 0.25
)

// Run is what one play of a strategy came to.
type Run struct {
	// Cost is in cells: a load with one prompt is 1, whether it fails or not and
	// whether the cell was measured before or not; each further prompt of the
	// same load is 0.25.
	Cost  float64
	Share float64 // Cost in parts of the plan
	// LoadShare is Loads in parts of the plan's cells.
	LoadShare float64
	Measured  int // cells that have a rate
	Failed    int // cells
	Samples   int // prompts
	Loads     int
	Regret    float64 // by how much the recommended cell's true rate is below the highest: 0.02 is 2 %
	// Columns is the same for the recommended cell of each num_ctx that has a
	// rate at all. A recommended cell that fails counts as 1.
	Columns []float64
	Steps   int           // questions to the strategy
	Thought time.Duration // that these took together
	Why     string        // it ended
}

// Play has a strategy search a surface. The same seed gives the same
// measurements for the same questions.
func Play(s *Surface, strategy sweep.Strategy, seed uint64) Run {
	rng := rand.New(rand.NewPCG(seed, 1))
	state := sweep.State{Plan: s.Plan, Known: make(map[cell.Key]checkpoint.Known)}
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
		run.Cost += loadCost
		run.Loads++
		state.Loaded = c
	}
	if s.Rates[c] == 0 {
		run.Cost += promptCost
		run.Failed++
		state.Known[c] = checkpoint.Known{Failed: true, Memory: true}
		state.Loaded = cell.Key{}
		return
	}
	known := state.Known[c]
	known.Size, known.SizeVRAM = s.Sizes[c].All, s.Sizes[c].VRAM
	if len(known.Rates) == 0 {
		run.Measured++
	}
	for len(known.Rates) < choice.Samples {
		run.Cost += promptCost
		run.Samples++
		known.Rates = append(known.Rates, s.sample(c, rng))
	}
	state.Known[c] = known
}

// judge holds an answer against the truth. Without one, the cell with the highest
// rate is taken for it, as somebody would who looks at a table.
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
		if rates := s.Known[c].Rates; len(rates) > 0 {
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
