package measurement

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProbe(t *testing.T) {
	cost := 2 * time.Millisecond
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	p := Probe{NumBatch: 64, Depth: 480, Tokens: 64, Duration: 10 * time.Millisecond, RequestCost: &cost, Verified: true, Timestamp: at}
	rate, ok := p.Rate()
	assert.True(t, ok)
	assert.InDelta(t, 8000, rate, 1e-9)
	text, err := json.Marshal(p)
	require.NoError(t, err)
	assert.JSONEq(t, `{"num_batch":64,"depth":480,"tokens":64,"duration_ns":10000000,"request_cost_ns":2000000,"verified":true,"timestamp":"2026-11-27T10:00:00Z"}`, string(text))
	var back Probe
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, p, back)

	p.RequestCost = nil
	rate, ok = p.Rate()
	assert.True(t, ok)
	assert.InDelta(t, 6400, rate, 1e-9)
	*back.RequestCost = 10 * time.Millisecond
	_, ok = back.Rate()
	assert.False(t, ok, "nothing is left for the pass")
	assert.EqualError(t, &Unprobeable{Reason: "the server keeps no prompts"}, "can't be probed: the server keeps no prompts")
}
