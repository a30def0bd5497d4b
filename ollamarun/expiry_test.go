package ollamarun

import (
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/assert"
)

// TestExpiry simulates the expiry times that a server reports after our prompts and those of other
// clients. The server's clock is three minutes ahead of ours.
func TestExpiry(t *testing.T) {
	ours := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	expiring := func(keep, after time.Duration) api.ProcessModelResponse {
		m := api.ProcessModelResponse{ContextLength: 4096}
		m.ExpiresAt, m.Size = ours.Add(3*time.Minute+after+keep), 10
		return m
	}
	begin := func() (e expiry) {
		e.setLoad(expiring(keepAlive, 0), true, ours)
		return e
	}
	e := begin()
	assert.False(t, e.otherClient(expiring(keepAlive, 0)), "no other client since the load")
	e.ended = ours.Add(time.Minute)
	assert.False(t, e.otherClient(expiring(keepAlive, time.Minute+10*time.Millisecond)), "our prompt")
	e.updated = true
	assert.False(t, e.otherClient(expiring(keepAlive, time.Minute+10*time.Millisecond)), "no other client since then")
	assert.True(t, e.otherClient(expiring(keepAlive, time.Minute+20*time.Millisecond)), "a chat just after our prompt, with our keep_alive")

	for name, entry := range map[string]api.ProcessModelResponse{
		"a chat with the server's default":    expiring(5*time.Minute, 30*time.Second),
		"a chat that keeps it for ever":       expiring(24*365*time.Hour, 30*time.Second),
		"another sweep":                       expiring(keepAlive+7*time.Second, 0),
		"a later request with our keep_alive": expiring(keepAlive, 30*time.Second),
		"one that unloads it after a second":  expiring(time.Second, 30*time.Second),
	} {
		e := begin()
		assert.True(t, e.otherClient(entry), name)
		assert.False(t, e.otherClient(entry), "%s: reported only once", name)
		assert.False(t, e.isReload(entry))
	}

	e = begin()
	for n := range 3 { // a client that sends a request right after each of ours is noticed each time
		e.ended = ours.Add(time.Duration(n) * time.Minute)
		assert.True(t, e.otherClient(expiring(5*time.Minute, time.Duration(n)*time.Minute+time.Millisecond)))
	}

	e = begin()
	e.setLoad(expiring(keepAlive, time.Hour), true, ours.Add(time.Hour))
	e.ended = ours.Add(time.Hour + time.Second)
	for name, test := range map[string]struct {
		at         time.Duration
		notUpdated bool
	}{
		"unchanged: a request is still running": {time.Hour, true},
		"one that ended as ours began":          {time.Hour + 10*time.Millisecond, true},
		"ours, with a clock that drifts":        {time.Hour + time.Second - 100*time.Millisecond, false},
		"ours, updated late":                    {time.Hour + time.Second + 50*time.Millisecond, false},
	} {
		assert.Equal(t, test.notUpdated, e.notUpdated(expiring(keepAlive, test.at), time.Second), name)
	}
	e.ended = ours.Add(time.Hour + 40*time.Millisecond)
	assert.False(t, e.notUpdated(expiring(keepAlive, time.Hour+8*time.Millisecond), 40*time.Millisecond), "ours of 8 ms, whose answer was delayed")
	var old expiry
	for range 2 {
		old.setLoad(expiring(-time.Hour, 0), true, ours)
		assert.False(t, old.notUpdated(expiring(-time.Hour, 0), time.Second), "a server that repeats an old answer")
	}

	for name, alter := range map[string]func(*api.ProcessModelResponse){
		"num_ctx":   func(m *api.ProcessModelResponse) { m.ContextLength = 512 },
		"num_batch": func(m *api.ProcessModelResponse) { m.Size = 12 },
	} {
		entry := expiring(keepAlive, 0)
		alter(&entry)
		assert.True(t, e.isReload(entry), name)
	}

	var unreported expiry
	unreported.setLoad(api.ProcessModelResponse{}, true, ours)
	assert.False(t, unreported.otherClient(expiring(time.Minute, 0)), "a server that reports no expiry at first")
	e = begin()
	assert.False(t, e.otherClient(api.ProcessModelResponse{}), "or no longer reports one")
}
