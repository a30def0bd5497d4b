package verdict

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hosts simulates two cells measured on n hosts with two loads each and a noise of 1 % per
// load. factor is the relative speed of a host at a cell.
func hosts(rng *rand.Rand, n int, factor func(host, cell int) float64) []SharedCell {
	cells := []SharedCell{{Key: cell.Key{Ctx: 1024, Batch: 64}}, {Key: cell.Key{Ctx: 4096, Batch: 256}}}
	for i := range cells {
		for h := range n {
			rate := 1000 * float64(i+1) * factor(h, i)
			cells[i].Hosts = append(cells[i].Hosts, HostLoads{fmt.Sprint("node", h), around(rng, rate, 0.01, 2)})
		}
	}
	return cells
}

func TestSpreadFindsASlowHost(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	s, ok := SpreadOf(hosts(rng, 4, func(host, cell int) float64 {
		if host == 2 && cell == 1 {
			return 0.8 // slow at the large cell only
		}
		return 1
	}))
	require.True(t, ok)
	require.Len(t, s.Cells, 2)
	assert.False(t, s.Cells[0].Significant)
	large := s.Cells[1]
	assert.Equal(t, "node2", large.Slowest)
	assert.True(t, large.Significant)
	assert.InDelta(t, 0.25, large.Ratio, 0.05, "the fastest relative to the slowest")
	assert.Less(t, large.Low, 0.25)
	assert.Greater(t, large.High, 0.25)
	assert.InDelta(t, 0.01, s.Noise, 0.005)
	require.Len(t, s.Hosts, 4)
	assert.Equal(t, "node2", s.Hosts[0].Host)
	assert.InDelta(t, -0.105, s.Hosts[0].Ratio, 0.02, "the geometric mean of 1 and 0.8")
}

// TestSpreadErrorRates checks that a difference between equal hosts is found in at most
// 5 % of sweeps, and that the intervals contain the true difference in at least 95 %, with
// a tolerance of 1 %.
func TestSpreadErrorRates(t *testing.T) {
	for _, n := range []int{2, 4, 20} {
		rng := rand.New(rand.NewPCG(2, uint64(n)))
		const sweeps = 2000
		var wrong, missed int
		for range sweeps {
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
		t.Logf("%d hosts: %.1f %% of sweeps found a false difference, in %.1f %% an interval missed the true one", n, 100*float64(wrong)/sweeps, 100*float64(missed)/sweeps)
		assert.LessOrEqual(t, float64(wrong)/sweeps, 0.06)
		assert.LessOrEqual(t, float64(missed)/sweeps, 0.06)
	}
}

func TestSpreadOfFewLoads(t *testing.T) {
	one := HostLoads{"a", []float64{1000, 1010}}
	_, ok := SpreadOf(nil)
	assert.False(t, ok)
	_, ok = SpreadOf([]SharedCell{{cell.Key{Ctx: 1024, Batch: 64}, []HostLoads{one}}})
	assert.False(t, ok, "only one host")
	_, ok = SpreadOf([]SharedCell{{cell.Key{Ctx: 1024, Batch: 64}, []HostLoads{one, {"b", []float64{-1}}}}})
	assert.False(t, ok, "no valid rate of the second host")

	s, ok := SpreadOf([]SharedCell{{cell.Key{Ctx: 1024, Batch: 64}, []HostLoads{{"a", []float64{1000}}, {"b", []float64{2000}}}}})
	require.True(t, ok)
	assert.InDelta(t, 1, s.Cells[0].Ratio, 1e-9)
	assert.False(t, s.Cells[0].Bounded, "one load per host gives no estimate of the noise")
	assert.False(t, s.Cells[0].Significant)

	s, _ = SpreadOf([]SharedCell{{cell.Key{Ctx: 1024, Batch: 64}, []HostLoads{{"a", []float64{1000, 1000}}, {"b", []float64{1000, 1000}}}}})
	assert.Equal(t, CellSpread{Key: cell.Key{Ctx: 1024, Batch: 64}, Slowest: "a", Fastest: "b", Bounded: true}, s.Cells[0], "all rates equal")

	s, _ = SpreadOf([]SharedCell{{cell.Key{Ctx: 512, Batch: 8}, []HostLoads{one}}, {cell.Key{Ctx: 1024, Batch: 64}, []HostLoads{one, {"b", []float64{900}}}}})
	require.Len(t, s.Cells, 1)
	assert.Equal(t, 1024, s.Cells[0].Ctx)
	assert.Equal(t, []string{"b", "a"}, []string{s.Hosts[0].Host, s.Hosts[1].Host})
}
