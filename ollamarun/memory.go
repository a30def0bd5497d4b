package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
	"github.com/ollama-sweep/ollama-sweep/parse"
)

// loaded completes the results of a load with the server's list of loaded models
// and with its log.
func (s *Server) loaded(ctx context.Context, model string, warmup measurement.Sample) (measurement.Loaded, error) {
	l, ended := measurement.Loaded{Warmup: warmup}, time.Now()
	m, listed, others, err := s.Loaded(ctx, model)
	if err != nil {
		return l, err
	}
	// A negative figure counts as missing.
	l.ContextLength, l.Size, l.SizeVRAM, l.Others = max(0, m.ContextLength), max(0, m.Size), max(0, m.SizeVRAM), others
	if err := s.watchLoad(ctx, model, m, listed, ended); err != nil {
		return l, err
	}
	s.onCPU = l.SizeVRAM < l.Size
	s.others = s.Monitor.Least(s.loadBegun, time.Now())
	if l.Effective, s.logTimes, err = s.ServerLog.Effective(ctx); err != nil {
		return l, err
	}
	if l.Memory, l.Attention, err = s.ServerLog.Memory(); err != nil {
		return l, err
	}
	start, err := s.Start()
	if err != nil {
		return l, err
	}
	l.Environment = start.Environment
	s.logTimes, err = s.timing(ctx, &l.Warmup)
	return l, err
}

// beforeLoad unloads other models if the server is Exclusive, and records the state that
// the load is compared with.
func (s *Server) beforeLoad(ctx context.Context, model string) error {
	if err := s.unloadOthers(ctx, model); err != nil {
		return err
	}
	if s.idleMiB == 0 {
		s.idleMiB, _ = s.Monitor.MemoryUsed()
	}
	s.renewClaim(ctx)
	s.loadBegun = time.Now()
	return s.ServerLog.Mark()
}

// sampleStart is when a sample began, with the CPU counters if the model computes on the CPU.
type sampleStart struct {
	at  time.Time
	cpu cpuCounts
}

// startSample records what a sample is compared with. The time comes last, so that reading the counters
// does not count.
func (s *Server) startSample() (m sampleStart) {
	if s.onCPU {
		m.cpu, _ = s.CPU.counters()
	}
	if s.logTimes {
		s.ServerLog.MarkPrompt()
	}
	m.at = time.Now()
	return m
}

// sample sends prompts to the loaded model until an answer has figures. Base is the model from which
// the models of all cells are created.
func (s *Server) sample(ctx context.Context, model, base string, prompt func() string, generate generateFunc) (measurement.Sample, error) {
	if err := s.unloadOthers(ctx, model); err != nil {
		return measurement.Sample{}, err
	}
	clients, err := s.clientsBefore(ctx, model)
	if err != nil {
		return measurement.Sample{}, err
	}
	var begin sampleStart
	var size int
	sample, err := generateWithFigures(ctx, prompt, func(ctx context.Context, prompt string) (measurement.Sample, error) {
		begin, size = s.startSample(), len(prompt)
		return generate(ctx, prompt)
	})
	if err != nil {
		return measurement.Sample{}, s.explain(ctx, base, err)
	}
	ended := begin.at.Add(sample.Wall)
	entry, err := s.observe(ctx, model, &sample, begin, size)
	if err != nil {
		return sample, err
	}
	return sample, s.addClients(ctx, model, clients, &sample, ended, entry)
}

// observe adds to a sample what this machine and the server's log show about it, and returns the
// server's entry for the model afterwards. Size is that of the prompt in bytes.
func (s *Server) observe(ctx context.Context, model string, sample *measurement.Sample, begin sampleStart, size int) (entry api.ProcessModelResponse, err error) {
	if s.onCPU {
		sample.CPU = s.CPU.since(begin.cpu)
	}
	sample.GPU = s.Monitor.Between(begin.at, begin.at.Add(sample.Wall))
	for i := range sample.GPU {
		sample.GPU[i].Others = s.others[sample.GPU[i].Index]
	}
	s.addNetworkTime(ctx, sample, size)
	if _, err = s.timing(ctx, sample); err != nil {
		return entry, err
	}
	entry, _, sample.Others, err = s.Loaded(ctx, model)
	return entry, err
}

// timing adds to a sample the token counts of its prompt from the server's log, and reports whether
// the log has them. If the log does not show a load or its warm-up prompt, it is not searched again.
func (s *Server) timing(ctx context.Context, sample *measurement.Sample) (bool, error) {
	if !s.logTimes {
		return false, nil
	}
	cached, evaluated, ok, err := s.ServerLog.Timing(ctx, sample.PromptEvalDuration)
	if ok {
		sample.PromptCached, sample.PromptEvaluated = &cached, evaluated
	}
	return ok, err
}

