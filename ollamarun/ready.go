package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// busy counts the successive prompts that the server has refused because it had too
// many requests.
type busy struct {
	since time.Time // of the first; zero for none
	times int
}

// note counts a failure if its class is ServerBusy.
func (b *busy) note(f *measurement.Failure) {
	if f.Class != measurement.ServerBusy {
		return
	}
	if b.times == 0 {
		b.since = time.Now()
	}
	b.times++
}

// pauses between two attempts to reach a server; the last one repeats.
var pauses = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// Ready waits until the server answers. If the server is away or busy, it tries
// again with growing pauses, and returns an error after Wait.
func (s *Server) Ready(ctx context.Context) error {
	deadline := time.Now().Add(s.Wait)
	if s.busy.times > 0 { // only the next prompt shows whether it still is
		s.answered = true
		deadline = s.busy.since.Add(s.Wait)
		if err := s.pause(ctx, s.busy.times-1, deadline, "it is busy"); err != nil {
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
		if !errors.As(err, &f) || f.Class.FailsCell() {
			return err
		}
		if err := s.pause(ctx, i, deadline, f.Detail); err != nil {
			return err
		}
	}
}

// pause waits before the next attempt to reach the server, or returns an error if
// the deadline is before that.
func (s *Server) pause(ctx context.Context, tries int, deadline time.Time, why string) error {
	pause := pauses[min(tries, len(pauses)-1)]
	if time.Now().Add(pause).After(deadline) {
		return fmt.Errorf("the Ollama server at %s stayed away for %v (server_wait): %s; %s; -engine embedded needs no server", s.URL, s.Wait, why, serverAdvice)
	}
	if tries == 0 {
		if !s.answered {
			why += "; " + serverAdvice
		}
		s.logf("waiting up to %v for the Ollama server at %s: %s", s.Wait, s.URL, why)
	}
	return sleep(ctx, pause)
}

// sleep pauses for d, or returns the context's cause when the context ends earlier.
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
