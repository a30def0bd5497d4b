package verdict

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noisy returns n normally distributed rates; noise is their relative standard deviation.
func noisy(rng *rand.Rand, speed, noise float64, n int) []float64 {
	rates := make([]float64, n)
	for i := range rates {
		rates[i] = speed * (1 + noise*rng.NormFloat64())
	}
	return rates
}

// square returns a grid of n × n cells with noisy samples around the rates of speed.
func square(rng *rand.Rand, n, samples int, noise float64, speed func(ctx, batch int) float64) []Cell {
	var cells []Cell
	for ctx := 1; ctx <= n; ctx++ {
		for batch := 1; batch <= n; batch++ {
			cells = append(cells, Cell{Key: cell.Key{Ctx: 1024 * ctx, Batch: 64 * batch}, Rates: noisy(rng, speed(ctx, batch), noise, samples)})
		}
	}
	return cells
}

func TestJudgeOfFewCells(t *testing.T) {
	_, ok := Judge(nil, nil)
	assert.False(t, ok)
	_, ok = Judge([]Cell{{Key: cell.Key{Ctx: 1024, Batch: 64}, Rates: nil}, {Key: cell.Key{Ctx: 1024, Batch: 128}, Rates: []float64{math.NaN(), 0, math.Inf(1), -1}}}, nil)
	assert.False(t, ok, "none of these is a valid rate")

	v, ok := Judge([]Cell{{Key: cell.Key{Ctx: 1024, Batch: 64}, Rates: []float64{100}}}, nil)
	require.True(t, ok)
	assert.Equal(t, v.Best, v.Recommended)
	assert.Empty(t, v.Tied)

	v, _ = Judge([]Cell{{Key: cell.Key{Ctx: 1024, Batch: 64}, Rates: []float64{100}}, {Key: cell.Key{Ctx: 2048, Batch: 64}, Rates: []float64{97}}}, nil)
	assert.Equal(t, Assumed, v.Basis)
	assert.Equal(t, 1024, v.Best.Ctx)
	assert.Len(t, v.Tied, 1, "the difference is within noise")
	v, _ = Judge([]Cell{{Key: cell.Key{Ctx: 1024, Batch: 64}, Rates: []float64{100}}, {Key: cell.Key{Ctx: 2048, Batch: 64}, Rates: []float64{50}}}, nil)
	assert.Empty(t, v.Tied, "the difference is larger than any server's noise")
	assert.Equal(t, 1024, v.Recommended.Ctx)
}

func TestJudgePrefersContextAmongTies(t *testing.T) {
	same := []float64{99, 100, 101, 100, 99.5, 100.5}
	var cells []Cell
	for _, c := range [][2]int{{1024, 64}, {1024, 512}, {4096, 512}, {4096, 128}, {2048, 64}} {
		cells = append(cells, Cell{Key: cell.Key{Ctx: c[0], Batch: c[1]}, Rates: same})
	}
	v, _ := Judge(append(cells, Cell{Key: cell.Key{Ctx: 8192, Batch: 64}, Rates: []float64{50, 51, 52, 50, 51, 52}}), nil)
	assert.Equal(t, Repeats, v.Basis)
	assert.Equal(t, Cell{Key: cell.Key{Ctx: 4096, Batch: 128}, Rates: same}, v.Best, "the preferred one of equal cells")
	assert.Equal(t, Cell{Key: cell.Key{Ctx: 4096, Batch: 128}, Rates: same}, v.Recommended)
	assert.Len(t, v.Tied, 4)
	assert.Zero(t, v.TiedWithin)
}

// TestJudgeFindsTheFastRow: of 24 rows one is the fastest, the others are 10 %
// slower, with 1 % of noise.
func TestJudgeFindsTheFastRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	fast := func(ctx, batch int) float64 {
		if batch == 3 {
			return 1000
		}
		return 900
	}
	for samples, basis := range map[int]Basis{2: Repeats, 3: Repeats, 6: Repeats} {
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
		assert.LessOrEqual(t, len(v.Tied)-right, 3, "hardly any slower cell is tied")
	}
}

// TestJudgeOfALoneSpike: a single sample that is slightly too high is treated as luck, one that
// is far above all others as a fast cell, which costs nothing to try.
func TestJudgeOfALoneSpike(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, noise := range []float64{0, 0.001, 0.003} {
		cells := square(rng, 8, 1, noise, func(int, int) float64 { return 1000 })
		v, _ := Judge(cells, nil)
		assert.Empty(t, v.Outliers)
		for spike, believed := range map[float64]bool{1025: false, 1200: true} {
			cells[20].Rates[0] = spike
			v, _ = Judge(cells, nil)
			assert.Equal(t, cells[20].Rates, v.Best.Rates)
			assert.Equal(t, believed, v.Recommended.Key == v.Best.Key, "%v of 1000 with a noise of %v", spike, noise)
			assert.Equal(t, !believed, len(v.Outliers) == 1)
		}
	}
}

