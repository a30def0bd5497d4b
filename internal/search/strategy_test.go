package search_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/search"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
)

var strategies = map[string]func() sweep.Strategy{
	"best":     func() sweep.Strategy { return &search.Best{Tolerance: 0.01} },
	"frontier": func() sweep.Strategy { return &search.Frontier{Tolerance: 0.01} },
}

func surface(t testing.TB, name string) *simulate.Surface {
	t.Helper()
	s, err := simulate.Read(filepath.Join("..", "simulate", "testdata", name+".json"))
	require.NoError(t, err)
	return s
}

// runSearch runs a strategy on a function of cells, with little noise; a rate of 0
// is a failure for lack of memory. It fails the test where the strategy chooses a
// cell that it must not.
func runSearch(t *testing.T, s sweep.Strategy, plan []cell.Key, rate func(cell.Key) float64) (sweep.State, sweep.Choice) {
	t.Helper()
	st := sweep.State{Plan: plan, Measured: make(map[cell.Key]checkpoint.Measured)}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 8*len(plan) + 1 {
		choice := s.Next(st)
		require.NotNil(t, choice.Answer)
		require.NotEmpty(t, choice.Why)
		if len(choice.Cells) == 0 {
			assert.True(t, choice.Answer.Done)
			return st, choice
		}
		require.Len(t, choice.Cells, 1)
		c := choice.Cells[0]
		known := st.Measured[c]
		require.Contains(t, plan, c)
		require.False(t, known.Failed || known.Closed, "%v is chosen again", c)
		require.Greater(t, choice.Samples, len(known.Rates))
		require.True(t, len(known.Rates) == 0 || st.Loaded == c || choice.Why == doubted, "only the loaded cell, or a recommended one that is doubted, gets more samples")
		st.Loaded = c
		for len(known.Rates) < choice.Samples && !known.Failed {
			if v := rate(c); v > 0 {
				known.Rates = append(known.Rates, v*math.Exp(0.005*rng.NormFloat64()))
			} else {
				known, st.Loaded = checkpoint.Measured{Failed: true, Memory: true}, cell.Key{}
			}
		}
		st.Measured[c] = known
	}
	require.Fail(t, "the search does not end")
	return st, sweep.Choice{}
}

func grid(ctxs, batches int) []cell.Key {
	var plan []cell.Key
	for i := range ctxs {
		for j := range batches {
			plan = append(plan, cell.Key{Ctx: 8192 + 2048*i, Batch: 128 * (j + 1)})
		}
	}
	return plan
}

// TestUnusualSurfaces: surfaces with little or nothing to find.
func TestUnusualSurfaces(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates searches for a second")
	}
	rising := func(c cell.Key) float64 { return float64(c.Batch) }
	for _, test := range []struct {
		name string
		plan []cell.Key
		rate func(cell.Key) float64
	}{
		{"one cell", grid(1, 1), rising},
		{"two cells", grid(1, 2), rising},
		{"one num_ctx", grid(1, 16), rising},
		{"one num_batch", grid(16, 1), func(c cell.Key) float64 { return 1e6 / float64(c.Ctx) }},
		{"all the same", grid(10, 10), func(cell.Key) float64 { return 80 }},
		{"tiny rates", grid(10, 10), func(c cell.Key) float64 { return 1e-9 * rising(c) }},
		{"huge rates", grid(10, 10), func(c cell.Key) float64 { return 1e12 * rising(c) }},
		{"rates of all magnitudes", grid(10, 10), func(c cell.Key) float64 { return math.Pow(10, rising(c)/100) }},
		{"a triangle", slices.DeleteFunc(grid(10, 10), func(c cell.Key) bool { return 8*c.Batch > c.Ctx-4000 }), rising},
		{"one cell works", grid(5, 5), func(c cell.Key) float64 {
			if c == (cell.Key{Ctx: 8192, Batch: 128}) {
				return 5
			}
			return 0
		}},
	} {
		for name, strategy := range strategies {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				_, choice := runSearch(t, strategy(), test.plan, test.rate)
				var best float64
				for _, c := range test.plan {
					best = max(best, test.rate(c))
				}
				if name == "best" {
					assert.GreaterOrEqual(t, test.rate(choice.Answer.Best), 0.95*best)
				}
				assert.LessOrEqual(t, choice.Answer.Low, choice.Answer.Rate)
				assert.LessOrEqual(t, choice.Answer.Rate, choice.Answer.High)
			})
		}
	}
}

