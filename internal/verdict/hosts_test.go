package verdict

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hosts draws two cells measured on n hosts with two loads each, a load's noise being
// 1 %. factor is what sets a host apart at a cell.
func hosts(rng *rand.Rand, n int, factor func(host, cell int) float64) []SharedCell {
	cells := []SharedCell{{Ctx: 1024, Batch: 64}, {Ctx: 4096, Batch: 256}}
	for i := range cells {
		for h := range n {
			rate := 1000 * float64(i+1) * factor(h, i)
			cells[i].Hosts = append(cells[i].Hosts, HostLoads{fmt.Sprint("node", h), around(rng, rate, 0.01, 2)})
		}
	}
	return cells
}

func TestSpreadNamesWhatIsApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	s, ok := SpreadOf(hosts(rng, 4, func(host, cell int) float64 {
		if host == 2 && cell == 1 {
			return 0.8 // slow at large cells alone
		}
		return 1
	}))
	require.True(t, ok)
	require.Len(t, s.Cells, 2)
	assert.False(t, s.Cells[0].Significant)
	large := s.Cells[1]
	assert.Equal(t, "node2", large.Slowest)
	assert.True(t, large.Significant)
	assert.InDelta(t, 0.25, large.Ratio, 0.05, "from the slowest to the fastest")
	assert.Less(t, large.Low, 0.25)
	assert.Greater(t, large.High, 0.25)
	assert.InDelta(t, 0.01, s.Noise, 0.005)
	require.Len(t, s.Hosts, 4)
	assert.Equal(t, "node2", s.Hosts[0].Host)
	assert.InDelta(t, -0.105, s.Hosts[0].Ratio, 0.02, "the geometric mean of 1 and 0.8")
}

// TestSpreadKeepsItsWord: of alike hosts one sweep in twenty may find a difference,
// and the interval holds the true one in nineteen.
func TestSpreadKeepsItsWord(t *testing.T) {
	for _, n := range []int{2, 4, 20} {
		rng := rand.New(rand.NewPCG(2, uint64(n)))
		const plays = 2000
		var wrong, missed int
		for range plays {
			s, _ := SpreadOf(hosts(rng, n, func(int, int) float64 { return 1 }))
			if s.Cells[0].Significant || s.Cells[1].Significant {
				wrong++
			}
			s, _ = SpreadOf(hosts(rng, n, func(host, _ int) float64 {
				if host == 0 {
					return 0.9
				}
				return 1
			}))
			for _, c := range s.Cells {
				if c.Low > 1/0.9-1 || c.High < 1/0.9-1 {
					missed++
					break
				}
			}
		}
		t.Logf("%d hosts: %.1f %% found a difference that was none, %.1f %% of the intervals missed the true one", n, 100*float64(wrong)/plays, 100*float64(missed)/plays)
		assert.LessOrEqual(t, float64(wrong)/plays, 0.06)
		assert.LessOrEqual(t, float64(missed)/plays, 0.06)
	}
}

func TestSpreadOfLittle(t *testing.T) {
	one := HostLoads{"a", []float64{1000, 1010}}
	_, ok := SpreadOf(nil)
	assert.False(t, ok)
	_, ok = SpreadOf([]SharedCell{{1024, 64, []HostLoads{one}}})
	assert.False(t, ok, "one host alone")
	_, ok = SpreadOf([]SharedCell{{1024, 64, []HostLoads{one, {"b", []float64{-1}}}}})
	assert.False(t, ok, "no rate of the other")

	s, ok := SpreadOf([]SharedCell{{1024, 64, []HostLoads{{"a", []float64{1000}}, {"b", []float64{2000}}}}})
	require.True(t, ok)
	assert.InDelta(t, 1, s.Cells[0].Ratio, 1e-9)
	assert.False(t, s.Cells[0].Bounded, "one load a host tells nothing of the noise")
	assert.False(t, s.Cells[0].Significant)

	s, _ = SpreadOf([]SharedCell{{1024, 64, []HostLoads{{"a", []float64{1000, 1000}}, {"b", []float64{1000, 1000}}}}})
	assert.Equal(t, CellSpread{Ctx: 1024, Batch: 64, Slowest: "a", Fastest: "b", Bounded: true}, s.Cells[0], "equal in all")

	s, _ = SpreadOf([]SharedCell{{512, 8, []HostLoads{one}}, {1024, 64, []HostLoads{one, {"b", []float64{900}}}}})
	require.Len(t, s.Cells, 1)
	assert.Equal(t, 1024, s.Cells[0].Ctx)
	assert.Equal(t, []string{"b", "a"}, []string{s.Hosts[0].Host, s.Hosts[1].Host})
}
