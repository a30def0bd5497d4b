package sweep

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGridOrder(t *testing.T) {
	g := Grid{Ctx: []int{4, 8, 16}, Batch: []int{4, 8}}

	plan, leftOut := g.Cells()
	assert.Equal(t, []Cell{{4, 4}, {8, 4}, {8, 8}, {16, 4}, {16, 8}}, plan, "column order")
	assert.Equal(t, []Cell{{4, 8}}, leftOut, "a batch above its ctx")

	g.BatchFirst = true
	plan, _ = g.Cells()
	assert.Equal(t, []Cell{{4, 4}, {8, 4}, {16, 4}, {8, 8}, {16, 8}}, plan, "row order")
}

func TestCellName(t *testing.T) {
	assert.Equal(t, "ctx=4096/batch=512", Cell{4096, 512}.String())
}

func TestShardsDealLikeShares(t *testing.T) {
	var ctx, batch []int
	for i := 1; i <= 39; i++ {
		ctx = append(ctx, i*2048)
	}
	for i := 1; i <= 16; i++ {
		batch = append(batch, i*128)
	}
	for _, batchFirst := range []bool{false, true} {
		seen := make(map[Cell]int)
		for index := 1; index <= 5; index++ {
			c := Config{NumCtx: Axis{List: ctx}, NumBatch: Axis{List: batch}, TestRowFirst: batchFirst, Shard: Shard{index, 5}}
			plan, _ := c.Plan()
			perCtx := make(map[int]int)
			for _, cell := range plan {
				seen[cell]++
				perCtx[cell.Ctx]++
			}
			for _, n := range perCtx {
				assert.InDelta(t, 16.0/5, n, 1, "shares of one num_ctx differ by one at most")
			}
			cp := Checkpoint{Sweep: Header{NumCtx: ctx, NumBatch: batch, Shard: c.Shard}}
			assert.ElementsMatch(t, plan, cp.Plan(), "the checkpoint knows its own part")
		}
		whole, _ := Grid{Ctx: ctx, Batch: batch}.Cells()
		assert.Len(t, seen, len(whole), "all shards together are the whole")
		for cell, n := range seen {
			assert.Equal(t, 1, n, "%v is measured once", cell)
		}
	}
}

func TestParseShard(t *testing.T) {
	sh, err := ParseShard("2/4")
	assert.NoError(t, err)
	assert.Equal(t, Shard{2, 4}, sh)
	for _, bad := range []string{"", "2", "0/4", "5/4", "-1/4", "2/4x", "a/b", "1/0", "02/4"} {
		_, err := ParseShard(bad)
		assert.Error(t, err, bad)
	}
}
