package ollamarun

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const ms = time.Millisecond

// taken returns a prober that has sent a kept prompt of 500 tokens, which took 500 ms.
func taken(passes ...pass) *prober {
	first := measurement.Sample{PromptEvalCount: 500, PromptEvalDuration: 500 * ms, TotalDuration: 510 * ms, EvalDuration: 5 * ms}
	return &prober{tokens: 1000, first: first, passes: passes, repeated: []measurement.Sample{{PromptEvalDuration: 3 * ms}}}
}

// TestCheckKept recognizes servers that don't evaluate a kept prompt's last token alone.
func TestCheckKept(t *testing.T) {
	four, one := 496, 499
	for _, test := range []struct {
		name   string
		again  measurement.Sample
		reason string // a part of it, empty for none
	}{
		{"kept", measurement.Sample{PromptEvalCount: 500, PromptEvalDuration: 4 * ms}, ""},
		{"kept, as reported", measurement.Sample{PromptEvalCount: 500, PromptEvalDuration: 4 * ms, PromptCached: &one}, ""},
		{"evaluated in part", measurement.Sample{PromptEvalCount: 500, PromptEvalDuration: 4 * ms, PromptCached: &four}, "of a prompt of 500 tokens that was sent again, the server evaluated 4"},
		{"evaluated again", measurement.Sample{PromptEvalCount: 500, PromptEvalDuration: 450 * ms}, "a prompt took 500ms, and 450ms when it was sent again"},
		{"counts only what it evaluates", measurement.Sample{PromptEvalCount: 1, PromptEvalDuration: 4 * ms}, "counts 500 tokens of a prompt, and 1 when it is sent again"},
	} {
		err := taken().checkKept(test.again)
		if test.reason == "" {
			assert.NoError(t, err, test.name)
			continue
		}
		assert.ErrorContains(t, err, test.reason, test.name)
	}
	lastBatch := taken()
	lastBatch.first.TotalDuration = 5 * time.Second
	assert.ErrorContains(t, lastBatch.checkKept(measurement.Sample{PromptEvalCount: 500, PromptEvalDuration: 4 * ms}), "does not time a whole prompt: it reports 500ms of the 4.995s")
	short := taken()
	short.first.PromptEvalCount = 100
	assert.ErrorContains(t, short.checkKept(measurement.Sample{PromptEvalCount: 100, PromptEvalDuration: 4 * ms}), "after 100 tokens durations can't show it")
}

func TestCheckPass(t *testing.T) {
	depth, less := 400, 200
	assert.NoError(t, checkPass(pass{measurement.Sample{PromptEvalCount: 420}, 20, 400, time.Time{}}))
	assert.NoError(t, checkPass(pass{measurement.Sample{PromptEvalCount: 420, PromptCached: &depth}, 20, 400, time.Time{}}))
	assert.ErrorContains(t, checkPass(pass{measurement.Sample{PromptEvalCount: 421}, 20, 400, time.Time{}}), "at most 20 tokens, added to a prompt of 400, made it one of 421")
	assert.ErrorContains(t, checkPass(pass{measurement.Sample{PromptEvalCount: 300}, 20, 400, time.Time{}}), "made it one of 300")
	assert.ErrorContains(t, checkPass(pass{measurement.Sample{PromptEvalCount: 420, PromptCached: &less}, 20, 400, time.Time{}}), "evaluated 220 tokens of a prompt, of which only 20 were new")
}

// TestCheckDurations: without a report of what was evaluated, the durations must have no other
// explanation.
func TestCheckDurations(t *testing.T) {
	of := func(size int, took ...time.Duration) (all []pass) {
		for _, d := range took {
			all = append(all, pass{Sample: measurement.Sample{PromptEvalDuration: d}, size: size})
		}
		return all
	}
	assert.NoError(t, taken(of(100, 120*ms, 700*ms, 110*ms)...).checkDurations(), "one of three was disturbed")
	assert.ErrorContains(t, taken(of(100, 600*ms, 120*ms, 610*ms)...).checkDurations(), "100 tokens after a prompt of 450 took 600ms, about as long as all of them")
	var doubt *measurement.Unprobeable
	require.ErrorAs(t, taken(of(100, 600*ms, 610*ms)...).checkDurations(), &doubt)
	assert.False(t, doubt.Temporary)
	short := taken(of(100, 60*ms, 61*ms)...)
	short.first.PromptEvalDuration /= 10
	require.ErrorAs(t, short.checkDurations(), &doubt)
	assert.True(t, doubt.Temporary, "another program may have taken so long")
	assert.NoError(t, taken(of(300, 600*ms)...).checkDurations(), "300 of 650 tokens that were disturbed")
	assert.ErrorContains(t, taken(of(500, 3*ms, 4*ms, 5*ms)...).checkDurations(), "500 tokens after a prompt of 250 took 4ms, about as long as one")
	assert.NoError(t, taken(of(8, 4*ms)...).checkDurations(), "8 tokens can take as long as one")
	reported := 450
	known := of(100, 600*ms)
	known[0].PromptCached = &reported
	assert.NoError(t, taken(known...).checkDurations(), "the server reports what it evaluates")
}

