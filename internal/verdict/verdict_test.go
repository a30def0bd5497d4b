package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noisy returns n rates around a speed, of this relative standard deviation.
func noisy(rng *rand.Rand, speed, noise float64, n int) []float64 {
	rates := make([]float64, n)
	for i := range rates {
		rates[i] = speed * (1 + noise*rng.NormFloat64())
	}
	return rates
}

// square is a grid of n × n cells whose speed is that of the function.
func square(rng *rand.Rand, n, samples int, noise float64, speed func(ctx, batch int) float64) []Cell {
	var cells []Cell
	for ctx := 1; ctx <= n; ctx++ {
		for batch := 1; batch <= n; batch++ {
			cells = append(cells, Cell{1024 * ctx, 64 * batch, noisy(rng, speed(ctx, batch), noise, samples)})
		}
	}
	return cells
}

func TestJudgeOfFewCells(t *testing.T) {
	_, ok := Judge(nil, nil)
	assert.False(t, ok)
	_, ok = Judge([]Cell{{1024, 64, nil}, {1024, 128, []float64{math.NaN(), 0, math.Inf(1), -1}}}, nil)
	assert.False(t, ok, "none of that is a rate")

	v, ok := Judge([]Cell{{1024, 64, []float64{100}}}, nil)
	require.True(t, ok)
	assert.Equal(t, v.Best, v.Recommended)
	assert.Empty(t, v.Tied)

	v, _ = Judge([]Cell{{1024, 64, []float64{100}}, {2048, 64, []float64{50}}}, nil)
	assert.Equal(t, Unknown, v.Basis)
	assert.Equal(t, 1024, v.Best.Ctx)
	assert.Len(t, v.Tied, 1, "with two samples nothing can be told apart")
	assert.Equal(t, 1024, v.Recommended.Ctx, "nor is the slower one to be recommended for that")
}

func TestJudgePrefersContextAmongTies(t *testing.T) {
	same := []float64{99, 100, 101, 100, 99.5, 100.5}
	var cells []Cell
	for _, c := range [][2]int{{1024, 64}, {1024, 512}, {4096, 512}, {4096, 128}, {2048, 64}} {
		cells = append(cells, Cell{c[0], c[1], same})
	}
	v, _ := Judge(append(cells, Cell{8192, 64, []float64{50, 51, 52, 50, 51, 52}}), nil)
	assert.Equal(t, MannWhitney, v.Basis)
	assert.Equal(t, Cell{4096, 128, same}, v.Best, "of equal ones")
	assert.Equal(t, Cell{4096, 128, same}, v.Recommended)
	assert.Len(t, v.Tied, 4)
	assert.Zero(t, v.Within)
}

// TestJudgeTellsApart: of 600 cells a tenth are the fastest, the others 10 %
// slower, with 1 % of noise.
func TestJudgeTellsApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	fast := func(ctx, batch int) float64 {
		if batch == 3 {
			return 1000
		}
		return 900
	}
	for samples, basis := range map[int]Basis{2: Repeats, 3: Repeats, 6: MannWhitney} {
		cells := square(rng, 24, samples, 0.01, fast)
		v, ok := Judge(cells, nil)
		require.True(t, ok)
		assert.Equal(t, basis, v.Basis)
		assert.Equal(t, 64*3, v.Best.Batch)
		assert.Equal(t, 64*3, v.Recommended.Batch)
		right := 0
		for _, c := range v.Tied {
			if c.Batch == 64*3 {
				right++
			}
		}
		assert.GreaterOrEqual(t, right, 14, "most of the 23 others that are as fast are tied")
		assert.LessOrEqual(t, len(v.Tied)-right, 3, "and hardly one that is not")
	}
}

func TestJudgeOfALoneSpike(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, noise := range []float64{0, 0.001, 0.01} {
		cells := square(rng, 8, 1, noise, func(int, int) float64 { return 1000 })
		v, _ := Judge(cells, nil)
		if noise == 0 {
			assert.Empty(t, v.Outliers, "a flat surface has none")
		}
		cells[20].Rates[0] = 1200
		v, _ = Judge(cells, nil)
		assert.Equal(t, cells[20].Rates, v.Best.Rates)
		assert.Contains(t, v.Outliers, v.Best)
		assert.NotEqual(t, v.Best, v.Recommended)
	}
}

// TestJudgeOfASlope: the corner of a slope is no outlier.
func TestJudgeOfASlope(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	cells := square(rng, 8, 1, 0.005, func(ctx, batch int) float64 { return 1000 * (1 + 0.2*float64(batch)) })
	v, _ := Judge(cells, nil)
	assert.GreaterOrEqual(t, v.Recommended.Batch, 64*7, "%v", v.Recommended)
}

