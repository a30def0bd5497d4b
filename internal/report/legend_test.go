package report

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

func TestLegend(t *testing.T) {
	shard := checkpoints.Planned([]int{1024, 2048}, []int{128, 256})
	shard.Sweep.Shard = cell.Shard{Index: 1, Count: 2}
	for _, c := range shard.Plan() {
		checkpoints.Add(shard, c.Ctx, c.Batch, 1000)
	}
	for _, tt := range []struct {
		name string
		cp   *checkpoint.Checkpoint
		want []string
	}{
		{"all measured", full(2, 2), nil},
		{"every state", checkpoints.Mixed(), []string{"failed, with the type of error", "a part of the model was not in GPU memory", "not measured yet", "left out: num_batch above num_ctx"}},
		{"a search", checkpoints.Searched(), []string{"failed, with the type of error", "not needed by the search", "estimated fastest of its num_ctx"}},
		{"pruned", checkpoints.Pruned(), []string{"failed, with the type of error", "not measured yet", "pruned: needs at least the memory of a cell that ran out of memory"}},
		{"a shard", shard, []string{"not planned"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range newGrid(tt.cp).legend() {
				got = append(got, e.Meaning)
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
