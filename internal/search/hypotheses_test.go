package search

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
)

// TestMemoryHypotheses: once a few cells have shown which setting matters to memory, a failure with one value of another
// setting is expected with all of them.
func TestMemoryHypotheses(t *testing.T) {
	axes := []cell.SettingAxis{{Name: "num_gpu", Values: []string{"auto", "20", "40"}}, {Name: "num_thread", Values: []string{"auto", "4", "8"}}}
	plan, _ := cell.Grid{Ctx: []int{4096, 8192, 16384, 32768}, Batch: []int{256, 512}, Settings: axes}.Cells()
	at := func(ctx int, gpu, threads string) cell.Key {
		return cell.Key{Ctx: ctx, Batch: 512, Settings: plan[0].Settings}.With("num_gpu", gpu).With("num_thread", threads)
	}
	feasible := func(measured map[cell.Key]checkpoint.Measured) (works func(cell.Key) float64) {
		v := (&Best{Tolerance: 0.01, Repeat: 1}).update(sweep.State{Plan: plan, Measured: measured})
		return func(c cell.Key) float64 { return v.feas.works(v.index[c]) }
	}
	worked, failed := checkpoint.Measured{Rates: []float64{100}}, checkpoint.Measured{Failed: true, Memory: true}
	measured := map[cell.Key]checkpoint.Measured{at(16384, "40", "8"): failed, at(4096, "40", "auto"): worked, at(32768, "20", "auto"): worked}
	early := feasible(measured)
	assert.Greater(t, early(at(16384, "20", "8")), leastTried, "what worked with 20 layers and more context")
	assert.Less(t, early(at(16384, "40", "4")), early(at(16384, "20", "4")))

	for _, threads := range []string{"auto", "4"} {
		measured[at(16384, "40", threads)], measured[at(8192, "40", threads)] = failed, worked
		measured[at(32768, "20", threads)] = worked
	}
	later := feasible(measured)
	assert.Less(t, later(at(32768, "40", "4")), 0.05)
	assert.Greater(t, later(at(32768, "20", "8")), 0.8)
	assert.Greater(t, later(at(8192, "40", "8")), 0.8)
}

// TestAllSettingsMatter: without a lack of memory, and without other settings, all settings matter.
func TestAllSettingsMatter(t *testing.T) {
	v := (&Best{Tolerance: 0.01, Repeat: 1}).update(sweep.State{Plan: gridWithSettings(), Measured: map[cell.Key]checkpoint.Measured{
		gridWithSettings()[0]: {Rates: []float64{100}}, gridWithSettings()[1]: {Failed: true},
	}})
	assert.Equal(t, []memoryHypothesis{v.memoryHypothesis(allMatter)}, v.feas.hypotheses)
}
