package ollamarun

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// Each request names how long the server keeps the model after it (keep_alive), and /api/ps shows
// when that ends (expires_at). This sweep uses a keep_alive that no other client is likely to use. So
// if the model expires at another time than our newest prompt implies, another client has used it.

// keepAlive is how long the server shall keep a model after a prompt: long enough for the next
// prompt, with a random part. It is always sent, since the server's default can be 0.
var keepAlive = 15*time.Minute + time.Duration(rand.IntN(600))*time.Second

// expiryTolerance allows for a server that updates the expiry late, and for clocks that drift between
// two prompts. If a clock is set by more, that looks like another client until the next load.
const expiryTolerance = 2 * time.Second

// A server updates the expiry at the end of a request only if no other request is running. So an
// expiry that is unchanged after our prompt shows another client's request. So does one that changes
// each time it is read: until a first request has ended after a load, the server reports now +
// keep_alive. Without other clients, the expiry of 97 % of 1,500 prompts was updated when it was first
// read, and of all within 7 ms, or 52 ms when other programs used the CPUs. An update that comes later
// than expiryLate, and not with the first reading, is the end of another client's request.
const (
	expiryUpdateTime = 250 * time.Millisecond
	expiryLate       = 25 * time.Millisecond
	expiryPoll       = 10 * time.Millisecond
)

// expiry tracks when the loaded model expires, to detect other clients.
type expiry struct {
	seen    time.Time     // as the server reported it last; zero for none
	ended   time.Time     // end of our newest prompt, by our clock
	behind  time.Duration // how far our clock is behind the server's
	trusted bool          // the server does not repeat an old answer: it has reported our time or several times
	updated bool          // the server has updated it after our newest prompt, so the next change is another client's
	busy    bool          // another client's request was running when our load ended

	listed        bool // the server has listed our load, which it may not
	contextLength int
	size          int64
}

// setLoad records the model's entry after a load whose warm-up prompt ended at the given time.
func (e *expiry) setLoad(entry api.ProcessModelResponse, listed bool, ended time.Time) {
	behind := entry.ExpiresAt.Sub(ended.Add(keepAlive))
	trusted := e.trusted || behind.Abs() < time.Minute || !e.seen.IsZero() && !entry.ExpiresAt.Equal(e.seen)
	*e = expiry{seen: entry.ExpiresAt, ended: ended, behind: behind, trusted: trusted, listed: listed, contextLength: entry.ContextLength, size: entry.Size}
}

// otherClient reports whether the entry shows that another client used the model after our newest
// prompt, and records the entry.
func (e *expiry) otherClient(entry api.ProcessModelResponse) bool {
	at := entry.ExpiresAt
	if at.IsZero() || e.seen.IsZero() || at.Equal(e.seen) {
		return false // not reported, or unchanged
	}
	e.seen, e.trusted = at, true
	return e.updated || e.late(at).Abs() > expiryTolerance
}

// late returns how long after our newest prompt the request ended that set this expiry, assuming
// that it had our keep_alive.
func (e *expiry) late(at time.Time) time.Duration { return at.Sub(e.ended.Add(keepAlive + e.behind)) }

// notUpdated reports whether the entry is still that of before our newest prompt, on a server that
// does not repeat old answers. Took is the duration of that prompt.
func (e *expiry) notUpdated(entry api.ProcessModelResponse, took time.Duration) bool {
	at := entry.ExpiresAt
	if !e.trusted || at.IsZero() || e.seen.IsZero() {
		return false
	}
	// Another client's request can have ended just as ours began. For short prompts, an answer of
	// ours that was delayed looks the same.
	return at.Equal(e.seen) || e.late(at).Abs() <= expiryTolerance && e.late(at) < -max(took/2, expiryUpdateTime)
}

// isReload reports whether the entry differs from that of our load.
func (e *expiry) isReload(entry api.ProcessModelResponse) bool {
	return entry.ContextLength != e.contextLength || entry.Size != e.size
}

// clientUse reports whether another client used the model before a prompt, and whether the model was
// loaded anew for it.
type clientUse struct{ other, reloaded bool }

// clientsBefore returns the use of the model by other clients since our newest prompt.
func (s *Server) clientsBefore(ctx context.Context, model string) (w clientUse, err error) {
	entry, there, _, err := s.Loaded(ctx, model)
	if err != nil {
		return w, err
	}
	w.other = there && s.expiry.otherClient(entry)
	w.reloaded = s.expiry.listed && !there || w.other && s.expiry.isReload(entry)
	return w, nil
}

// addClients adds to a sample whether another client used the model before it or while its prompt was
// evaluated. Entry is the model's entry right after it.
func (s *Server) addClients(ctx context.Context, model string, w clientUse, sample *measurement.Sample, ended time.Time, entry api.ProcessModelResponse) error {
	s.expiry.ended, s.expiry.updated = ended, false
	first := entry
	entry, updated, err := s.pollEntry(ctx, model, entry, func(_, entry api.ProcessModelResponse) bool {
		return !s.expiry.notUpdated(entry, sample.Wall)
	})
	if err != nil {
		return err
	}
	late := s.expiry.notUpdated(first, sample.Wall) && s.expiry.late(entry.ExpiresAt) > expiryLate
	sample.OtherClient = s.expiry.otherClient(entry) || late || !updated || w.other || s.expiry.busy
	sample.Reloaded = w.reloaded
	s.expiry.updated, s.expiry.busy = updated, false
	return nil
}

// watchLoad records when the model that was just loaded expires, and whether another client is using
// it.
func (s *Server) watchLoad(ctx context.Context, model string, entry api.ProcessModelResponse, listed bool, ended time.Time) error {
	s.expiry.setLoad(entry, listed, ended)
	if !listed || entry.ExpiresAt.IsZero() {
		return nil
	}
	looks := 0
	entry, steady, err := s.pollEntry(ctx, model, entry, func(before, entry api.ProcessModelResponse) bool {
		looks++
		return looks > 1 && entry.ExpiresAt.Equal(before.ExpiresAt)
	})
	s.expiry.seen, s.expiry.busy = entry.ExpiresAt, !steady
	return err
}

// pollEntry reads the model's entry again until settled returns true for two successive entries, for at
// most expiryUpdateTime. It returns the last entry and whether it has settled.
func (s *Server) pollEntry(ctx context.Context, model string, entry api.ProcessModelResponse, settled func(before, now api.ProcessModelResponse) bool) (api.ProcessModelResponse, bool, error) {
	before := entry
	for begin := time.Now(); !settled(before, entry); {
		if time.Since(begin) > expiryUpdateTime {
			return entry, false, nil
		}
		if err := sleep(ctx, expiryPoll); err != nil {
			return entry, false, err
		}
		before = entry
		var err error
		if entry, _, _, err = s.Loaded(ctx, model); err != nil {
			return entry, false, err
		}
	}
	return entry, true, nil
}
