package verdict

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// around returns n normally distributed rates; share is their relative standard deviation.
func around(rng *rand.Rand, rate, share float64, n int) []float64 {
	rates := make([]float64, n)
	for i := range rates {
		rates[i] = rate * (1 + share*rng.NormFloat64())
	}
	return rates
}

func TestChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pairs := []Comparison{
		{Old: around(rng, 1000, 0.002, 8), New: around(rng, 1000, 0.002, 8)}, // unchanged
		{Old: around(rng, 1000, 0.002, 8), New: around(rng, 900, 0.002, 8)},  // slower by 10 %
		{Old: around(rng, 1000, 0.002, 8), New: around(rng, 980, 0.002, 8)},  // slower by 2 %
		{Old: around(rng, 1000, 0.002, 8), New: around(rng, 1100, 0.002, 8)}, // faster by 10 %
		{Old: []float64{1000}, New: []float64{500}},                          // slower, one sample each
	}
	changes := Changes(pairs, 0.05, 0)
	for i, want := range []struct {
		ratio               float64
		significant, slower bool
	}{{0, false, false}, {-0.1, true, true}, {-0.02, true, false}, {0.1, true, false}, {-0.5, false, false}} {
		c := changes[i]
		assert.InDelta(t, want.ratio, c.Ratio, 0.004, i)
		assert.Equal(t, want.significant, c.Significant, i)
		assert.Equal(t, want.slower, c.Slower, i)
		if i < 4 {
			assert.True(t, c.Bounded)
			assert.Less(t, c.Low, want.ratio+0.001, i)
			assert.Greater(t, c.High, want.ratio-0.001, i)
		} else {
			assert.False(t, c.Bounded)
		}
	}
	assert.Empty(t, Changes(nil, 0.05, 0))
}

// TestChangesOfEqualSweeps compares sweeps of equal speed: hardly any comparison has a
// significant cell, as the correction guarantees, and none has one that is slower by 5 %.
func TestChangesOfEqualSweeps(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const sweeps = 200
	wrong := 0
	for range sweeps {
		pairs := make([]Comparison, 40)
		for i := range pairs {
			pairs[i] = Comparison{Old: around(rng, 1000, 0.01, 6), New: around(rng, 1000, 0.01, 6)}
		}
		any := false
		for _, c := range Changes(pairs, 0.05, 0) {
			any = any || c.Significant
			assert.False(t, c.Slower)
		}
		if any {
			wrong++
		}
	}
	assert.LessOrEqual(t, wrong, sweeps*8/100)
}

func TestMeanChange(t *testing.T) {
	of := func(ratios ...float64) []Change {
		var changes []Change
		for _, r := range ratios {
			changes = append(changes, Change{Ratio: r})
		}
		return changes
	}
	one := MeanChange(of(0.21))
	assert.InDelta(t, 0.21, one.Ratio, 1e-12)
	assert.False(t, one.Bounded)
	two := MeanChange(of(1, -0.5)) // twice as fast, half as fast
	assert.InDelta(t, 0, two.Ratio, 1e-12)
	assert.True(t, two.Bounded)
	// Student's t with one degree of freedom at 97.5 % is 12.706.
	assert.InDelta(t, 12.706*math.Ln2, math.Log1p(two.High), 0.001)
	assert.InDelta(t, -12.706*math.Ln2, math.Log1p(two.Low), 0.001)
	same := MeanChange(of(-0.1, -0.1, -0.1))
	assert.InDelta(t, -0.1, same.High, 1e-12)
}

// TestMeanChangeOfADrift checks that a drift of the machine is reported as a change less
// often than by an interval that treats the cells as independent.
func TestMeanChangeOfADrift(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const sweeps = 300
	wrong, naive := 0, 0
	for range sweeps {
		changes := make([]Change, 60)
		drift := 0.0
		for i := range changes {
			drift = 0.9*drift + 0.005*rng.NormFloat64()
			changes[i].Ratio = drift + 0.005*rng.NormFloat64()
		}
		if g := MeanChange(changes); g.Low > 0 || g.High < 0 {
			wrong++
		}
		var sum, squares float64
		for _, c := range changes {
			sum, squares = sum+c.Ratio, squares+c.Ratio*c.Ratio
		}
		mean := sum / 60
		if se := math.Sqrt((squares/60 - mean*mean) / 59); math.Abs(mean) > 2*se {
			naive++
		}
	}
	assert.LessOrEqual(t, wrong, sweeps*25/100)
	assert.GreaterOrEqual(t, naive, sweeps*40/100, "false changes with independent cells")
}

func TestSamplesToTell(t *testing.T) {
	for cells, want := range map[int]int{
		1:   3, // 1/C(6,3) = 1/20
		2:   4, // 1/C(8,4) = 1/70 ≤ 0.025, 1/20 is not
		40:  6, // 1/C(12,6) = 1/924 ≤ 1/800
		799: 9, // 1/C(18,9) = 1/48620 ≤ 1/15980
	} {
		assert.Equal(t, want, SamplesNeeded(cells), cells)
		assert.True(t, EnoughSamples(want, want, cells))
		assert.False(t, EnoughSamples(want-1, want-1, cells))
	}
	assert.False(t, EnoughSamples(0, 9, 1))
}

// TestChangesOnAMachineThatDrifts checks that only the part of a difference beyond the
// drift counts.
func TestChangesOnAMachineThatDrifts(t *testing.T) {
	of := func(times float64) []float64 {
		return scaled([]float64{99, 99.5, 99.8, 100, 100.2, 100.5, 101}, times)
	}
	pairs := []Comparison{{of(1), of(1), 0}, {of(1), of(0.92), 0}, {of(1), of(0.8), 0}, {of(1), of(1.3), 0}}
	for i, c := range Changes(pairs, 0.05, 0) {
		assert.Equal(t, i > 0, c.Significant, i)
		assert.Equal(t, i == 1 || i == 2, c.Slower, i)
	}
	before, changes := Changes(pairs, 0.05, 0), Changes(pairs, 0.05, 0.1)
	for i, c := range changes {
		assert.Equal(t, i > 1, c.Significant, i)
		assert.Equal(t, i == 2, c.Slower, i)
		assert.InDelta(t, before[i].Ratio, c.Ratio, 1e-12)
		assert.InDelta(t, (1+before[i].Low)/1.1, 1+c.Low, 1e-9)
		assert.InDelta(t, (1+before[i].High)*1.1, 1+c.High, 1e-9)
	}

	pairs[2].Disturbed = 0.3
	disturbed := Changes(pairs, 0.05, 0)
	assert.False(t, disturbed[2].Significant || disturbed[2].Slower)
	assert.True(t, disturbed[3].Significant, "this cell was not disturbed")
}