func TestRequestCost(t *testing.T) {
	p := taken(pass{Sample: measurement.Sample{PromptEvalDuration: 9 * ms}})
	assert.Nil(t, p.requestCost(), "nothing was generated")
	p.repeated = []measurement.Sample{
		{PromptEvalDuration: 7 * ms, EvalCount: 4, EvalDuration: 12 * ms},
		{PromptEvalDuration: 6 * ms, EvalCount: 4, EvalDuration: 15 * ms},
		{PromptEvalDuration: 5 * ms, EvalCount: 1}, // no more generated
	}
	require.NotNil(t, p.requestCost())
	assert.Equal(t, 2*ms, *p.requestCost())
	p.passes[0].PromptEvalDuration = 5 * ms
	assert.Equal(t, 1*ms, *p.requestCost(), "a pass takes at least as long as a token")
	p.passes[0].PromptEvalDuration = 3 * ms
	assert.Equal(t, 0*ms, *p.requestCost())
}

// TestProbeNothingKept: the simulated server evaluates every prompt as a whole.
func TestProbeNothingKept(t *testing.T) {
	f, s := newFakeServer(t)
	f.Simulate(100)
	a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
	require.NoError(t, err)
	_, err = a.Load(t.Context(), 2048, 512, numbered())
	require.NoError(t, err)
	_, err = a.Probe(t.Context(), 1024, []int{8, 64}, 1, wordsOf)
	var unprobeable *measurement.Unprobeable
	require.ErrorAs(t, err, &unprobeable)
	assert.Contains(t, err.Error(), "can't be probed: ")
	assert.Contains(t, err.Error(), "the server keeps no prompts")
	assert.False(t, unprobeable.Temporary)
}

// TestProbesOfSmallPasses: what a server does on a CPU for a pass of another size is no part of a probe; on a GPU
// no two passes of a size follow each other.
func TestProbesOfSmallPasses(t *testing.T) {
	for name, onCPU := range map[string]bool{"CPU": true, "GPU": false} {
		t.Run(name, func(t *testing.T) {
			f, s := newFakeServer(t)
			f.Simulate(100)
			f.KeepPrompts()
			a, err := NewAPI(t.Context(), s, "tiny", nil, 2)
			require.NoError(t, err)
			_, err = a.Load(t.Context(), 2048, 512, numbered())
			require.NoError(t, err)
			s.onCPU = onCPU
			f.ClearRequests()
			probes, err := a.Probe(t.Context(), 1024, []int{8, 16, 100}, 1, wordsOf)
			require.NoError(t, err)
			require.Len(t, probes, 3)
			for _, p := range probes {
				rate, ok := p.Rate()
				require.True(t, ok)
				if onCPU {
					assert.InEpsilon(t, float64(50_000+2048%977+7*p.NumBatch)/100, rate, 0.01, "%d tokens", p.NumBatch)
				}
			}
			var sent []int // the lengths of prompts
			for _, r := range f.Requests() {
				_, body, _ := strings.Cut(r, "/api/generate ")
				var asked struct{ Prompt string }
				if json.Unmarshal([]byte(body), &asked) == nil {
					sent = append(sent, len(asked.Prompt))
				}
			}
			inARow := 0
			for i, n := range sent[1:] {
				if n == sent[i] && slices.Contains([]int{508 + 8, 504 + 16, 462 + 100}, n) {
					inARow++
				}
			}
			assert.Equal(t, map[bool]int{true: 3, false: 0}[onCPU], inARow, "%v", sent)
		})
	}
}
