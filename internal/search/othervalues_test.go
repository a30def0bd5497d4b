package search_test

import (
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

// answered keeps the last answer of a strategy.
type answered struct {
	sweep.Strategy
	last *checkpoint.Answer
}

func (a *answered) Next(st sweep.State) sweep.Choice {
	choice := a.Strategy.Next(st)
	a.last = choice.Answer
	return choice
}

// TestOtherValuesCover: the intervals of what the recommended cell gains over other values of one setting
// contain the true gain in most cases, though few of those cells are measured.
func TestOtherValuesCover(t *testing.T) {
	race.SkipSequential(t)
	covered, clear, total := 0, 0, 0
	for seed := range uint64(3) {
		surfaces := simulate.DrawAxes(cell.Grid{Ctx: []int{4096, 8192, 16384, 32768}, Batch: []int{128, 256, 512, 1024, 2048}, Settings: []cell.SettingAxis{
			{Name: "num_thread", Values: []string{"2", "4", "8"}}, {Name: "flash_attention", Values: []string{"on", "off"}}, {Name: "kv_cache_type", Values: []string{"f16", "q8_0"}},
		}}, seed+1)
		for _, s := range surfaces {
			a := &answered{Strategy: &search.Best{Tolerance: 0.01}}
			simulate.Play(s, a, seed)
			for _, o := range a.last.Others {
				other := a.last.Best.With(o.Setting, o.Value)
				require.Contains(t, s.Plan, other)
				if s.Rates[other] == 0 {
					continue // it fails
				}
				gain := s.Rates[a.last.Best]/s.Rates[other] - 1
				total++
				if o.Low <= gain && gain <= o.High {
					covered++
				}
				if o.Low > 0 || o.High < 0 {
					clear++
				}
			}
		}
	}
	t.Logf("%d of %d intervals contain the true gain; %d exclude 0", covered, total, clear)
	assert.Greater(t, total, 50)
	assert.Greater(t, float64(covered), 0.9*float64(total))
}