// TestJudgeLaterSamples checks that later samples count with the first ones, each with its
// weight, and that they show a change of the machine.
func TestJudgeLaterSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	again := func(c *Cell, rate float64) { c.Later = noisy(rng, rate, 0.005, 6) }
	plateau := func(_, batch int) float64 { return 1000 + 50*float64(min(batch, 3)) }

	cells := square(rng, 4, 1, 0.005, plateau)
	cells[0].Rates[0] = 1300 // truly 1050
	again(&cells[0], 1050)
	again(&cells[6], 1150)
	again(&cells[10], 1150)
	v, _ := Judge(cells, nil)
	assert.Nil(t, v.MachineChange, "one lucky sample is no change of the machine")
	assert.NotEqual(t, cells[0].Key, v.Best.Key)
	figure, ok := v.Figure(cells[0])
	require.True(t, ok)
	assert.InDelta(t, 1050, figure, 15)
	got, ok := v.Estimate(cells[0])
	require.True(t, ok)
	assert.InDelta(t, 1050, got.Rate, 15)
	assert.Less(t, got.Low, got.Rate)
	assert.Greater(t, got.High, got.Rate)

	cells = square(rng, 4, 1, 0.005, plateau)
	for _, i := range []int{6, 7, 10} { // all slower by 10 %
		again(&cells[i], 0.9*1150)
	}
	v, _ = Judge(cells, nil)
	require.NotNil(t, v.MachineChange)
	assert.InDelta(t, -0.1, v.MachineChange.Ratio, 0.02)
	assert.GreaterOrEqual(t, v.Recommended.Batch, 64*3, "cells without later samples must not appear faster")
	figure, _ = v.Figure(cells[6])
	assert.InDelta(t, 1150, figure, 15)

	_, ok = v.Estimate(Cell{Key: cell.Key{Ctx: 1, Batch: 1}})
	assert.False(t, ok)
	_, ok = v.GainOver(cells[6], Cell{Key: cell.Key{Ctx: 1, Batch: 1}})
	assert.False(t, ok)
}

// TestGainOfCells checks that the interval of a gain contains the true gain, and is narrower
// for a row that was measured in many columns.
func TestGainOfCells(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	covered, runs := 0, 300
	var width [2]float64
	for range runs {
		for i, columns := range []int{2, 8} {
			var cells []Cell
			for ctx := range columns {
				for batch, speed := range []float64{800, 1000, 1000} {
					cells = append(cells, Cell{Key: cell.Key{Ctx: 1024 << ctx, Batch: 64 << batch}, Rates: noisy(rng, speed, 0.01, 1)})
				}
			}
			v, _ := Judge(cells, nil)
			g, ok := v.GainOver(cells[1], cells[0])
			require.True(t, ok)
			require.True(t, g.Bounded)
			width[i] += g.High - g.Low
			if g.Low <= 0.25 && 0.25 <= g.High {
				covered++
			}
		}
	}
	assert.GreaterOrEqual(t, float64(covered)/float64(2*runs), 0.93)
	assert.Less(t, width[1], 0.6*width[0])
}

// TestJudgeOfASlope checks that the highest cells of a slope are not treated as outliers.
func TestJudgeOfASlope(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	cells := square(rng, 8, 1, 0.005, func(ctx, batch int) float64 { return 1000 * (1 + 0.2*float64(batch)) })
	v, _ := Judge(cells, nil)
	assert.GreaterOrEqual(t, v.Recommended.Batch, 64*7, "%v", v.Recommended)
}

func TestDiffer(t *testing.T) {
	lead := []float64{100, 101, 102, 103, 104, 105}
	assert.Equal(t, []bool{true, false, false}, Differ(lead, [][]float64{{90, 91, 92, 93, 94, 95}, {99.5, 101.5, 102.5, 103.5, 104.5, 98}, nil}))
	assert.Equal(t, []bool{false, false}, Differ(lead[:4], [][]float64{{90, 91, 92, 93}, {90, 91, 92, 93}}), "four samples per side are too few for two rivals")
	assert.Empty(t, Differ(lead, nil))
}

func TestGain(t *testing.T) {
	_, ok := GainOver(nil, []float64{1})
	assert.False(t, ok)
	g, ok := GainOver([]float64{110}, []float64{100})
	require.True(t, ok)
	assert.InDelta(t, 0.1, g.Ratio, 1e-9)
	assert.False(t, g.Bounded)

	rng := rand.New(rand.NewPCG(4, 4))
	covered := 0
	const runs = 1000
	for range runs {
		g, _ := GainOver(noisy(rng, 112, 0.02, 6), noisy(rng, 100, 0.02, 6))
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
	assert.Equal(t, []float64{4, 1, 3, 2}, values, "the caller's slice must not be reordered")
}

func TestInterval(t *testing.T) {
	_, ok := IntervalOf(nil)
	assert.False(t, ok)
	in, _ := IntervalOf([]float64{3, 1, 2})
	assert.Equal(t, Interval{Median: 2, Low: 1, High: 3, Spread: 1, N: 3}, in)
	in, _ = IntervalOf([]float64{1, 2, 3, 4, 5, 6})
	assert.Equal(t, Interval{Median: 3.5, Low: 1, High: 6, Spread: 5 / 3.5, N: 6, Bounded: true}, in)
}

// FuzzJudge checks that no rates lead to NaN or infinity in the verdict.
func FuzzJudge(f *testing.F) {
	f.Add(uint64(1), 3, 100.0, 0.1)
	f.Add(uint64(2), 1, 1e-300, 10.0)
	f.Fuzz(func(t *testing.T, seed uint64, samples int, speed, noise float64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cells := square(rng, 4, 1+int(uint(samples)%7), noise, func(int, int) float64 { return speed })
		v, ok := Judge(cells, nil)
		if ok && (v.Best.Median() <= 0 || !finite(v.TiedWithin) || !finite(v.Noise) || !finite(v.Recommended.Median())) {
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
