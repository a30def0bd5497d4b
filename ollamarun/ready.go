package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// busy says for how long every request was turned away because the server had
// too many.
type busy struct {
	since time.Time // zero when the newest one was not
	times int
}

// note counts a failure, where it is that the server has too many prompts.
func (b *busy) note(f *measurement.Failure) {
	if f.Class != measurement.ServerBusy {
		return
	}
	if b.times == 0 {
		b.since = time.Now()
	}
	b.times++
}

// pauses between two tries to reach a server, the last being repeated.
var pauses = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// Ready returns when the server answers. A server that is away or busy is asked
// again, with growing pauses, until it has been so for Wait.
func (s *Server) Ready(ctx context.Context) error {
	give := time.Now().Add(s.Wait)
	if s.busy.times > 0 { // only a prompt can tell whether it still is
		s.answered = true
		give = s.busy.since.Add(s.Wait)
		if err := s.pause(ctx, s.busy.times-1, give, "it is busy"); err != nil {
			return err
		}
	}
	for i := 0; ; i++ {
		_, err := s.Version(ctx)
		var f *measurement.Failure
		if err == nil {
			s.answered = true
			return nil
		}
		if !errors.As(err, &f) || f.Class.OfCell() {
			return err
		}
		if err := s.pause(ctx, i, give, f.Detail); err != nil {
			return err
		}
	}
}

// pause waits before the next try to reach the server, unless its time is over
// by then.
func (s *Server) pause(ctx context.Context, tries int, give time.Time, why string) error {
	pause := pauses[min(tries, len(pauses)-1)]
	if time.Now().Add(pause).After(give) {
		return fmt.Errorf("the Ollama server at %s stayed away for %v (server_wait): %s; %s; -engine embedded needs no server", s.URL, s.Wait, why, findServer)
	}
	if tries == 0 {
		if !s.answered {
			why += "; " + findServer
		}
		s.say("waiting up to %v for the Ollama server at %s: %s", s.Wait, s.URL, why)
	}
	return sleep(ctx, pause)
}

// sleep waits, and returns early with the context's cause when that ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
