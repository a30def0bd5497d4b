package ollamarun

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// numbered returns a function that returns prompts with different starts.
func numbered() func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("%d once upon a time", n) }
}

// TestAPIUnfinishedAnswers checks that after an answer without figures, in any form, another prompt is
// sent, at most three times.
func TestAPIUnfinishedAnswers(t *testing.T) {
	forms := map[string]string{
		"empty":             "",                                                                            // 0.32.5, stream
		"not done":          `{"model":"","created_at":"0001-01-01T00:00:00Z","response":"","done":false}`, // 0.32.5, stream false
		"text only":         `{"model":"tiny","created_at":"2026-11-26T10:55:04.055162078Z","response":"9","done":false}` + "\n",
		"done, no figures":  `{"model":"tiny","created_at":"2026-11-26T10:55:04.055162078Z","response":"","done":true,"done_reason":"length"}` + "\n",
		"done, no duration": `{"model":"tiny","created_at":"2026-11-26T10:55:04.055162078Z","response":"","done":true,"prompt_eval_count":21}` + "\n",
	}
	for name, unfinished := range forms {
		for spoilt := range maxPrompts + 1 {
			t.Run(fmt.Sprintf("%s/%d", name, spoilt), func(t *testing.T) {
				f, s := newFakeServer(t)
				a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
				require.NoError(t, err)
				f.ClearRequests()
				left := spoilt
				f.Inject(func(r ollamatest.Request) http.HandlerFunc {
					if r.Path != "/api/generate" || left == 0 {
						return nil
					}
					left--
					return ollamatest.Reply(unfinished)
				})
				sample, err := a.Sample(t.Context(), numbered())
				asked := 0
				for _, request := range f.Requests() {
					if strings.Contains(request, "/api/generate") {
						asked++
						assert.Contains(t, request, fmt.Sprintf(`"%d once upon a time"`, asked), "each request has a new prompt")
					}
				}
				if spoilt == maxPrompts {
					assert.Equal(t, maxPrompts, asked)
					assert.Equal(t, &measurement.Failure{Class: measurement.NoFigures, Detail: "the answer ended without the message that holds the figures, for each of 4 prompts: Ollama 0.30 and later send no figures where the generated text ends within a character; use another num_predict, such as 8"}, err)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, spoilt+1, asked)
				assert.Equal(t, spoilt, sample.Unfinished)
				assert.Equal(t, 21, sample.PromptEvalCount)
			})
		}
	}
}

func TestCLIUnfinishedAnswers(t *testing.T) {
	c, _, _ := newFakeCLI(t, "no summary at first")
	loaded, err := c.Load(t.Context(), 4096, 128, numbered())
	require.NoError(t, err)
	assert.Equal(t, 1, loaded.Warmup.Unfinished)
	assert.Equal(t, 943, loaded.Warmup.PromptEvalCount)
}

// TestWarmUpEstimatesTheLoad covers a load whose duration was in an answer without figures.
func TestWarmUpEstimatesTheLoad(t *testing.T) {
	answers := []measurement.Sample{
		{Wall: 9 * time.Second},
		{Wall: 1100 * time.Millisecond},
		{Wall: time.Second, LoadDuration: 2 * time.Millisecond, PromptEvalCount: 20, PromptEvalDuration: time.Second},
	}
	sample, err := warmUp(t.Context(), numbered(), func(context.Context, string) (s measurement.Sample, err error) {
		s, answers = answers[0], answers[1:]
		if s.PromptEvalCount == 0 {
			err = noFigures
		}
		return s, err
	})
	require.NoError(t, err)
	assert.Equal(t, 2, sample.Unfinished)
	assert.Equal(t, 8*time.Second, sample.LoadDuration)
}
