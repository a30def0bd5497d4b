package endtoend

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/merge"
	"github.com/ollama-sweep/ollama-sweep/internal/sweep"
	"github.com/ollama-sweep/ollama-sweep/internal/test/sweeptest"
)

// TestShardsMerge measures a sweep in three shards, each on its own engine, and merges them. One
// shard is killed and resumed on another host.
func TestShardsMerge(t *testing.T) {
	t.Parallel()
	sweeptest.NeedsEngine(t)
	config, dir := sweeptest.WriteConfig(t, "engine: embedded\n"+sweeptest.RealGrid), t.TempDir()
	out := func(shard int) string { return filepath.Join(dir, fmt.Sprintf("my-%dof3", shard)) }
	start := func(shard int, host string) *sweeptest.Process {
		env := []string{fmt.Sprintf("SWEEP_SHARD=%d/3", shard), "SWEEP_HOST=" + host}
		return sweeptest.StartWithEnv(t, env, "-config", config, "-shard", "auto", "-out", out(shard))
	}
	printed, code := start(1, "a").Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# host a, ctx=512/batch=64: ")

	p := start(2, "b")
	p.Await(t, "# 1/2 ")
	p.Signal(t, syscall.SIGKILL)
	sweeptest.RequireEngineGone(t, out(2))

	merged, err := merge.Merge([]string{filepath.Join(dir, "my-*")})
	require.NoError(t, err)
	require.Len(t, merged.Lacking, 2)
	assert.Equal(t, fmt.Sprintf("go test -run Sweep -timeout 0 -config %s -shard=2/3 -out=%s", config, out(2)), merged.Lacking[0].Command)
	assert.Equal(t, fmt.Sprintf("go test -run Sweep -timeout 0 -config %s -shard=3/3 -out=%s", config, out(3)), merged.Lacking[1].Command)

	for shard, host := range map[int]string{2: "c", 3: "a"} {
		printed, code = start(shard, host).Wait()
		require.Zero(t, code, printed)
		sweeptest.RequireEngineGone(t, out(shard))
	}
	merged, err = merge.Merge([]string{filepath.Join(dir, "my-*")})
	require.NoError(t, err)
	assert.Empty(t, merged.Lacking)
	assert.Zero(t, merged.Copies)
	assert.Empty(t, merged.Pooled)
	var cells []cell.Key
	for _, r := range merged.Checkpoint.Results {
		cells = append(cells, r.Cell())
		assert.Len(t, r.Samples, 3, r.Detail)
	}
	assert.ElementsMatch(t, sweeptest.SmallPlan, cells, "the cells of an unsharded sweep, each once")
	spread, ok := sweep.Spread(merged.Checkpoint)
	require.True(t, ok)
	assert.Len(t, spread.Hosts, 3)
	assert.Len(t, spread.Cells, 2)
	assert.True(t, spread.Cells[0].Bounded)

	// The merged sweep is resumed like any other, and another merge no longer overwrites it.
	path, err := merged.Save(filepath.Join(dir, "my"), time.Now())
	require.NoError(t, err)
	printed, code = sweeptest.StartWithEnv(t, []string{"SWEEP_HOST=a"}, "-config", config, "-out", filepath.Dir(path), "-confirm", "2").Wait()
	require.Zero(t, code, printed)
	assert.Contains(t, printed, "# 6 cells: 6 already measured, 0 to measure")
	assert.Contains(t, printed, "# confirm, round 5 of at most 6, ")
	_, err = merged.Save(filepath.Join(dir, "my"), time.Now())
	assert.ErrorContains(t, err, "is the checkpoint of a sweep, and not a merged one")
}