// explain adds the server's log to a failed load or sample. A failure that may hide a
// lack of memory gets the class of the log's message, because a runner that runs out of
// memory may show no more than an exit status. If base, the model from which the models
// of all cells are created, was deleted from the server, explain returns that as an error,
// which is not a failure of the cell.
func (s *Server) explain(ctx context.Context, base string, err error) error {
	var f *measurement.Failure
	if err == nil || !errors.As(err, &f) || !parse.LogMayExplain(f) {
		return err
	}
	if f.Class == measurement.ModelError {
		if deleted := s.modelDeleted(ctx, base); deleted != nil {
			return deleted
		}
	}
	logged, ok, readErr := s.ServerLog.Failure(ctx)
	switch {
	case readErr != nil:
		return errors.Join(err, readErr)
	case !ok:
		return err
	}
	return f.Explained(logged)
}

// The server answers a request to unload before the model has left the memory. A
// request that comes in between finds the model still loaded.
var unloadWait = 2 * time.Second // shorter in tests

const unloadPoll = 50 * time.Millisecond

// Unload unloads a model, whatever the tag under which it was loaded, and returns
// when it has left the memory. It is not an error if it is not loaded, if the server
// has no such model, or if a failed creation left it broken.
func (s *Server) Unload(ctx context.Context, name string) error {
	if err := s.release(ctx, name); err != nil {
		return err
	}
	if unloaded, err := s.waitUnloaded(ctx, name, unloadWait); unloaded || err != nil {
		return err
	}
	if entry, there, _, err := s.Loaded(ctx, name); err == nil && there && !modelname.Same(entry.Name, name) {
		if s.foreign == nil {
			s.foreign = make(map[string]bool)
		}
		s.foreign[entry.Name] = true
	}
	return nil
}

// release requests that the server unload a model.
func (s *Server) release(ctx context.Context, name string) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	err := s.client().Generate(ctx, &api.GenerateRequest{
		Model:     name,
		KeepAlive: &api.Duration{},
	}, func(api.GenerateResponse) error { return nil })
	if err == nil {
		return nil
	}
	err = s.failure(ctx, "unloading "+name, err)
	var f *measurement.Failure
	if errors.As(err, &f) && f.Class == measurement.ModelError {
		return nil
	}
	return err
}

// close unloads the model and deletes it if it is temporary. It waits for the unload
// last, because that of a large model can take longer than an interrupted run may.
func (s *Server) close(ctx context.Context, model string, temporary bool) error {
	err := s.release(ctx, model)
	if temporary {
		err = errors.Join(err, s.delete(ctx, model))
	}
	if err != nil {
		return err
	}
	_, err = s.waitUnloaded(ctx, model, unloadWait)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // the server is still unloading it
	}
	return err
}

// waitUnloaded waits until the model is not in memory, and reports whether that happened in time.
func (s *Server) waitUnloaded(ctx context.Context, name string, wait time.Duration) (bool, error) {
	for deadline := time.Now().Add(wait); ; {
		// Also before the first request: Ollama 0.10.1 crashes with "concurrent map iteration and
		// map write" if it removes a model from the list of loaded models while it returns that list.
		if err := sleep(ctx, unloadPoll); err != nil {
			return false, err
		}
		if _, there, _, err := s.Loaded(ctx, name); err != nil || !there {
			return err == nil, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
	}
}

const (
	// longUnloadWait is how long an unload may take, and settleWait how long it may
	// take until the memory is free.
	longUnloadWait = 20 * time.Second
	settleWait     = time.Minute
	// settledMiB is how much more GPU memory than before the first load may stay in
	// use: drivers keep some.
	settledMiB = 512
)

// settle unloads the model and waits until it has left the memory and, if the GPUs
// are monitored, until their memory is free, for at most settleWait.
func (s *Server) settle(ctx context.Context, model string) error {
	if err := s.Unload(ctx, model); err != nil {
		return err
	}
	deadline := time.Now().Add(settleWait)
	if _, err := s.waitUnloaded(ctx, model, longUnloadWait); err != nil {
		return err
	}
	return s.waitFreed(ctx, deadline)
}

// waitFreed waits until the GPUs, if they are monitored, have about as much free memory as before the
// first load, at most until the deadline.
func (s *Server) waitFreed(ctx context.Context, deadline time.Time) error {
	for {
		used, known := s.Monitor.MemoryUsed()
		if !known || s.idleMiB == 0 || used <= s.idleMiB+settledMiB {
			return nil
		}
		if time.Now().After(deadline) {
			s.logf("GPU memory was not freed within %v: %d MiB are in use, %d MiB were before the first load", settleWait, used, s.idleMiB)
			return nil
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// logf writes a line to Log, if there is one.
func (s *Server) logf(format string, args ...any) {
	if s.Log != nil {
		fmt.Fprintf(s.Log, format+"\n", args...)
	}
}
