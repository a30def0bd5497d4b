package compare

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/verdict"
)

// busy marks samples of a result as disturbed by other programs, and halves their rates.
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
	assert.False(t, c.Cells[0].Significant, "other programs took 55 % of the machine, which may cost half of the rate")
	assert.Equal(t, 4, c.Cells[1].NNew, "the cell's other samples count")
	assert.Equal(t, 5, c.Cells[2].NOld, "one sample is far below its cell's others")
	assert.False(t, c.Failed())
	assert.Greater(t, c.Mean.High, 0.0)
	var b strings.Builder
	require.NoError(t, c.Print(&b))
	assert.Contains(t, b.String(), "Disturbed by other programs, which the intervals include: num_ctx=1024 with num_batch=128\n")

	slow := swept(3, ctx, batch, 6, func(int, int) float64 { return 200 })
	for i := range slow.Results {
		busy(&slow.Results[i], 0, 1, 2, 3, 4, 5)
	}
	c, err = Compare(old, slow, 0.05)
	require.NoError(t, err)
	assert.True(t, c.Failed(), "a fifth of the rate is a larger loss than the disturbance explains")
}

// TestAxisWithoutBusySamples checks that the comparison of an axis leaves out the samples for its mean that it
// leaves out for cells, and allows for those that it can't leave out.
func TestAxisWithoutBusySamples(t *testing.T) {
	mean := func(disturb func(r *checkpoint.Result)) verdict.Gain {
		cp := checkpoints.Settings()
		for i := range cp.Results {
			r := &cp.Results[i]
			r.Samples = slices.Concat(r.Samples, r.Samples)
			if v, _ := r.Cell().Value("num_gpu"); v == "20" && !r.Failed() {
				disturb(r)
			}
		}
		comparisons, err := Axis(cp, "num_gpu")
		require.NoError(t, err)
		require.Len(t, comparisons, 1)
		return comparisons[0].Mean
	}
	quiet := mean(func(*checkpoint.Result) {})
	some := mean(func(r *checkpoint.Result) { busy(r, 0, 1, 2, 3) })
	assert.InDelta(t, quiet.Ratio, some.Ratio, 0.005, "two undisturbed samples of each cell are left")
	all := mean(func(r *checkpoint.Result) { busy(r, 0, 1, 2, 3, 4, 5) })
	assert.Less(t, all.Ratio, quiet.Ratio-0.2)
	assert.Greater(t, all.High, quiet.Ratio, "what other programs may have cost")
}

// TestDriftIsAllowedFor: two sweeps of the same settings; the reference cell of one shows that the
// machine became 15 % slower.
func TestDriftIsAllowedFor(t *testing.T) {
	ctx, batch := []int{1024, 2048, 4096}, []int{128, 256}
	old := swept(1, ctx, batch, 6, plainRate)
	new := swept(2, ctx, batch, 6, func(ctx, _ int) float64 { return map[int]float64{1024: 1000, 2048: 930, 4096: 860}[ctx] })
	c, err := Compare(old, new, 0.05)
	require.NoError(t, err)
	assert.True(t, c.Failed(), "without a reference cell the change counts")
	assert.NotContains(t, strings.Join(c.lists(), "\n"), "machine's speed")

	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	new.Sweep.Started = begun
	for i := range new.Results {
		new.Results[i].Timestamp = begun.Add(time.Duration(i+1) * time.Minute)
	}
	for i, rate := range []float64{950, 900, 855} {
		r := swept(uint64(10+i), ctx[:1], batch[:1], 3, func(int, int) float64 { return rate }).Results[0]
		r.Timestamp = begun.Add(time.Duration(2*i+3) * time.Minute)
		new.Auxiliary = append(new.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.Reference, Result: r})
	}
	c, err = Compare(old, new, 0.05)
	require.NoError(t, err)
	assert.Zero(t, c.OldDrift)
	assert.InDelta(t, -0.145, c.NewDrift, 0.02)
	assert.False(t, c.Failed())
	assert.Empty(t, c.significant())
	assert.Greater(t, c.Mean.High, 0.0)
	assert.Regexp(t, `The machine's speed changed by \+?0\.0 % during the old sweep and by -1\d\.\d % during the new one: up to 1\d\.\d % of any difference may be due to that, and the intervals include it; for a clearer result use -order round`, strings.Join(c.lists(), "\n"))

	slower := swept(3, ctx, batch, 6, func(int, int) float64 { return 600 })
	slower.Sweep, slower.Auxiliary = new.Sweep, new.Auxiliary
	c, err = Compare(old, slower, 0.05)
	require.NoError(t, err)
	assert.True(t, c.Failed(), "a loss larger than the drift is found")
}
