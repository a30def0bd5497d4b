package ollamarun

import (
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
)

// TestExpiry plays the times of expiry that a server tells after our prompts and those of others. Its
// clock is three minutes ahead of ours.
func TestExpiry(t *testing.T) {
	ours := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	told := func(keep, after time.Duration) api.ProcessModelResponse {
		m := api.ProcessModelResponse{ContextLength: 4096}
		m.ExpiresAt, m.Size = ours.Add(3*time.Minute+after+keep), 10
		return m
	}
	begin := func() (e expiry) {
		e.after(told(keepLoaded, 0), true, ours)
		return e
	}
	e := begin()
	assert.False(t, e.otherClient(told(keepLoaded, 0)), "nobody since the load")
	e.ended = ours.Add(time.Minute)
	assert.False(t, e.otherClient(told(keepLoaded, time.Minute+10*time.Millisecond)), "our prompt")
	e.noted = true
	assert.False(t, e.otherClient(told(keepLoaded, time.Minute+10*time.Millisecond)), "nobody since")
	assert.True(t, e.otherClient(told(keepLoaded, time.Minute+20*time.Millisecond)), "a chat just after our prompt, of our length")

	for name, entry := range map[string]api.ProcessModelResponse{
		"a chat with the server's own time":  told(5*time.Minute, 30*time.Second),
		"a chat that keeps it for ever":      told(24*365*time.Hour, 30*time.Second),
		"another sweep":                      told(keepLoaded+7*time.Second, 0),
		"a request of our length, later":     told(keepLoaded, 30*time.Second),
		"one that unloads it after a second": told(time.Second, 30*time.Second),
	} {
		e := begin()
		assert.True(t, e.otherClient(entry), name)
		assert.False(t, e.otherClient(entry), "%s: once", name)
		assert.False(t, e.anotherLoad(entry))
	}

	e = begin()
	for n := range 3 { // a client that asks as soon as ours has ended is there each time
		e.ended = ours.Add(time.Duration(n) * time.Minute)
		assert.True(t, e.otherClient(told(5*time.Minute, time.Duration(n)*time.Minute+time.Millisecond)))
	}

	e = begin()
	e.after(told(keepLoaded, time.Hour), true, ours.Add(time.Hour))
	e.ended = ours.Add(time.Hour + time.Second)
	for name, test := range map[string]struct {
		at      time.Duration
		unnoted bool
	}{
		"as before: a request is at work still": {time.Hour, true},
		"one that ended as ours began":          {time.Hour + 10*time.Millisecond, true},
		"ours, by a clock that drifts":          {time.Hour + time.Second - 100*time.Millisecond, false},
		"ours, noted late":                      {time.Hour + time.Second + 50*time.Millisecond, false},
	} {
		assert.Equal(t, test.unnoted, e.unnoted(told(keepLoaded, test.at), time.Second), name)
	}
	e.ended = ours.Add(time.Hour + 40*time.Millisecond)
	assert.False(t, e.unnoted(told(keepLoaded, time.Hour+8*time.Millisecond), 40*time.Millisecond), "ours of 8 ms, whose answer was held up")
	var old expiry
	for range 2 {
		old.after(told(-time.Hour, 0), true, ours)
		assert.False(t, old.unnoted(told(-time.Hour, 0), time.Second), "a server that repeats an old answer")
	}

	for name, alter := range map[string]func(*api.ProcessModelResponse){
		"num_ctx":   func(m *api.ProcessModelResponse) { m.ContextLength = 512 },
		"num_batch": func(m *api.ProcessModelResponse) { m.Size = 12 },
	} {
		entry := told(keepLoaded, 0)
		alter(&entry)
		assert.True(t, e.anotherLoad(entry), name)
	}

	var untold expiry
	untold.after(api.ProcessModelResponse{}, true, ours)
	assert.False(t, untold.otherClient(told(time.Minute, 0)), "a server that tells none at first")
	e = begin()
	assert.False(t, e.otherClient(api.ProcessModelResponse{}), "or none any more")
}
