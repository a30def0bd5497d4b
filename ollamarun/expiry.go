package ollamarun

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// A server keeps a model for a time after each request, which the request names, and tells until
// when. With a time that no other client names, that tells who used the model last: not we, where it
// is another than ours after our newest prompt.

// keepLoaded is how long the server shall keep a model after a prompt: long enough for the next, and
// of a length that another sweep is unlikely to have. The server's own default may be nothing.
var keepLoaded = 15*time.Minute + time.Duration(rand.IntN(600))*time.Second

// expiryTolerance is what the server may be late by with noting the end of a request, and what clocks
// may move by between two prompts.
const expiryTolerance = 2 * time.Second

// expiry is what is known of when the loaded model expires.
type expiry struct {
	seen   time.Time     // as the server told it last; zero where it does not
	ended  time.Time     // our newest prompt, by our clock
	behind time.Duration // by which our clock is behind the server's
	moved  time.Duration // by which it would be more, if what looked like another client was a clock that was set

	listed        bool // our load, which the server need not do
	contextLength int
	size          int64
}

// after notes the model's entry after a load, whose prompt ended then.
func (e *expiry) after(entry api.ProcessModelResponse, listed bool, ended time.Time) {
	*e = expiry{seen: entry.ExpiresAt, ended: ended, listed: listed, contextLength: entry.ContextLength, size: entry.Size}
	e.behind = entry.ExpiresAt.Sub(ended.Add(keepLoaded))
}

// otherClient reports whether the entry shows that somebody else used the model after our newest
// prompt, and notes it.
func (e *expiry) otherClient(entry api.ProcessModelResponse) bool {
	at := entry.ExpiresAt
	if at.IsZero() || e.seen.IsZero() || at.Equal(e.seen) {
		return false // not told, or nobody's use since, ours among them
	}
	e.seen = at
	moved := at.Sub(e.ended.Add(keepLoaded + e.behind))
	switch {
	case moved.Abs() <= expiryTolerance:
		e.moved = 0
		return false
	case (moved - e.moved).Abs() <= expiryTolerance:
		e.behind, e.moved = e.behind+moved, 0
		return false
	}
	e.moved = moved
	return true
}

// anotherLoad reports whether the entry is of another load than ours.
func (e *expiry) anotherLoad(entry api.ProcessModelResponse) bool {
	return entry.ContextLength != e.contextLength || entry.Size != e.size
}

// watchClients looks at who used the model before a prompt is read, and returns a function that does
// so after it and adds what both saw to the sample.
func (s *Server) watchClients(ctx context.Context, model string) (after func(*parse.Sample, time.Time, api.ProcessModelResponse), err error) {
	entry, there, _, err := s.Loaded(ctx, model)
	if err != nil {
		return nil, err
	}
	other := there && s.expiry.otherClient(entry)
	anew := s.expiry.listed && !there || other && s.expiry.anotherLoad(entry)
	return func(sample *parse.Sample, ended time.Time, entry api.ProcessModelResponse) {
		s.expiry.ended = ended
		sample.OtherClient = s.expiry.otherClient(entry) || other
		sample.LoadedAnew = anew
	}, nil
}
