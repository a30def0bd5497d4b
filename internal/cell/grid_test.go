package cell

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGridOrder(t *testing.T) {
	g := Grid{Ctx: []int{4, 8, 16}, Batch: []int{4, 8}}

	plan, leftOut := g.Cells()
	assert.Equal(t, []Key{{Ctx: 4, Batch: 4}, {Ctx: 8, Batch: 4}, {Ctx: 8, Batch: 8}, {Ctx: 16, Batch: 4}, {Ctx: 16, Batch: 8}}, plan, "column order")
	assert.Equal(t, []Key{{Ctx: 4, Batch: 8}}, leftOut, "a batch above its ctx")

	g.BatchFirst = true
	plan, _ = g.Cells()
	assert.Equal(t, []Key{{Ctx: 4, Batch: 4}, {Ctx: 8, Batch: 4}, {Ctx: 16, Batch: 4}, {Ctx: 8, Batch: 8}, {Ctx: 16, Batch: 8}}, plan, "row order")
}

func TestCellName(t *testing.T) {
	assert.Equal(t, "ctx=4096/batch=512", Key{Ctx: 4096, Batch: 512}.String())
}

// TestShardsGetEveryBatch: where there are as many shards as num_batch in a column,
// no shard has the same num_batch in every column.
func TestShardsGetEveryBatch(t *testing.T) {
	for _, test := range []struct{ ctxs, batches, shards int }{{8, 4, 4}, {12, 4, 2}, {8, 6, 4}, {9, 3, 9}} {
		var ctx, batch []int
		for i := range test.ctxs {
			ctx = append(ctx, 1024*(i+1))
		}
		for i := range test.batches {
			batch = append(batch, 8*(i+1))
		}
		whole, _ := Grid{Ctx: ctx, Batch: batch}.Cells()
		for index := range test.shards {
			part := Shard{index + 1, test.shards}.Of(whole)
			assert.Len(t, part, len(whole)/test.shards)
			_, batches := Axes(part)
			assert.GreaterOrEqual(t, len(batches), min(len(part), test.batches)-1, "%v: shard %d has only num_batch %v", test, index+1, batches)
		}
	}
}

// TestShardsGetEveryValue: the shards of a grid with more axes have equally many cells, and each of
// them has every value of every axis.
func TestShardsGetEveryValue(t *testing.T) {
	threads, gpu := SettingAxis{"num_thread", []string{"1", "2"}}, SettingAxis{"num_gpu", []string{"auto", "0", "20"}}
	flash, env := SettingAxis{"flash_attention", []string{"on", "off"}}, SettingAxis{"GGML_X", []string{"1", "2"}}
	for name, test := range map[string]struct {
		grid   Grid
		shards int
	}{
		"as many as the fastest values": {Grid{Ctx: []int{4, 8}, Batch: []int{2, 4}, Settings: []SettingAxis{threads}}, 2},
		"an odd number of num_batch":    {Grid{Ctx: []int{4, 8}, Batch: []int{1, 2, 4}, Settings: []SettingAxis{threads}}, 2},
		"one num_ctx and num_batch":     {Grid{Ctx: []int{4}, Batch: []int{2}, Settings: []SettingAxis{gpu, threads}}, 2},
		"a setting of the server":       {Grid{Ctx: []int{4, 8}, Batch: []int{2, 4}, Settings: []SettingAxis{flash}}, 2},
		"two of them":                   {Grid{Ctx: []int{4, 8}, Batch: []int{2}, Settings: []SettingAxis{flash, env}}, 2},
		"five axes":                     {Grid{Ctx: []int{4, 8, 16}, Batch: []int{2, 4, 3}, Settings: []SettingAxis{gpu, threads, flash}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			whole, leftOut := test.grid.Cells()
			require.Empty(t, leftOut)
			seen := make(map[Key]bool)
			for index := range test.shards {
				part := Shard{index + 1, test.shards}.Of(whole)
				assert.Len(t, part, len(whole)/test.shards)
				for _, c := range part {
					assert.False(t, seen[c], "%v", c)
					seen[c] = true
				}
				ctx, batch := Axes(part)
				assert.Equal(t, test.grid.Ctx, ctx)
				assert.Len(t, batch, len(test.grid.Batch))
				for _, a := range test.grid.Settings {
					of := make(map[string]int)
					for _, c := range part {
						v, _ := c.Settings.Value(a.Name)
						of[v]++
					}
					assert.Len(t, of, len(a.Values), "shard %d has only some values of %s: %v", index+1, a.Name, part)
					for _, n := range of {
						assert.InDelta(t, len(part)/len(a.Values), n, 1)
					}
				}
			}
			assert.Len(t, seen, len(whole))
		})
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

func TestNamesOfManyCells(t *testing.T) {
	assert.Empty(t, Names(nil))
	assert.Equal(t, "num_ctx=1024 with num_batch=64", Names([]Key{{Ctx: 1024, Batch: 64}}))

	batches := make([]int, 250)
	for i := range batches {
		batches[i] = 1 + i
	}
	whole, _ := Grid{Ctx: []int{2048, 4096, 8192, 16384}, Batch: batches}.Cells()
	require.Len(t, whole, 1000)
	all := Names(whole)
	assert.True(t, strings.HasPrefix(all, "num_ctx=2048, 4096, 8192, 16384 with num_batch=1, 2, "), all)
	assert.True(t, strings.HasSuffix(all, ", 249, 250"), all)

	diagonal := make([]Key, 1_000_000)
	for i := range diagonal {
		diagonal[i] = Key{Ctx: 10_000_000 + i, Batch: 1_000_000 + i}
	}
	const each = "num_ctx=10000000 with num_batch=1000000; "
	text, n := Names(diagonal), maxNamesLength/len(each)
	assert.True(t, strings.HasSuffix(text, fmt.Sprintf("num_batch=%d and %d more", 1_000_000+n-1, 1_000_000-n)), text)
	assert.Len(t, text, n*len(each)-len("; ")+len(" and 999952 more"))

	huge := make([]Key, 0, 2000)
	for i := range 2000 {
		huge = append(huge, Key{Ctx: 1024, Batch: 1_000_000_000_000 + i})
	}
	assert.Less(t, len(Names(huge)), 2100, "also with one num_ctx")
}
