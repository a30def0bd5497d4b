package simulate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// TestGenerateAxes: each kind has its difficulty.
func TestGenerateAxes(t *testing.T) {
	surfaces := GenerateAxes(6, 1)
	assert.Equal(t, surfaces[5].Rates, GenerateAxes(6, 1)[5].Rates, "the same for the same seed")
	for i, s := range surfaces {
		failed, refused := len(s.Plan)-len(s.Rates), len(s.Refused)
		switch AxesKinds[i] {
		case "refused":
			assert.Equal(t, failed, refused)
			assert.Positive(t, refused)
		case "memory":
			assert.Positive(t, failed)
			assert.Zero(t, refused)
		default:
			assert.Zero(t, failed, s.Name)
		}
		for c, probes := range s.Probes {
			assert.NotEmpty(t, probes, "%v", c)
		}
	}
	dominant, none := surfaces[0], surfaces[1]
	spread := func(s *Surface) float64 {
		first := s.Plan[0]
		least, most := s.Best(), 0.0
		for _, c := range s.Plan {
			if c.Ctx == first.Ctx && c.Batch == first.Batch {
				least, most = min(least, s.Rates[c]), max(most, s.Rates[c])
			}
		}
		return most / least
	}
	assert.Greater(t, spread(dominant), 1.4)
	assert.InDelta(t, 1, spread(none), 1e-9)
}

// TestOneAtATime: each axis is varied with the others as in the fastest cell so far.
func TestOneAtATime(t *testing.T) {
	axes := []cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "20"}}, {Name: "num_thread", Values: []string{"auto", "4"}}}
	s := &Surface{Rates: make(map[cell.Key]float64), PromptTokens: 7000}
	s.Plan, _ = cell.Grid{Ctx: []int{1024, 2048}, Batch: []int{256, 512, 1024}, Settings: axes}.Cells()
	for _, c := range s.Plan {
		s.Rates[c] = float64(c.Batch) / float64(c.Ctx)
		if v, _ := c.Settings.Value("num_thread"); v == "4" {
			s.Rates[c] *= 5
		}
	}
	var order []string
	recorded := recorder{oneAtATime{100, axes}, &order}
	run := Play(s, recorded, 1)
	assert.Zero(t, run.Regret)
	assert.Equal(t, []string{
		"ctx=1024/batch=512/num_gpu=auto/num_thread=auto", "ctx=1024/batch=512/num_gpu=20/num_thread=auto",
		"ctx=1024/batch=512/num_gpu=auto/num_thread=4",
		"ctx=1024/batch=256/num_gpu=auto/num_thread=4", "ctx=1024/batch=1024/num_gpu=auto/num_thread=4",
		"ctx=2048/batch=1024/num_gpu=auto/num_thread=4",
	}, order[:6])
	order = nil
	few := Play(s, recorder{oneAtATime{3, axes}, &order}, 1)
	assert.Len(t, order, 3)
	assert.Equal(t, 3, few.Measured)
}

// recorder records the cells that a strategy chooses.
type recorder struct {
	sweep.Strategy
	order *[]string
}

func (r recorder) Next(s sweep.State) sweep.Choice {
	choice := r.Strategy.Next(s)
	for _, c := range choice.Cells {
		*r.order = append(*r.order, c.String())
	}
	return choice
}

// TestCompareAxes: all strategies get as many cells as the search has taken.
func TestCompareAxes(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates searches")
	}
	surfaces := GenerateAxes(1, 1)
	c := CompareAxes(surfaces, Options{Strategies: []string{"best"}, Seeds: 1, Tolerance: 0.01})
	require.Len(t, c.Overall, 3)
	best := c.Overall[0]
	assert.Equal(t, "best", best.Strategy)
	assert.Less(t, best.Mean, 2.0, "one of its axes is dominant")
	for _, other := range c.Overall[1:] {
		assert.InDelta(t, best.Cells, other.Cells, 1)
	}
	unprobed := CompareAxes(surfaces, Options{Strategies: []string{"best"}, Seeds: 1, Tolerance: 0.01, HideProbes: true})
	assert.NotEqual(t, best.Cells, unprobed.Overall[0].Cells)
}

// TestDrawAxes draws each kind on a grid of its own, also where there is only one other axis, and omits
// surfaces on which nothing works.
func TestDrawAxes(t *testing.T) {
	g := cell.Grid{Ctx: []int{1024, 2048, 4096}, Batch: []int{64, 512}, Settings: []cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "20"}}}}
	plan, _ := g.Cells()
	surfaces := DrawAxes(g, 1)
	require.Len(t, surfaces, len(AxesKinds))
	for i, s := range surfaces {
		assert.Equal(t, AxesKinds[i], s.Name)
		assert.Equal(t, plan, s.Plan)
		assert.Equal(t, s.Rates, DrawAxes(g, 1)[i].Rates, "the same for the same seed")
	}
	g.Settings[0].Values = g.Settings[0].Values[:1]
	for _, s := range DrawAxes(g, 1) {
		assert.NotEqual(t, "refused", s.Name, "its only value is refused")
	}
}
