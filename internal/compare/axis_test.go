package compare

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
	"github.com/ollama-sweep/ollama-sweep/internal/test/golden"
)

func TestAxis(t *testing.T) {
	for _, axis := range []string{"num_gpu", "flash_attention"} {
		comparisons, err := Axis(checkpoints.Settings(), axis)
		require.NoError(t, err)
		require.Len(t, comparisons, 1)
		var text strings.Builder
		require.NoError(t, comparisons[0].Print(&text))
		golden.Equal(t, "axis_"+axis+".txt", text.String())
	}
	comparisons, err := Axis(checkpoints.ManySettings(), "num_gpu")
	require.NoError(t, err)
	var found []string
	for _, c := range comparisons {
		found = append(found, c.betweenText())
	}
	assert.Equal(t, []string{
		"num_gpu=40 is 0.0 % slower than num_gpu=auto (95 % -0.1 to 0.1): no difference was found",
		"num_gpu=30 is 20.0 % slower than num_gpu=auto (95 % 19.9 to 20.1)",
		"num_gpu=20 is 37.5 % slower than num_gpu=auto (95 % 37.4 to 37.6)",
	}, found)
}

func TestAxisErrors(t *testing.T) {
	old, _ := updated()
	one := checkpoints.Settings()
	one.Results = one.Results[:1]
	for _, tt := range []struct {
		cp         *checkpoint.Checkpoint
		axis, want string
	}{
		{old, "num_gpu", "the sweep has no axes besides num_ctx and num_batch, which the report compares"},
		{checkpoints.Settings(), "num_thread", `the sweep has no axis "num_thread" besides num_ctx and num_batch, which the report compares: choose one of num_gpu, flash_attention`},
		{one, "num_gpu", "no two cells that differ in num_gpu alone have a rate: there is nothing to compare"},
		{checkpoints.Planned(nil, nil), "x", "the sweep has no axes besides num_ctx and num_batch, which the report compares"},
	} {
		_, err := Axis(tt.cp, tt.axis)
		assert.EqualError(t, err, tt.want)
	}
}

// TestAxisAllowsForDrift: values of a server's setting are measured one after the other, so that a drift of the
// machine may be their difference; those of an option take turns.
func TestAxisAllowsForDrift(t *testing.T) {
	cp := checkpoints.Settings()
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cp.Sweep.Started = begun
	for i := range cp.Results {
		cp.Results[i].Timestamp = begun.Add(time.Duration(i+1) * time.Minute)
	}
	for i, rate := range []float64{1560, 1480, 1400} {
		one := checkpoints.Planned(nil, nil)
		r := checkpoints.AddCell(one, cp.Results[0].Cell(), rate, rate+1, rate-1)
		r.Timestamp = begun.Add(time.Duration(4*i+3) * time.Minute)
		cp.Auxiliary = append(cp.Auxiliary, checkpoint.Auxiliary{Purpose: checkpoint.Reference, Result: *r})
	}
	server, err := Axis(cp, "flash_attention")
	require.NoError(t, err)
	assert.InDelta(t, -0.125, server[0].OldDrift, 0.03)
	assert.Greater(t, server[0].Mean.High, -0.01)
	assert.Contains(t, strings.Join(server[0].lists(), "\n"), "during the sweep, which measured one value after the other")
	option, err := Axis(cp, "num_gpu")
	require.NoError(t, err)
	assert.Zero(t, option[0].OldDrift)
	assert.Less(t, option[0].Mean.High, -0.18)
}

// TestCompareSettings checks the texts of two sweeps that have more axes.
func TestCompareSettings(t *testing.T) {
	old, new := checkpoints.Settings(), checkpoints.Settings()
	for i := range new.Results {
		if v, _ := new.Results[i].Cell().Value("flash_attention"); v == "off" && !new.Results[i].Failed() {
			for j := range new.Results[i].Samples {
				new.Results[i].Samples[j].PromptEvalDuration *= 2
			}
			new.Results[i].SetRate()
		}
	}
	class := measurement.OutOfGPUMemory
	new.Results[1] = checkpoint.NewResult(new.Results[1].Cell())
	new.Results[1].Error = &class
	c, err := Compare(old, new, 0.05)
	require.NoError(t, err)
	c.OldName, c.NewName = "results/before", "results/after"
	var text, summary strings.Builder
	require.NoError(t, c.Print(&text))
	require.NoError(t, c.WriteSummary(&summary))
	golden.Equal(t, "settings.txt", text.String())
	golden.Equal(t, "settings.md", summary.String())

	_, err = Compare(checkpoints.Mixed(), new, 0)
	assert.EqualError(t, err, "the sweeps have different axes: num_ctx, num_batch, and num_ctx, num_batch, num_gpu, flash_attention")
}
