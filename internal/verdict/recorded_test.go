package verdict

import (
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/test/race"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded reads a sweep that was recorded on a real server: one sample per cell,
// some of them far above the plateau of their row.
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
					Key:   cell.Key{Ctx: integer(t, lines[0][i+1]), Batch: integer(t, line[0])},
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

// rowMedians returns the median rate of each Batch, which is the level of its plateau.
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

// TestRecorded checks that the fastest sample of the recorded sweep is treated as
// luck, and that a cell of the best plateau is recommended.
func TestRecorded(t *testing.T) {
	cells := recorded(t)
	plateau := Cell{Key: cell.Key{Ctx: 18432, Batch: 928}, Rates: []float64{84.6}}
	v, ok := Judge(cells, nil)
	require.True(t, ok)
	assert.Equal(t, Residuals, v.Basis)
	assert.InDelta(t, 0.002, v.Noise, 0.001)
	assert.Equal(t, Cell{Key: cell.Key{Ctx: 18432, Batch: 544}, Rates: []float64{85.6}}, v.Best)
	assert.Contains(t, v.Outliers, v.Best)
	assert.Equal(t, plateau, v.Recommended)
	assert.Contains(t, v.Tied, plateau)
	assert.Less(t, len(v.Tied), 30)
	for _, reference := range [][]float64{{84.1, 84.2, 84.3}, {84, 84.1, 84.2, 84.3, 85.3, 84}} {
		v, _ := Judge(cells, reference)
		assert.Equal(t, plateau, v.Recommended, "%v", reference)
	}
}

// TestRecordedResampled resamples the sweep from its plateaus and its residuals, and
// counts how often a lucky sample is recommended.
func TestRecordedResampled(t *testing.T) {
	race.SkipSequential(t)
	cells := recorded(t)
	levels := rowMedians(cells)
	var residuals []float64
	for _, c := range cells {
		residuals = append(residuals, c.Rates[0]-levels[c.Batch])
	}
	const luck = 0.8 // tokens/s: of 101 samples 15 are that high
	lone, lucky, slow := 0, 0, 0
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		drawn, ofRow := map[[2]int]float64{}, map[int][]bool{}
		sim := slices.Clone(cells)
		for i, c := range sim {
			r := residuals[rng.IntN(len(residuals))]
			drawn[settings(c)] = r
			ofRow[c.Batch] = append(ofRow[c.Batch], r > luck)
			sim[i].Rates = []float64{levels[c.Batch] + r}
		}
		v, ok := Judge(sim, nil)
		require.True(t, ok)
		if drawn[settings(v.Recommended)] > luck {
			lucky++
			n := 0
			for _, is := range ofRow[v.Recommended.Batch] {
				if is {
					n++
				}
			}
			if 2*n < len(ofRow[v.Recommended.Batch]) {
				lone++
			}
		}
		if levels[v.Recommended.Batch] < 0.985*84.7 {
			slow++
		}
	}
	// Where three or four of a row's six samples are that high, single samples can't
	// distinguish the row from a fast one.
	assert.LessOrEqual(t, lone, 5, "of 1,000: recommended a lucky sample of a row with few of them")
	assert.LessOrEqual(t, lucky, 30, "of 1,000: recommended a lucky sample")
	assert.LessOrEqual(t, slow, 5, "of 1,000: recommended a row below the best plateau")
}
