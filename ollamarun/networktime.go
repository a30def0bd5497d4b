package ollamarun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"time"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

const (
	// minNetworkTime is how much longer a request has to take by our clock than by the server's for
	// the network time to be measured. On the server's machine the difference was 1 ms.
	minNetworkTime = 10 * time.Millisecond
	// networkTries is the number of requests that measure it; the longest one counts.
	networkTries = 3
)

// networkTime returns the time that the network, or a proxy, adds to a request of size bytes; 0 if it
// can't be measured. It is the duration of a request of that size about a model that the server does
// not have, counted twice because the answer to a prompt, with the token numbers of the prompt, is
// about as long as the prompt.
func (s *Server) networkTime(ctx context.Context, size int) time.Duration {
	class := bits.Len(uint(size))
	if measured, ok := s.networkTimes[class]; ok {
		return measured
	}
	var longest time.Duration
	for range networkTries {
		begin := time.Now()
		if err := s.sendPadded(ctx, 1<<class); err != nil {
			return 0
		}
		longest = max(longest, time.Since(begin))
	}
	if s.networkTimes == nil {
		s.networkTimes = make(map[int]time.Duration)
	}
	s.networkTimes[class] = 2 * longest
	return s.networkTimes[class]
}

// sendPadded sends a request of at least size bytes about a model that does not exist.
func (s *Server) sendPadded(ctx context.Context, size int) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	body := fmt.Sprintf(`{"model":"ollama-sweep/none:none","padding":"%s"}`, bytes.Repeat([]byte("x"), size))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL.JoinPath("/api/show").String(), bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: &wire{user: s.User}}).Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// addNetworkTime adds the network time to the sample of a prompt, if it is large enough to matter.
func (s *Server) addNetworkTime(ctx context.Context, sample *measurement.Sample, prompt int) {
	if sample.TotalDuration > 0 && sample.Wall-sample.TotalDuration > minNetworkTime {
		sample.NetworkTime = s.networkTime(ctx, prompt)
	}
}
