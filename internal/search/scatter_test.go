package search

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// TestProbesScatter: readings of probes count for less where they scatter more than samples do.
func TestProbesScatter(t *testing.T) {
	sizes := []int{32, 64, 128, 256, 512}
	plan, _ := cell.Grid{Ctx: []int{4096, 8192}, Batch: sizes}.Cells()
	rate := func(batch int) float64 { return 1000 + 100*math.Log2(float64(batch)) }
	scattered := func(by float64) float64 {
		st := sweep.State{Plan: plan, Probes: true, PromptTokens: 2000, Measured: make(map[cell.Key]checkpoint.Measured)}
		for n, c := range []cell.Key{{Ctx: 4096, Batch: 512}, {Ctx: 4096, Batch: 128}, {Ctx: 8192, Batch: 512}} {
			k := checkpoint.Measured{Rates: []float64{rate(c.Batch), rate(c.Batch) * 1.005}}
			for i, size := range sizes {
				if size <= c.Batch {
					read := func(n int) float64 { return rate(size) * math.Exp(by*math.Sin(float64(7*n+3*i))) }
					k.Probes = append(k.Probes, checkpoint.ProbeRates{NumBatch: size, Rates: []float64{read(n), read(n + 3), read(n + 6)}})
				}
			}
			st.Measured[c] = k
		}
		return new(searcher).update(st).m.probesScatter()
	}
	assert.Less(t, scattered(0.005), 0.1)
	assert.Greater(t, scattered(0.15), 0.9)

	half := bestProbed.towards(bestMeasured, 0.5)
	assert.InDelta(t, math.Sqrt(bestProbed.cell*bestMeasured.cell), half.cell, 1e-9)
	assert.Equal(t, bestProbed, bestProbed.towards(bestMeasured, 0))
}