func TestNothingWorks(t *testing.T) {
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			st, choice := runSearch(t, strategy(), grid(4, 4), func(cell.Key) float64 { return 0 })
			assert.Equal(t, &checkpoint.Answer{Done: true, Why: "no cell is left to measure"}, choice.Answer)
			assert.Len(t, st.Measured, 16)
		})
	}
}

// TestChoiceDependsOnStateOnly: a new search makes the same choice at every step, as
// after a sweep that was killed.
func TestChoiceDependsOnStateOnly(t *testing.T) {
	race.SkipSequential(t)
	s := surface(t, "tiles-39x16")
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			one := strategy()
			rng := rand.New(rand.NewPCG(2, 2))
			st := sweep.State{Plan: s.Plan, Measured: make(map[cell.Key]checkpoint.Measured)}
			for range 16 {
				choice := one.Next(st)
				require.Equal(t, strategy().Next(st), choice)
				if len(choice.Cells) == 0 {
					return
				}
				c := choice.Cells[0]
				k := st.Measured[c]
				for len(k.Rates) < choice.Samples {
					k.Rates = append(k.Rates, s.Rates[c]*math.Exp(0.01*rng.NormFloat64()))
				}
				st.Measured[c], st.Loaded = k, c
			}
		})
	}
}

// TestUsesExistingResults: a search uses the results of an exhaustive sweep, or of
// another shard.
func TestUsesExistingResults(t *testing.T) {
	s := surface(t, "saturating-12x8")
	known := make(map[cell.Key]checkpoint.Measured)
	for _, c := range s.Plan[:len(s.Plan)/2] {
		known[c] = checkpoint.Measured{Rates: []float64{s.Rates[c]}}
	}
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			choice := strategy().Next(sweep.State{Plan: s.Plan, Measured: known})
			if len(choice.Cells) > 0 {
				assert.NotContains(t, known, choice.Cells[0])
			}
			assert.InDelta(t, s.Best(), s.Rates[choice.Answer.Best], 0.02*s.Best())
			rest := s.Plan[len(s.Plan)/2:]
			choice = strategy().Next(sweep.State{Plan: rest, Measured: known})
			for _, c := range choice.Cells {
				assert.Contains(t, rest, c, "cells outside of the plan are used, and not measured")
			}
			for _, c := range choice.Answer.Columns {
				assert.GreaterOrEqual(t, c.NumCtx, rest[0].Ctx)
			}
		})
	}
}

func TestSkipsClosedCells(t *testing.T) {
	plan := grid(12, 8)
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			known := make(map[cell.Key]checkpoint.Measured)
			for _, c := range plan {
				if c.Ctx != plan[40].Ctx {
					known[c] = checkpoint.Measured{Closed: true}
				}
			}
			for {
				choice := strategy().Next(sweep.State{Plan: plan, Measured: known})
				if len(choice.Cells) == 0 {
					assert.Equal(t, plan[40].Ctx, choice.Answer.Best.Ctx)
					return
				}
				require.Equal(t, plan[40].Ctx, choice.Cells[0].Ctx)
				known[choice.Cells[0]] = checkpoint.Measured{Rates: []float64{float64(choice.Cells[0].Batch)}}
			}
		})
	}
}

// TestFindsTheEdgeOfMemory: the search bisects to the edge and does not walk along it.
// Beyond the edge the rates would be the highest.
func TestFindsTheEdgeOfMemory(t *testing.T) {
	race.SkipSequential(t)
	plan := grid(16, 16)
	rate := func(c cell.Key) float64 {
		if float64(c.Ctx)/38912+0.25*float64(c.Batch)/2048 > 0.8 {
			return 0
		}
		return 100 / (1 + 300/float64(c.Batch))
	}
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			st, choice := runSearch(t, strategy(), plan, rate)
			var failed int
			for _, k := range st.Measured {
				if k.Failed {
					failed++
				}
			}
			assert.Less(t, failed, map[string]int{"best": 5, "frontier": 33}[name], "of 109 that fail, at 9 num_ctx")
			assert.Greater(t, rate(choice.Answer.Best), 0.98*rate(cell.Key{Ctx: 8192, Batch: 2048}))
			for _, c := range choice.Answer.Columns {
				assert.Positive(t, rate(c.Cell()), "%+v", c)
			}
		})
	}
}

