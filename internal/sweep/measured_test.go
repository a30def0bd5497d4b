package sweep

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/checkpoint"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample returns a sample with a prompt of 1000 tokens.
func sample(tokensPerSec float64) measurement.Sample {
	return measurement.Sample{
		PromptEvalCount:    1000,
		PromptEvalDuration: time.Duration(1000 / tokensPerSec * float64(time.Second)),
		EvalCount:          2,
		EvalDuration:       20 * time.Millisecond,
		LoadDuration:       3 * time.Millisecond,
		TotalDuration:      time.Second,
	}
}

// measured returns a cell's result with a sample of each rate.
func measured(ctx, batch int, rates ...float64) checkpoint.Result {
	r := checkpoint.Result{NumCtx: ctx, NumBatch: batch, Timestamp: noon}
	for _, v := range rates {
		r.Samples = append(r.Samples, sample(v))
	}
	r.SetRate()
	return r
}

func openStore(t testing.TB, dir string, h checkpoint.Header) *checkpoint.Store {
	t.Helper()
	s, err := checkpoint.OpenStore(dir, h, false, noon)
	require.NoError(t, err)
	return s
}
