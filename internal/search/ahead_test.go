package search_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/config"
	"github.com/ollama-sweep/ollama-sweep/internal/simulate"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// recorder is a search that records its estimates of the loads still to come.
type recorder struct {
	sweep.Strategy
	ahead []sweep.Range
}

func (l *recorder) Next(s sweep.State) sweep.Choice {
	choice := l.Strategy.Next(s)
	if len(choice.Cells) > 0 && choice.Cells[0] != s.Loaded {
		l.ahead = append(l.ahead, choice.Ahead)
	}
	return choice
}

// TestAheadRange: on surfaces other than those of the tables, the loads still to come are within
// the range nine times in ten. (-short runs one grid of three.)
func TestAheadRange(t *testing.T) {
	grids := [][2][]int{
		{{1024, 2048, 4096, 8192}, {8, 16, 32, 64, 128, 256, 512}},
		{{4096, 8192, 16384, 32768, 65536, 131072}, {128, 256, 512, 1024}},
		{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {8, 16, 32, 64, 96, 128, 192, 256}},
	}
	for i := range grids[2][0] {
		grids[2][0][i] *= 4096
	}
	if testing.Short() {
		grids = grids[:1]
	}
	for _, test := range []struct {
		strategy string
		probes   bool
	}{
		{config.StrategyBest, false}, {config.StrategyFrontier, false}, {config.StrategyBest, true}, {config.StrategyFrontier, true},
	} {
		t.Run(fmt.Sprintf("%s, probes %v", test.strategy, test.probes), func(t *testing.T) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			slots := make(chan struct{}, runtime.GOMAXPROCS(0))
			within, first, loads, plays := 0, 0, 0, 0
			for large, g := range grids {
				surfaces, err := simulate.Draw(g[0], g[1], 101)
				require.NoError(t, err)
				for i, s := range surfaces {
					if large == 2 && i/4%2 == 1 { // each noise is there still
						continue
					}
					if !test.probes {
						s.Probes = nil
					}
					s.Noise = []float64{0.005, 0.01, 0.03, 0.06}[i%4]
					slots <- struct{}{}
					wg.Go(func() {
						defer func() { <-slots }()
						l := &recorder{Strategy: strategies[test.strategy]()}
						simulate.Play(s, l, 1)
						mu.Lock()
						defer mu.Unlock()
						plays++
						for i, r := range l.ahead {
							assert.Positive(t, r.Most)
							assert.GreaterOrEqual(t, r.Most, r.Least)
							loads++
							if left := len(l.ahead) - i; left >= r.Least && left <= r.Most {
								within++
								if i == 0 {
									first++
								}
							}
						}
					})
				}
			}
			wg.Wait()
			t.Logf("within the range: %d of %d loads, %d of %d at the start", within, loads, first, plays)
			assert.Greater(t, float64(within), 0.85*float64(loads))
			assert.Greater(t, float64(first), 0.75*float64(plays))
		})
	}
}
