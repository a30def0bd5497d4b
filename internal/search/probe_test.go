package search_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

// probedSurface returns a surface of 12 × 8 cells whose probes differ from the cells' rates by that, on the
// logarithm.
func probedSurface(t *testing.T, wrong func(size int) float64) *simulate.Surface {
	s := surface(t, "saturating-12x8")
	s.PromptTokens = 7000
	addProbes(s, wrong)
	return s
}

// addProbes gives a surface probes that differ from the cells' rates by that, on the logarithm.
func addProbes(s *simulate.Surface, wrong func(size int) float64) {
	s.Probes = make(map[cell.Key]map[int]float64)
	for c := range s.Rates {
		s.Probes[c] = make(map[int]float64)
		for k, rate := range s.Rates {
			if k.Ctx == c.Ctx && k.Batch <= c.Batch {
				s.Probes[c][k.Batch] = rate * math.Exp(wrong(k.Batch))
			}
		}
	}
}

// plays returns the mean cost and regret of ten plays.
func plays(s *simulate.Surface, name string) (cost, regret float64) {
	var costs, regrets []float64
	for seed := range uint64(10) {
		run := simulate.Play(s, strategies[name](), seed)
		costs, regrets = append(costs, run.Cost), append(regrets, run.Regret)
	}
	return stat.Mean(costs, nil), stat.Mean(regrets, nil)
}

// TestProbesSaveLoads: with probes a search costs less and loses no more, and where they mislead by 8 %
// from size to size it does not believe them.
func TestProbesSaveLoads(t *testing.T) {
	race.SkipSequential(t)
	alternating := func(size int) float64 { return 0.08 * float64(1-2*(size/256%2)) }
	for _, name := range []string{config.StrategyBest, config.StrategyFrontier} {
		t.Run(name, func(t *testing.T) {
			right := probedSurface(t, func(int) float64 { return 0 })
			plain := *right
			plain.Probes = nil
			cost, regret := plays(&plain, name)
			probedCost, probedRegret := plays(right, name)
			_, misledRegret := plays(probedSurface(t, alternating), name)
			t.Logf("cost %.1f, with probes %.1f; regret %.4f, with probes %.4f, with misleading ones %.4f", cost, probedCost, regret, probedRegret, misledRegret)
			assert.Less(t, probedCost, 0.8*cost)
			assert.Less(t, probedRegret, 0.01)
			assert.Less(t, misledRegret, 0.02)
		})
	}
}

// TestProbesWithAFixedTime: where each pass takes a fixed time besides that of its tokens, small passes are slow. A
// search must not take small num_batch for slow then.
func TestProbesWithAFixedTime(t *testing.T) {
	race.SkipSequential(t)
	plan, _ := cell.Grid{
		Ctx:   []int{1024, 2048, 4096, 8192},
		Batch: []int{8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512},
	}.Cells()
	const tokens = 7 // that are read in the fixed time
	s := &simulate.Surface{Plan: plan, Rates: make(map[cell.Key]float64), PromptTokens: 1000, Noise: 0.02}
	for _, c := range plan {
		s.Rates[c] = 20000 * (1 - 0.05*math.Log2(float64(c.Batch)/8))
	}
	addProbes(s, func(size int) float64 { return -math.Log1p(tokens / float64(size)) })
	for _, name := range []string{config.StrategyBest, config.StrategyFrontier} {
		cost, regret := plays(s, name)
		t.Logf("%s: cost %.1f, regret %.4f", name, cost, regret)
		assert.Less(t, regret, 0.03, name)
	}
}

// TestProbesOnAGPU: on an H200 the probes of a load were 3 to 41 % slower than prompts, each size by
// another factor. A search must not take the loaded num_batch for the fastest since its prompt is faster than
// all probes.
func TestProbesOnAGPU(t *testing.T) {
	race.SkipSequential(t)
	for _, name := range []string{config.StrategyBest, config.StrategyFrontier} {
		cost, regret := plays(surface(t, "h200-4x6"), name)
		t.Logf("%s: cost %.1f, regret %.4f", name, cost, regret)
		assert.Less(t, regret, 0.02, name)
	}
}

// TestProbesOfALoad checks which probes a search asks for: of the loaded cell, up to its num_batch and
// to the length of a prompt, and never as a recommendation.
func TestProbesOfALoad(t *testing.T) {
	var plan []cell.Key
	for _, ctx := range []int{4096, 8192, 16384} {
		for _, batch := range []int{64, 128, 256, 512} {
			plan = append(plan, cell.Key{Ctx: ctx, Batch: batch})
		}
	}
	loaded := cell.Key{Ctx: 4096, Batch: 512}
	for name, s := range strategies {
		t.Run(name, func(t *testing.T) {
			st := sweep.State{Plan: plan, Loaded: loaded, PromptTokens: 300, Measured: map[cell.Key]checkpoint.Measured{loaded: {Rates: []float64{100}}}}
			choice := s().Next(st)
			assert.Empty(t, choice.Probes, "loads can't be probed")

			st.Probes = true
			choice = s().Next(st)
			assert.Equal(t, []cell.Key{loaded}, choice.Cells)
			assert.Equal(t, 1, choice.Samples)
			assert.Equal(t, []int{64, 128, 256}, choice.Probes)

			known := st.Measured[loaded]
			for _, size := range choice.Probes {
				known.Probes = append(known.Probes, checkpoint.ProbeRates{NumBatch: size, Rates: slices.Repeat([]float64{400}, 4)})
			}
			st.Measured[loaded] = known
			choice = s().Next(st)
			assert.Empty(t, choice.Probes, "four readings of each are enough")
			require.NotNil(t, choice.Answer)
			assert.Equal(t, loaded, choice.Answer.Best, "only measured cells are recommended")

			st.Loaded = cell.Key{}
			choice = s().Next(st)
			require.Len(t, choice.Cells, 1)
			assert.NotEqual(t, loaded, choice.Cells[0], "another load is needed")
		})
	}
}

// TestProbesOfOtherSizes: probes of sizes that are no num_batch of the plan do no harm.
func TestProbesOfOtherSizes(t *testing.T) {
	plan := []cell.Key{{Ctx: 1024, Batch: 64}, {Ctx: 1024, Batch: 128}}
	st := sweep.State{Plan: plan, Probes: true, PromptTokens: 7000, Measured: map[cell.Key]checkpoint.Measured{
		plan[1]: {Rates: []float64{100}, Probes: []checkpoint.ProbeRates{{NumBatch: 7, Rates: []float64{3}}, {NumBatch: 64}}},
	}}
	choice := (&search.Best{Tolerance: 0.01}).Next(st)
	assert.Equal(t, []cell.Key{plan[0]}, choice.Cells)
}
