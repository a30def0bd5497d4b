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
	// wayMatters is by how much a request may take longer by our clock than by the server's before
	// the way is measured: beside the server it was 1 ms.
	wayMatters = 10 * time.Millisecond
	// wayTries is how many requests measure it, of which the longest counts.
	wayTries = 3
)

// way returns what the network between us and the server, or a proxy on it, adds to a request of so
// many bytes; 0 where that can't be measured. Measured is a request for a model that the server
// does not have, padded to that size; it counts twice, because what comes back after a prompt, the
// numbers of its tokens, is about as long as the prompt.
func (s *Server) way(ctx context.Context, size int) time.Duration {
	class := bits.Len(uint(size))
	if known, ok := s.ways[class]; ok {
		return known
	}
	var longest time.Duration
	for range wayTries {
		begin := time.Now()
		if err := s.padded(ctx, 1<<class); err != nil {
			return 0
		}
		longest = max(longest, time.Since(begin))
	}
	if s.ways == nil {
		s.ways = make(map[int]time.Duration)
	}
	s.ways[class] = 2 * longest
	return s.ways[class]
}

// padded asks for a model that is not there, in a request of so many bytes.
func (s *Server) padded(ctx context.Context, size int) error {
	ctx, cancel := s.soon(ctx)
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

// addWay notes in the sample of a prompt what the way to the server added, where that matters.
func (s *Server) addWay(ctx context.Context, sample *measurement.Sample, prompt int) {
	if sample.TotalDuration > 0 && sample.Wall-sample.TotalDuration > wayMatters {
		sample.Way = s.way(ctx, prompt)
	}
}