// TestFindsTheFastest runs on one surface of each kind; scripts/simulate runs on more.
func TestFindsTheFastest(t *testing.T) {
	race.SkipSequential(t)
	surfaces := []*simulate.Surface{surface(t, "saturating-12x8"), surface(t, "memory-39x16"), surface(t, "tiles-39x16")}
	surfaces = append(surfaces, simulate.Generate(len(simulate.Kinds), 1)...)
	c := simulate.Compare(surfaces, simulate.Options{Strategies: []string{"best"}, Seeds: 2, Tolerance: 0.01})
	scores := make(map[string]simulate.Score)
	for _, s := range c.Overall {
		if s.Surfaces == "all" {
			scores[s.Strategy] = s
		}
	}
	assert.Less(t, scores["best"].MaxCells, 60.0)
	assert.Less(t, scores["best"].Mean, 1.2)
	assert.Less(t, scores["best"].Mean, scores["golden"].Mean/2)
	assert.Less(t, scores["best"].Mean, scores["random"].Mean/2)
}

func TestRepeat(t *testing.T) {
	for name, strategy := range map[string]sweep.Strategy{
		"best": &search.Best{Tolerance: 0.01, Repeat: 3}, "frontier": &search.Frontier{Tolerance: 0.01, Repeat: 3},
	} {
		t.Run(name, func(t *testing.T) {
			st, _ := runSearch(t, strategy, grid(5, 5), func(c cell.Key) float64 { return float64(c.Batch) })
			for c, k := range st.Measured {
				assert.GreaterOrEqual(t, len(k.Rates), 3, c)
			}
		})
	}
}

// FuzzNext: whatever the state, a search chooses an open cell of the plan or ends, and
// its figures are finite.
func FuzzNext(f *testing.F) {
	f.Add(uint64(1), uint8(12), uint8(8), uint8(40))
	f.Add(uint64(2), uint8(1), uint8(1), uint8(255))
	f.Fuzz(func(t *testing.T, seed uint64, ctxs, batches, share uint8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		plan := grid(1+int(ctxs)%20, 1+int(batches)%20)
		st := sweep.State{Plan: plan, Measured: make(map[cell.Key]checkpoint.Measured)}
		for _, c := range grid(22, 22) {
			if rng.IntN(256) >= int(share) {
				continue
			}
			k := checkpoint.Measured{Closed: rng.IntN(5) == 0}
			switch rng.IntN(4) {
			case 0:
				k = checkpoint.Measured{Failed: true, Memory: rng.IntN(2) == 0}
			default:
				for range rng.IntN(5) {
					k.Rates = append(k.Rates, math.Exp(20*rng.NormFloat64()))
				}
			}
			if k.Closed || k.Failed || len(k.Rates) > 0 {
				st.Measured[c] = k
				st.Loaded = c
			}
		}
		for name, strategy := range strategies {
			choice := strategy().Next(st)
			for _, c := range choice.Cells {
				k := st.Measured[c]
				require.Contains(t, plan, c, name)
				require.False(t, k.Closed || k.Failed, name)
				require.Greater(t, choice.Samples, len(k.Rates), name)
			}
			for _, v := range []float64{choice.Answer.Rate, choice.Answer.Low, choice.Answer.High, choice.Answer.Chance} {
				require.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%s: %+v", name, choice.Answer)
			}
		}
	})
}

// BenchmarkNext measures one call of Next, with as many measured cells as at the end
// of a search.
func BenchmarkNext(b *testing.B) {
	for _, size := range []struct{ ctxs, batches int }{{40, 16}, {100, 32}} {
		for name, strategy := range strategies {
			known := map[string]int{"best": 25, "frontier": 64}[name]
			b.Run(fmt.Sprintf("%s/cells=%d", name, size.ctxs*size.batches), func(b *testing.B) {
				plan := grid(size.ctxs, size.batches)
				rng := rand.New(rand.NewPCG(1, 1))
				st := sweep.State{Plan: plan, Measured: make(map[cell.Key]checkpoint.Measured)}
				for _, i := range rng.Perm(len(plan))[:known] {
					st.Measured[plan[i]] = checkpoint.Measured{Rates: []float64{1000 / (1 + 200/float64(plan[i].Batch)) * math.Exp(0.01*rng.NormFloat64())}}
				}
				s := strategy()
				s.Next(st)
				for i := 0; b.Loop(); i++ {
					st.Measured[plan[0]] = checkpoint.Measured{Rates: []float64{700 + float64(i%7)}} // so that the model can't be kept
					s.Next(st)
				}
			})
		}
	}
}
