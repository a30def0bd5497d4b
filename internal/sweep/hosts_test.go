package sweep

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// shared makes the sweep one that several hosts share.
func (f *fixture) shared(host string) *fixture {
	f.Host, f.HostCells = host, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 200}}
	return f
}

// hostLoadsOf counts a host's loads of each cell that compares hosts.
func hostLoadsOf(cp *checkpoint.Checkpoint, host string) []int {
	return []int{hostLoads(cp, host, cell.Key{Ctx: 1000, Batch: 100}), hostLoads(cp, host, cell.Key{Ctx: 2000, Batch: 200})}
}

func TestHostCellsBeforeAndAfter(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir).shared("a")
	f.Plan = []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Equal(t, []cell.Key{{Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 200}, {Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}, {Ctx: 1000, Batch: 100}, {Ctx: 2000, Batch: 200}}, f.fake.loads)
	assert.Equal(t, 2, summary.Measured, "auxiliary measurements do not count")
	assert.Len(t, f.bench, 2)
	assert.Contains(t, f.log.String(), "# host a, ctx=2000/batch=200: 2200.0 tokens/s\n")
	cp, err := checkpoint.Load(f.Store.Path())
	require.NoError(t, err)
	for _, r := range cp.Auxiliary {
		assert.Equal(t, checkpoint.HostCheck, r.Purpose)
		assert.Equal(t, "a", r.Host)
		assert.Len(t, r.Samples, ReferenceSamples)
	}
	_, ok := Spread(cp)
	assert.False(t, ok, "one host")

	// A second run has nothing to do, neither on this host nor on another.
	for _, host := range []string{"a", "b"} {
		f = newFixture(t, dir).shared(host)
		f.Plan = []cell.Key{{Ctx: 1000, Batch: 200}, {Ctx: 2000, Batch: 100}}
		f.run(t.Context())
		assert.Empty(t, f.fake.loads)
	}
}

// TestHostCellsOfEveryHost: a sweep that is resumed on another host measures them there too.
func TestHostCellsOfEveryHost(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir).shared("a")
	f.BudgetCells = 2
	f.run(t.Context())
	assert.Equal(t, []int{1, 1}, hostLoadsOf(f.Store.Checkpoint(), "a"))

	f = newFixture(t, dir).shared("b")
	f.fake.rate = func(c cell.Key) float64 { return 0.5 * float64(c.Ctx+c.Batch) }
	f.run(t.Context())
	cp := f.Store.Checkpoint()
	assert.Equal(t, []int{1, 1}, hostLoadsOf(cp, "a"))
	assert.Equal(t, []int{2, 2}, hostLoadsOf(cp, "b"))
	spread, ok := Spread(cp)
	require.True(t, ok)
	require.Len(t, spread.Cells, 2)
	assert.Equal(t, "b", spread.Cells[0].Slowest)
	assert.InDelta(t, 1, spread.Cells[0].Ratio, 1e-6)
	assert.True(t, spread.Cells[1].Significant)
}

func TestHostCellsThatFail(t *testing.T) {
	f := newFixture(t, t.TempDir()).shared("a")
	f.fake.loadErrs[cell.Key{Ctx: 2000, Batch: 200}] = []error{&measurement.Failure{Class: measurement.ModelError, Detail: "no"}}
	f.Plan = []cell.Key{{Ctx: 1000, Batch: 200}}
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable(), "the plan is not affected")
	assert.Contains(t, f.log.String(), "# host a, ctx=2000/batch=200: Model error: no\n")
	assert.Equal(t, []int{2, 2}, hostLoadsOf(f.Store.Checkpoint(), "a"), "after the plan it is tried again")

	f = newFixture(t, t.TempDir()).shared("a")
	f.Filtered = true
	f.run(t.Context())
	assert.Empty(t, f.Store.Checkpoint().Auxiliary, "only some cells were requested")
}

// TestHostCellsFit: a prompt that is too long for these cells is refused, as for a
// cell of the plan.
func TestHostCellsFit(t *testing.T) {
	f := newFixture(t, t.TempDir()).shared("a")
	f.HostCells = []cell.Key{{Ctx: 500, Batch: 100}}
	summary, _ := f.run(t.Context())
	assert.ErrorContains(t, summary.Stop, "has 522 tokens, which with num_predict 2 do not fit the smallest num_ctx 500")
	assert.Empty(t, f.fake.loads)
}

// TestShardWithoutCells: a shard without cells is no failure.
func TestShardWithoutCells(t *testing.T) {
	f := newFixture(t, t.TempDir()).shared("a")
	f.Plan = nil
	summary, _ := f.run(t.Context())
	require.NoError(t, summary.Usable())
	assert.Empty(t, f.fake.loads)
}
