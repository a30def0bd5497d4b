package ollamarun

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// A server keeps a model for a time after each request, which the request names, and tells until
// when. With a time that no other client names, that tells who used the model last: not we, where it
// is another than ours after our newest prompt.

// keepLoaded is how long the server shall keep a model after a prompt: long enough for the next, and
// of a length that another sweep is unlikely to have. The server's own default may be nothing.
var keepLoaded = 15*time.Minute + time.Duration(rand.IntN(600))*time.Second

// expiryTolerance is what the server may be late by with noting the end of a request, and what clocks
// may move by between two prompts. A clock that is set by more looks like another client until the
// next load.
const expiryTolerance = 2 * time.Second

// A server notes the end of a request only when no other is at work. So an entry that stays as it was
// after our prompt shows that somebody else's is; and one that is another at each look, which counts
// from now, that this was so ever since the load. Where none was, 97 % of 1,500 prompts were noted at
// the first look and all within 7 ms, or 52 ms where other programs had the CPUs. What is noted later
// than expiryLate, and not at the first look, is the end of somebody else's.
const (
	expiryNoted = 250 * time.Millisecond
	expiryLate  = 25 * time.Millisecond
	expiryPoll  = 10 * time.Millisecond
)

// expiry is what is known of when the loaded model expires.
type expiry struct {
	seen   time.Time     // as the server told it last; zero where it does not
	ended  time.Time     // our newest prompt, by our clock
	behind time.Duration // by which our clock is behind the server's
	fresh  bool          // it has told our time or more than one, so it does not repeat an old answer
	noted  bool          // it has noted the end of our newest prompt, so that the next change is somebody else's
	busy   bool          // somebody else's request was at work when our load ended

	listed        bool // our load, which the server need not do
	contextLength int
	size          int64
}

// after notes the model's entry after a load, whose prompt ended then.
func (e *expiry) after(entry api.ProcessModelResponse, listed bool, ended time.Time) {
	behind := entry.ExpiresAt.Sub(ended.Add(keepLoaded))
	fresh := e.fresh || behind.Abs() < time.Minute || !e.seen.IsZero() && !entry.ExpiresAt.Equal(e.seen)
	*e = expiry{seen: entry.ExpiresAt, ended: ended, behind: behind, fresh: fresh, listed: listed, contextLength: entry.ContextLength, size: entry.Size}
}

// otherClient reports whether the entry shows that somebody else used the model after our newest
// prompt, and notes it.
func (e *expiry) otherClient(entry api.ProcessModelResponse) bool {
	at := entry.ExpiresAt
	if at.IsZero() || e.seen.IsZero() || at.Equal(e.seen) {
		return false // not told, or nobody's use since
	}
	e.seen, e.fresh = at, true
	return e.noted || e.late(at).Abs() > expiryTolerance
}

// late returns how long after our newest prompt the request ended that the time is of, if it named
// our time to keep the model.
func (e *expiry) late(at time.Time) time.Duration { return at.Sub(e.ended.Add(keepLoaded + e.behind)) }

// unnoted reports whether the entry is still the one before our newest prompt, although the server
// does not repeat old answers. That prompt took so long.
func (e *expiry) unnoted(entry api.ProcessModelResponse, took time.Duration) bool {
	at := entry.ExpiresAt
	if !e.fresh || at.IsZero() || e.seen.IsZero() {
		return false
	}
	// Somebody else's can have ended as ours began. That our answer was held up looks the same for
	// short prompts.
	return at.Equal(e.seen) || e.late(at).Abs() <= expiryTolerance && e.late(at) < -max(took/2, expiryNoted)
}

// anotherLoad reports whether the entry is of another load than ours.
func (e *expiry) anotherLoad(entry api.ProcessModelResponse) bool {
	return entry.ContextLength != e.contextLength || entry.Size != e.size
}

// watched is what was seen of the model's other clients before a prompt was read.
type watched struct{ other, anew bool }

// watchClients looks at who has used the model since our newest prompt.
func (s *Server) watchClients(ctx context.Context, model string) (w watched, err error) {
	entry, there, _, err := s.Loaded(ctx, model)
	if err != nil {
		return w, err
	}
	w.other = there && s.expiry.otherClient(entry)
	w.anew = s.expiry.listed && !there || w.other && s.expiry.anotherLoad(entry)
	return w, nil
}

// watchedClients adds to a sample who else used the model, before it and while its prompt was read,
// with the model's entry just after it.
func (s *Server) watchedClients(ctx context.Context, model string, w watched, sample *measurement.Sample, ended time.Time, entry api.ProcessModelResponse) error {
	s.expiry.ended, s.expiry.noted = ended, false
	first := entry
	entry, noted, err := s.lookAgain(ctx, model, entry, func(_, entry api.ProcessModelResponse) bool {
		return !s.expiry.unnoted(entry, sample.Wall)
	})
	if err != nil {
		return err
	}
	late := s.expiry.unnoted(first, sample.Wall) && s.expiry.late(entry.ExpiresAt) > expiryLate
	sample.OtherClient = s.expiry.otherClient(entry) || late || !noted || w.other || s.expiry.busy
	sample.LoadedAnew = w.anew
	s.expiry.noted, s.expiry.busy = noted, false
	return nil
}

// watchLoad notes when the model that we have just loaded expires, and whether somebody else is at
// work on it.
func (s *Server) watchLoad(ctx context.Context, model string, entry api.ProcessModelResponse, listed bool, ended time.Time) error {
	s.expiry.after(entry, listed, ended)
	if !listed || entry.ExpiresAt.IsZero() {
		return nil
	}
	looks := 0
	entry, steady, err := s.lookAgain(ctx, model, entry, func(before, entry api.ProcessModelResponse) bool {
		looks++
		return looks > 1 && entry.ExpiresAt.Equal(before.ExpiresAt)
	})
	s.expiry.seen, s.expiry.busy = entry.ExpiresAt, !steady
	return err
}

// lookAgain looks at the model's entry until what was told before and what is told now is settled, but
// no longer than a server takes to note the end of a request.
func (s *Server) lookAgain(ctx context.Context, model string, entry api.ProcessModelResponse, settled func(before, now api.ProcessModelResponse) bool) (api.ProcessModelResponse, bool, error) {
	before := entry
	for begin := time.Now(); !settled(before, entry); {
		if time.Since(begin) > expiryNoted {
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
