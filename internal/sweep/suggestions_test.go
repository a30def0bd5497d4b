package sweep

import (
	"cmp"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

// TestSuggestionsDecide follows the suggestion that comes with unclear advice, again and again, as a user would:
// where the noise lets it, the advice becomes clear within a few steps.
func TestSuggestionsDecide(t *testing.T) {
	for seed := range uint64(12) {
		scatter := []float64{0.005, 0.02, 0.08}[seed%3]
		gain := []float64{0, 0.02, 0.06, 0.2}[seed/3%4]
		rng := rand.New(rand.NewPCG(seed, 1))
		dir, repeat, baseline := t.TempDir(), 1+int(seed%3), config.BaselineAuto
		sweeps := func() Advice {
			f := automatic(t, dir)
			f.RepeatUntilClear, f.Repeat, f.Baseline = false, repeat, baseline
			if seed%2 == 0 { // so long that nothing is measured automatically
				f.loads(30 * time.Second)
			}
			f.fake.rate = func(c cell.Key) float64 {
				rate := 1000 * max(0.1, 1+scatter*rng.NormFloat64())
				if c.Batch == 256 {
					rate *= 1 + gain
				}
				return rate
			}
			f.run(t.Context())
			return adviceOf(f.Store.Checkpoint())
		}
		a, steps := sweeps(), ""
		for step := 0; step < 7 && a.Next != nil; step++ {
			require.Len(t, a.Next.Flags, 1)
			steps += " " + a.Next.Flags[0]
			switch name, value, _ := strings.Cut(a.Next.Flags[0], "="); name {
			case "-repeat":
				n, err := strconv.Atoi(value)
				require.NoError(t, err)
				require.Greater(t, n, repeat, "more samples than there are")
				repeat = n
			case "-baseline":
				n, err := strconv.Atoi(cmp.Or(value, "6"))
				require.NoError(t, err)
				require.Greater(t, n, int(baseline), "more rounds than there are")
				baseline = config.Baseline(n)
			default:
				t.Fatal(name)
			}
			a = sweeps()
		}
		assert.NotEqual(t, Unsure, a.Kind, "scatter %v, gain %v:%s", scatter, gain, steps)
	}
}