func TestDiffer(t *testing.T) {
	lead := []float64{100, 101, 102, 103, 104, 105}
	assert.Equal(t, []bool{true, false, false}, Differ(lead, [][]float64{{90, 91, 92, 93, 94, 95}, {99.5, 101.5, 102.5, 103.5, 104.5, 98}, nil}))
	assert.Equal(t, []bool{false, false}, Differ(lead[:4], [][]float64{{90, 91, 92, 93}, {90, 91, 92, 93}}), "four a side are too few for two rivals")
	assert.Empty(t, Differ(lead, nil))
}

func TestGain(t *testing.T) {
	_, ok := GainOf(nil, []float64{1})
	assert.False(t, ok)
	g, ok := GainOf([]float64{110}, []float64{100})
	require.True(t, ok)
	assert.InDelta(t, 0.1, g.Ratio, 1e-9)
	assert.False(t, g.Bounded)

	rng := rand.New(rand.NewPCG(4, 4))
	covered := 0
	const runs = 1000
	for range runs {
		g, _ := GainOf(noisy(rng, 112, 0.02, 6), noisy(rng, 100, 0.02, 6))
		require.True(t, g.Bounded)
		require.LessOrEqual(t, g.Low, g.Ratio)
		require.LessOrEqual(t, g.Ratio, g.High)
		if g.Low <= 0.12 && 0.12 <= g.High {
			covered++
		}
	}
	assert.InDelta(t, 0.95, float64(covered)/runs, 0.03)
}

func TestDrift(t *testing.T) {
	series := func(rng *rand.Rand, change float64) []Point {
		var points []Point
		for i := range 8 {
			speed := 1000 * (1 + change*float64(i)/7)
			points = append(points, Point{time.Duration(i) * time.Hour, noisy(rng, speed, 0.01, 3)})
		}
		return points
	}
	rng := rand.New(rand.NewPCG(5, 5))
	alarms, found := 0, 0
	for range 200 {
		d, ok := DriftOf(series(rng, 0))
		require.True(t, ok)
		if d.Significant {
			alarms++
		}
		if d, _ = DriftOf(series(rng, -0.1)); d.Significant {
			found++
			assert.InDelta(t, -0.1, d.Change, 0.03)
		}
	}
	assert.LessOrEqual(t, alarms, 20)
	assert.Equal(t, 200, found)

	one := []float64{100}
	for _, points := range [][]Point{nil, {{0, one}}, {{0, one}, {time.Hour, one}}, {{0, one}, {0, one}}} {
		_, ok := DriftOf(points)
		assert.False(t, ok)
	}
	d, ok := DriftOf([]Point{{0, []float64{100, 101}}, {time.Hour, []float64{80, 81}}})
	require.True(t, ok)
	assert.True(t, d.Significant)
}

func TestMedianOfEven(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	assert.Equal(t, 2.5, Median(values))
	assert.Equal(t, []float64{4, 1, 3, 2}, values, "the caller's order is left alone")
}

func TestInterval(t *testing.T) {
	_, ok := IntervalOf(nil)
	assert.False(t, ok)
	in, _ := IntervalOf([]float64{3, 1, 2})
	assert.Equal(t, Interval{Median: 2, Low: 1, High: 3, Spread: 1, N: 3}, in)
	in, _ = IntervalOf([]float64{1, 2, 3, 4, 5, 6})
	assert.Equal(t, Interval{Median: 3.5, Low: 1, High: 6, Spread: 5 / 3.5, N: 6, Bounded: true}, in)
}

// FuzzJudge has rates of any bits, and no result that is not a number.
func FuzzJudge(f *testing.F) {
	f.Add(uint64(1), 3, 100.0, 0.1)
	f.Add(uint64(2), 1, 1e-300, 10.0)
	f.Fuzz(func(t *testing.T, seed uint64, samples int, speed, noise float64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cells := square(rng, 4, 1+int(uint(samples)%7), noise, func(int, int) float64 { return speed })
		v, ok := Judge(cells, nil)
		if ok && (v.Best.Median() <= 0 || !finite(v.Within) || !finite(v.Noise) || !finite(v.Recommended.Median())) {
			t.Fatalf("%+v", v)
		}
	})
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func BenchmarkJudge(b *testing.B) {
	rng := rand.New(rand.NewPCG(6, 6))
	for name, cells := range map[string][]Cell{
		"10000x1": square(rng, 100, 1, 0.01, func(int, int) float64 { return 1000 }),
		"625x6":   square(rng, 25, 6, 0.01, func(int, int) float64 { return 1000 }),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Judge(cells, nil)
			}
		})
	}
}
