package compare

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// busy has the machine seen to be busy in samples of a result, which were slowed by it.
func busy(r *checkpoint.Result, samples ...int) {
	for _, i := range samples {
		r.Samples[i].CPU = &measurement.CPUUse{Count: 2, Server: 0.9, Others: 1.1}
		r.Samples[i].PromptEvalDuration = r.Samples[i].PromptEvalDuration * 2
	}
	r.SetRate()
}

func TestBusySamplesAreAllowedFor(t *testing.T) {
	ctx, batch := []int{1024, 2048}, []int{128, 256}
	old, new := swept(1, ctx, batch, 6, plainRate), swept(2, ctx, batch, 6, plainRate)
	busy(&new.Results[0], 0, 1, 2, 3, 4, 5)
	busy(&new.Results[1], 0, 1)
	old.Results[2].Samples[3].PromptEvalDuration *= 2
	old.Results[2].SetRate()
	c, err := Compare(old, new, 0.05)
	require.NoError(t, err)
	assert.Equal(t, []cell.Key{{Ctx: 1024, Batch: 128}}, c.Disturbed)
	require.Len(t, c.Cells, 4)
	assert.InDelta(t, -0.5, c.Cells[0].Ratio, 0.02)
	assert.False(t, c.Cells[0].Significant, "others took 55 % of the machine, which may cost half of the rate")
	assert.Equal(t, 4, c.Cells[1].NNew, "the others of the cell count")
	assert.Equal(t, 5, c.Cells[2].NOld, "one sample is far below its cell's others")
	assert.False(t, c.Failed())
	assert.Greater(t, c.Mean.High, 0.0)
	var b strings.Builder
	require.NoError(t, c.Print(&b))
	assert.Contains(t, b.String(), "Something else used the machine, for which intervals allow: num_ctx=1024 with num_batch=128\n")

	slow := swept(3, ctx, batch, 6, func(int, int) float64 { return 200 })
	for i := range slow.Results {
		busy(&slow.Results[i], 0, 1, 2, 3, 4, 5)
	}
	c, err = Compare(old, slow, 0.05)
	require.NoError(t, err)
	assert.True(t, c.Failed(), "a tenth of the rate is more than that costs")
}

// TestDriftIsAllowedFor: two sweeps of the same things, on a machine of which one saw that it became
// 15 % slower.
func TestDriftIsAllowedFor(t *testing.T) {
	ctx, batch := []int{1024, 2048, 4096}, []int{128, 256}
	old := swept(1, ctx, batch, 6, plainRate)
	new := swept(2, ctx, batch, 6, func(ctx, _ int) float64 { return map[int]float64{1024: 1000, 2048: 930, 4096: 860}[ctx] })
	c, err := Compare(old, new, 0.05)
	require.NoError(t, err)
	assert.True(t, c.Failed(), "where nothing tells that it is the machine")
	assert.NotContains(t, strings.Join(c.lists(), "\n"), "machine itself")

	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	new.Sweep.Started = begun
	for i := range new.Results {
		new.Results[i].Timestamp = begun.Add(time.Duration(i+1) * time.Minute)
	}
	for i, rate := range []float64{950, 900, 855} {
		r := swept(uint64(10+i), ctx[:1], batch[:1], 3, func(int, int) float64 { return rate }).Results[0]
		r.Timestamp = begun.Add(time.Duration(2*i+3) * time.Minute)
		new.Remeasured = append(new.Remeasured, checkpoint.Remeasured{Purpose: checkpoint.Reference, Result: r})
	}
	c, err = Compare(old, new, 0.05)
	require.NoError(t, err)
	assert.Zero(t, c.OldDrift)
	assert.InDelta(t, -0.145, c.NewDrift, 0.02)
	assert.False(t, c.Failed())
	assert.Empty(t, c.significant())
	assert.Greater(t, c.Mean.High, 0.0)
	assert.Regexp(t, `The machine itself changed by \+?0\.0 % while the old sweep ran and by -1\d\.\d % while the new one did: 1\d\.\d % of any difference may be that, and is allowed for; -order round`, strings.Join(c.lists(), "\n"))

	slower := swept(3, ctx, batch, 6, func(int, int) float64 { return 600 })
	slower.Sweep, slower.Remeasured = new.Sweep, new.Remeasured
	c, err = Compare(old, slower, 0.05)
	require.NoError(t, err)
	assert.True(t, c.Failed(), "more than the drift is found")
}
