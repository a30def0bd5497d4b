package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/cell"
	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/checkpoints"
)

// disturbed is a sweep in which the machine was busy during two cells, one of which was measured
// again, and in which another cell is far below the others.
func disturbed() *checkpoint.Checkpoint {
	cp := checkpoints.Planned([]int{1024, 2048, 4096, 8192}, []int{64, 128, 256})
	for _, ctx := range cp.Sweep.NumCtx {
		for i, rate := range []float64{1000, 1400, 1600} {
			checkpoints.Add(cp, ctx, cp.Sweep.NumBatch[i], rate+float64(ctx)/1000)
		}
	}
	slowed := func(r *checkpoint.Result, share float64) measurement.Sample {
		s := r.Samples[0]
		s.PromptEvalDuration = s.PromptEvalDuration * 3
		s.CPU = &measurement.CPUUse{Count: 4, Server: 4 - 4*share, Others: 4 * share}
		return s
	}
	cp.Results[1].SetAside = []measurement.Sample{slowed(&cp.Results[1], 0.25)}
	cp.Results[5].Samples[0] = slowed(&cp.Results[5], 0.6)
	cp.Results[5].SetRate()
	cp.Results[6].Samples[0].PromptEvalDuration *= 40
	cp.Results[6].SetRate()
	return cp
}

func TestPrintDisturbances(t *testing.T) {
	cp := disturbed()
	var b strings.Builder
	require.NoError(t, Print(&b, cp, Options{}))
	text := strings.Join(strings.Fields(b.String()), " ")
	assert.Contains(t, text, "Disturbed: the machine was busy in 2 of 12 cells (other programs used 2.4 of 4 CPUs); 1 cell was far from the rate expected from the others; 1 measured again; 2 in doubt: measure again with -redo while nothing else uses the machine")
	assert.Contains(t, text, "? in doubt: something other than the settings may have changed the rate")
	assert.Regexp(t, `(?m)^ +256 +1601\.0  +534\.0\? `, b.String())
	assert.NotContains(t, text, "in doubt: num_ctx")

	b.Reset()
	require.NoError(t, Print(&b, cp, Options{Full: true}))
	assert.Contains(t, b.String(), "  in doubt: num_ctx=2048 with num_batch=256; num_ctx=4096 with num_batch=64\n")

	g := newGrid(cp)
	assert.Contains(t, g.cellText(cell.Key{Ctx: 1024, Batch: 128}, ""), "set aside, because they were in doubt: 467.0 tokens/s")
	assert.Contains(t, g.cellText(cell.Key{Ctx: 2048, Batch: 256}, ""), "in doubt: 534.0 tokens/s: other programs used 2.4 of 4 CPUs")
	assert.Contains(t, g.cellText(cell.Key{Ctx: 4096, Batch: 64}, ""), "in doubt: 25.1 tokens/s: far from the rate expected from the other cells")
	assert.Contains(t, g.marks(cell.Key{Ctx: 4096, Batch: 64}, ""), pageMark{"?", disturbedText})
	assert.Empty(t, g.marks(cell.Key{Ctx: 1024, Batch: 128}, ""))
}

func TestPrintNoDisturbances(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Print(&b, checkpoints.Mixed(), Options{Full: true}))
	assert.NotContains(t, b.String(), "Disturbed")
	assert.NotContains(t, b.String(), "?")
}
