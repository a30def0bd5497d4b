package measurement

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRates(t *testing.T) {
	s := Sample{PromptEvalCount: 100, PromptEvalDuration: 500 * time.Millisecond, EvalCount: 3, EvalDuration: time.Second}
	rate, ok := s.PromptEvalRate()
	assert.True(t, ok)
	assert.Equal(t, 200.0, rate)
	rate, ok = s.EvalRate()
	assert.True(t, ok)
	assert.Equal(t, 3.0, rate)
	_, ok = Sample{PromptEvalCount: 1}.PromptEvalRate()
	assert.False(t, ok)
	_, ok = Sample{PromptEvalDuration: 1}.PromptEvalRate()
	assert.False(t, ok)
}

// TestEvaluated checks that the rate counts only evaluated tokens, if their number is known.
func TestEvaluated(t *testing.T) {
	four := 4
	for _, test := range []struct {
		sample Sample
		rate   float64
	}{
		{Sample{PromptEvalCount: 10, PromptEvalDuration: time.Second}, 10},
		{Sample{PromptEvalCount: 10, PromptEvalDuration: time.Second, PromptCached: &four}, 6},
		{Sample{PromptEvalCount: 10, PromptEvalDuration: time.Second, PromptCached: &four, PromptEvaluated: 6}, 6},
		// A server that does not count cached tokens.
		{Sample{PromptEvalCount: 6, PromptEvalDuration: time.Second, PromptCached: &four, PromptEvaluated: 6}, 6},
	} {
		require.NoError(t, test.sample.Check())
		rate, ok := test.sample.PromptEvalRate()
		assert.True(t, ok)
		assert.Equal(t, test.rate, rate)
	}
	all := Sample{PromptEvalCount: 4, PromptEvalDuration: time.Second, PromptCached: &four}
	_, ok := all.PromptEvalRate()
	assert.False(t, ok, "nothing was evaluated")
	all.PromptEvalCount = 3
	assert.ErrorContains(t, all.Check(), "prompt_eval_cached_count is 4 of a prompt_eval_count of 3")
}
