package sweep

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/config"
)

func TestShardsHaveEqualShares(t *testing.T) {
	var ctx, batch []int
	for i := 1; i <= 39; i++ {
		ctx = append(ctx, i*2048)
	}
	for i := 1; i <= 16; i++ {
		batch = append(batch, i*128)
	}
	for _, batchFirst := range []bool{false, true} {
		seen := make(map[cell.Key]int)
		for index := 1; index <= 5; index++ {
			c := config.Config{NumCtx: cell.Axis{List: ctx}, NumBatch: cell.Axis{List: batch}, TestRowFirst: batchFirst, Shard: cell.Shard{Index: index, Count: 5}}
			plan, _ := c.Plan()
			perCtx := make(map[int]int)
			for _, cell := range plan {
				seen[cell]++
				perCtx[cell.Ctx]++
			}
			for _, n := range perCtx {
				assert.InDelta(t, 16.0/5, n, 1, "shares of one num_ctx differ by one at most")
			}
			cp := checkpoint.Checkpoint{Sweep: checkpoint.Header{NumCtx: ctx, NumBatch: batch, Shard: c.Shard}}
			assert.ElementsMatch(t, plan, cp.Plan(), "the checkpoint knows its own part")
		}
		whole, _ := cell.Grid{Ctx: ctx, Batch: batch}.Cells()
		assert.Len(t, seen, len(whole), "all shards together are the whole")
		for cell, n := range seen {
			assert.Equal(t, 1, n, "%v is measured once", cell)
		}
	}
}

func TestHostCells(t *testing.T) {
	c := config.Config{NumCtx: cell.Axis{List: []int{1024, 2048, 4096}}, NumBatch: cell.Axis{List: []int{64, 128, 256}}, TestRowFirst: true}
	assert.Empty(t, c.HostCells(), "one host measures all")
	for i := range 7 {
		c.Shard = cell.Shard{Index: i + 1, Count: 7}
		assert.Equal(t, []cell.Key{{Ctx: 1024, Batch: 64}, {Ctx: 2048, Batch: 128}}, c.HostCells(), "the same for every shard")
	}
	c.NumCtx.List, c.NumBatch.List = []int{1024}, []int{64}
	assert.Equal(t, []cell.Key{{Ctx: 1024, Batch: 64}}, c.HostCells())
	c.NumCtx.List, c.NumBatch.List = []int{32, 2048}, []int{64, 128, 4096}
	assert.Equal(t, []cell.Key{{Ctx: 2048, Batch: 64}, {Ctx: 2048, Batch: 128}}, c.HostCells(), "of those that can be measured")
}
