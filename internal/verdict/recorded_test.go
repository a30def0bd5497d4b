package verdict

import (
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded is a sweep as it was measured: one sample per cell, some of them
// far above the plateau that they are on.
func recorded(t *testing.T) []Cell {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "recorded.csv"))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	lines, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)

	var cells []Cell
	for _, line := range lines[1:] {
		for i, field := range line[1:] {
			if field != "" {
				cells = append(cells, Cell{
					Ctx: integer(t, lines[0][i+1]), Batch: integer(t, line[0]),
					Rates: []float64{number(t, field)},
				})
			}
		}
	}
	return cells
}

func integer(t *testing.T, field string) int {
	t.Helper()
	n, err := strconv.Atoi(field)
	require.NoError(t, err)
	return n
}

func number(t *testing.T, field string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(field, 64)
	require.NoError(t, err)
	return x
}

// rowMedians is the plateau of each Batch.
func rowMedians(cells []Cell) map[int]float64 {
	rates := map[int][]float64{}
	for _, c := range cells {
		rates[c.Batch] = append(rates[c.Batch], c.Rates...)
	}
	medians := map[int]float64{}
	for batch, r := range rates {
		medians[batch] = Median(r)
	}
	return medians
}

// TestRecorded: the fastest sample of the recorded sweep is luck, and the cell
// that is recommended lies on the best plateau.
func TestRecorded(t *testing.T) {
	cells := recorded(t)
	v, ok := Judge(cells, nil)
	require.True(t, ok)
	assert.Equal(t, Residuals, v.Basis)
	assert.Equal(t, Cell{18432, 544, []float64{85.6}}, v.Best)
	assert.Contains(t, v.Outliers, v.Best)
	assert.Len(t, v.Outliers, 17)
	assert.Equal(t, Cell{18432, 928, []float64{84.6}}, v.Recommended)
	for _, reference := range [][]float64{{84.1, 84.2, 84.3}, {84, 84.1, 84.2, 84.3, 85.3, 84}} {
		v, _ := Judge(cells, reference)
		assert.Equal(t, Reference, v.Basis)
		assert.Equal(t, Cell{18432, 928, []float64{84.6}}, v.Recommended)
	}
}

// TestRecordedReplayed draws the sweep anew from its plateaus and its noise.
func TestRecordedReplayed(t *testing.T) {
	cells := recorded(t)
	levels := rowMedians(cells)
	var residuals []float64
	for _, c := range cells {
		residuals = append(residuals, c.Rates[0]-levels[c.Batch])
	}
	lucky := 0
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		drawn := map[[2]int]float64{}
		sim := slices.Clone(cells)
		for i, c := range sim {
			r := residuals[rng.IntN(len(residuals))]
			drawn[[2]int{c.Ctx, c.Batch}] = r
			sim[i].Rates = []float64{levels[c.Batch] + r}
		}
		v, ok := Judge(sim, nil)
		require.True(t, ok)
		if drawn[[2]int{v.Recommended.Ctx, v.Recommended.Batch}] > 0.8 {
			lucky++
		}
		assert.GreaterOrEqual(t, levels[v.Recommended.Batch], 0.985*84.7, "seed %d: %v", seed, v.Recommended)
	}
	// Of 101 samples 15 are that high. Where three of them meet, they are a
	// plateau of their own by all that single samples can tell.
	assert.LessOrEqual(t, lucky, 10, "of 1,000")
}
