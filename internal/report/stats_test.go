package report

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

func TestStats(t *testing.T) {
	s := newGrid(checkpoints.Mixed()).stats()
	assert.Equal(t, 14, s.Planned)
	assert.Equal(t, 8, s.Measured)
	assert.Equal(t, 4, s.Failed)
	assert.Equal(t, 2, s.Missing)
	assert.Equal(t, 2, s.LeftOut)
	assert.Equal(t, []ClassCount{
		{measurement.OutOfGPUMemory, 2}, {measurement.ResourceAllocation, 1}, {measurement.RunnerCrashed, 1},
	}, s.Failures)
	assert.Equal(t, 2000.0, s.Max)
	assert.Equal(t, 1000.0, s.Min)
	assert.Equal(t, 1368.75, s.Mean)
	assert.Equal(t, 1250.0, s.Median)
	require.NotNil(t, s.Best)
	assert.Equal(t, cell.Key{Ctx: 1024, Batch: 896}, s.Best.Cell())
	assert.False(t, s.OneSample)
}

func TestStatsOfOlderTool(t *testing.T) {
	s := newGrid(olderTool(t)).stats()
	assert.Equal(t, 102, s.Planned)
	assert.Equal(t, 101, s.Measured)
	assert.Equal(t, 1, s.Missing)
	assert.True(t, s.OneSample)
	assert.Equal(t, cell.Key{Ctx: 18432, Batch: 544}, s.Best.Cell(), "of the equal ones, the largest num_ctx and smallest num_batch")
}

func TestStatsOfShrunkPlan(t *testing.T) {
	cp := checkpoints.Planned([]int{1024}, []int{128})
	checkpoints.Add(cp, 2048, 256, 1000)
	s := newGrid(cp).stats()
	assert.Equal(t, 1, s.Planned)
	assert.Equal(t, 0, s.Measured, "a cell off the grid is not counted")
	assert.Equal(t, 1, s.Missing)
	assert.Nil(t, s.Best)
	text := printed(t, cp)
	assert.Contains(t, text, "Off the grid: 1 cell, kept in the checkpoint and not counted: num_ctx=2048 with num_batch=256")
	assert.NotContains(t, text, "1000.0")
}

func TestBestOfEqualRates(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cells []cell.Key
		want  cell.Key
	}{
		{"largest num_ctx", []cell.Key{{Ctx: 2048, Batch: 256}, {Ctx: 4096, Batch: 512}, {Ctx: 1024, Batch: 64}}, cell.Key{Ctx: 4096, Batch: 512}},
		{"then smallest num_batch", []cell.Key{{Ctx: 4096, Batch: 512}, {Ctx: 4096, Batch: 64}, {Ctx: 4096, Batch: 256}}, cell.Key{Ctx: 4096, Batch: 64}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cp := checkpoints.Planned(nil, nil)
			for _, c := range tt.cells {
				checkpoints.Add(cp, c.Ctx, c.Batch, 1000)
			}
			assert.Equal(t, tt.want, newGrid(cp).stats().Best.Cell())
		})
	}
}

func TestStatsText(t *testing.T) {
	repeated := checkpoints.Planned([]int{1024}, []int{128})
	checkpoints.Add(repeated, 1024, 128, 1000, 1250, 1250, 1250, 1600, 1600)
	few := checkpoints.Planned([]int{1024}, []int{128})
	checkpoints.Add(few, 1024, 128, 1000, 1250, 1250, 1250, 1600)
	one := checkpoints.Planned([]int{1024}, []int{128})
	checkpoints.Add(one, 1024, 128, 1000)
	const note = "each cell has one sample"
	for _, tt := range []struct {
		name      string
		cp        *checkpoint.Checkpoint
		has, lack []string
	}{
		{"no cells at all", checkpoints.Planned(nil, nil), []string{"Cells: 0 planned", "no cell measured yet"}, []string{"NaN", "Best", note}},
		{"nothing measured yet", checkpoints.Planned([]int{1024}, []int{128, 256}), []string{"Cells: 2 planned, 0 measured, 0 failed, 2 missing", "no cell measured yet"}, []string{"NaN", "left out", note}},
		{"one sample", one, []string{"rate=1000.00 tokens/s; ", note, "`-repeat 6`"}, []string{"interval 1"}},
		{"too few for an interval", few, []string{"rate=1250.00 tokens/s; "}, []string{note, "Inf", "∞", "interval"}},
		{"an interval", repeated, []string{"rate=1250.00 tokens/s (95 % interval 1000.00 to 1600.00, 6 samples); "}, []string{note}},
		{"failures", checkpoints.Mixed(), []string{"4 failed, 2 missing", "2 failed: CUDA OOM 1 failed: CUDA resource", "2 left out: num_batch above num_ctx"}, []string{note}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			output := printed(t, tt.cp)
			for _, text := range tt.has {
				assert.Contains(t, output, text)
			}
			for _, text := range tt.lack {
				assert.NotContains(t, output, text)
			}
		})
	}
}
