package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/memory"
)

// measured returns a checkpoint of cells with one sample each. Each cell took half a second to load.
func measured(t *testing.T, seconds map[cell.Key]float64) *checkpoint.Checkpoint {
	t.Helper()
	var results []string
	for c, s := range seconds {
		results = append(results, fmt.Sprintf(`{"num_ctx":%d,"num_batch":%d,"prompt_eval_rate":%g,"error":null,"warmup":{"prompt_eval_count":10,"prompt_eval_duration_ns":1000,"total_duration_ns":500000000},
			"samples":[{"prompt_eval_count":1000,"prompt_eval_duration_ns":%.0f,"total_duration_ns":%.0f}]}`, c.Ctx, c.Batch, 1000/s, s*1e9, s*1e9))
	}
	cp, err := checkpoint.Decode([]byte(`{"version":1,"sweep":{"model":"tiny","num_ctx":[1024],"num_batch":[64,128,256]},"results":[` + strings.Join(results, ",") + `]}`))
	require.NoError(t, err)
	return cp
}

func TestCompareWithGrid(t *testing.T) {
	grid := measured(t, map[cell.Key]float64{{Ctx: 1024, Batch: 64}: 2, {Ctx: 1024, Batch: 128}: 1, {Ctx: 1024, Batch: 256}: 0.5})
	found := measured(t, map[cell.Key]float64{{Ctx: 1024, Batch: 128}: 1})
	assert.Equal(t, []string{
		"  1 cells of 3; loads and prompts, with auxiliary measurements, took 1.5 s instead of 5.0 s: 30 %",
		"  recommended num_ctx=1024, num_batch=128: 1000.0 tokens/s in the grid, whose highest is 2000.0: regret 50.00 %",
	}, compareWithGrid(found, grid))
	assert.Equal(t, "  the grid has no rate for the cell that the search recommends", compareWithGrid(grid, found)[1])
	assert.Contains(t, describeSweep(grid)[1], "highest 2000.0 tokens/s at num_ctx=1024, num_batch=256")
	assert.Equal(t, "  3 cells measured, 0 failed, 3 samples, settings of 0 cells verified", describeSweep(grid)[0])
}

func TestMemoryRow(t *testing.T) {
	need := memory.Need{Weights: 100 << 20, KV: 20 << 20, Compute: 5 << 20}
	r := &checkpoint.Result{NumCtx: 1024, NumBatch: 64, Size: 126 << 20, SizeVRAM: 120 << 20}
	assert.Equal(t, []string{"1024", "64", "100.0", "20.0", "5.0", "", "", "", "125.0", "126.0", "120.0", "", ""}, memoryRow(r, need))
	r.Memory = &measurement.Memory{GPULayers: 3, Layers: 3, Devices: []measurement.DeviceMemory{{Name: "CUDA0", ModelMiB: 90, ContextMiB: 20, ComputeMiB: 4}, {Name: "Host", ModelMiB: 10}}}
	row := memoryRow(r, need)
	assert.Equal(t, []string{"100.0", "20.0", "4.0", "125.0", "126.0", "120.0", "3", "3"}, row[5:])
	assert.Len(t, row, len(memoryHeader))

	var d deviation
	assert.Equal(t, "not reported", d.String())
	d.add(need.Compute, 4)
	d.add(need.KV, 20)
	d.add(need.KV, 0)
	assert.Equal(t, "+0.0 to +25.0 % in 2 cells", d.String())
}

func TestSpread(t *testing.T) {
	assert.Equal(t, "warm: median 100.0 tokens/s of 4, standard deviation 1.15 %, first prompt -50.0 %", spread("warm", []float64{50, 99, 101, 99, 101}))
	assert.Equal(t, "warm: 2 prompts", spread("warm", []float64{50, 99}))
}
