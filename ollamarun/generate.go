package ollamarun

import (
	"context"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
)

// send sends a prompt over the API and returns the server's figures and the wall-clock time.
func (s *Server) send(ctx context.Context, req *api.GenerateRequest) (measurement.Sample, error) {
	// Without streaming the server sends no header until it is done. With it,
	// errors arrive sooner, and a message per token costs nothing.
	var final *api.GenerateResponse
	var w wire
	begin := time.Now()
	err := s.clientOn(&w).Generate(ctx, req, func(r api.GenerateResponse) error {
		if r.Done {
			final = &r
		}
		return nil
	})
	switch {
	case ctx.Err() == nil && w.broken != nil && final == nil:
		// The library does not report it, or reports half a line as the server's message.
		return measurement.Sample{}, &measurement.Failure{Class: measurement.ServerAway, Detail: "the answer broke off: " + printable(w.broken.Error())}
	case err != nil:
		return measurement.Sample{}, s.failure(ctx, "reading a prompt", err)
	case final == nil && ctx.Err() != nil:
		return measurement.Sample{}, context.Cause(ctx)
	case final == nil:
		return measurement.Sample{Wall: time.Since(begin)}, noFigures
	}
	s.busy = busy{}
	sample := measurement.Sample{
		PromptEvalCount:    final.PromptEvalCount,
		PromptEvalDuration: final.PromptEvalDuration,
		PromptCached:       final.PromptEvalCachedCount,
		EvalCount:          final.EvalCount,
		EvalDuration:       final.EvalDuration,
		LoadDuration:       final.LoadDuration,
		TotalDuration:      final.TotalDuration,
		Wall:               time.Since(begin),
	}
	return sample, sample.Check()
}
