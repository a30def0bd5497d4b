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

// loaded completes a load with what the server has in memory since, and with
// what its log says.
func (s *Server) loaded(ctx context.Context, model string, warmup measurement.Sample) (measurement.Loaded, error) {
	l, ended := measurement.Loaded{Warmup: warmup}, time.Now()
	m, listed, others, err := s.Loaded(ctx, model)
	if err != nil {
		return l, err
	}
	// A negative figure says no more than none does.
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
	s.logTimes, err = s.timing(ctx, &l.Warmup)
	return l, err
}

// beforeLoad makes room where it has to, and notes what the load is held against.
func (s *Server) beforeLoad(ctx context.Context, model string) error {
	if err := s.alone(ctx, model); err != nil {
		return err
	}
	if s.idleMiB == 0 {
		s.idleMiB, _ = s.Monitor.MemoryUsed()
	}
	s.renewClaim(ctx)
	s.loadBegun = time.Now()
	return s.ServerLog.Mark()
}

// moment is when a sample began, with the counters of the CPUs where the model computes on them.
type moment struct {
	at  time.Time
	cpu cpuCounts
}

func (s *Server) now() (m moment) {
	if s.onCPU {
		m.cpu, _ = s.CPU.look()
	}
	m.at = time.Now()
	return m
}

// sample has the loaded model read prompts until an answer has figures. Base is the model that all
// cells are made of.
func (s *Server) sample(ctx context.Context, model, base string, prompt func() string, read reader) (measurement.Sample, error) {
	if err := s.alone(ctx, model); err != nil {
		return measurement.Sample{}, err
	}
	clients, err := s.watchClients(ctx, model)
	if err != nil {
		return measurement.Sample{}, err
	}
	var begin moment
	var size int
	sample, err := readFinished(ctx, prompt, func(ctx context.Context, prompt string) (measurement.Sample, error) {
		begin, size = s.now(), len(prompt)
		return read(ctx, prompt)
	})
	if err != nil {
		return measurement.Sample{}, s.explain(ctx, base, err)
	}
	ended := begin.at.Add(sample.Wall)
	entry, err := s.observe(ctx, model, &sample, begin, size)
	if err != nil {
		return sample, err
	}
	return sample, s.watchedClients(ctx, model, clients, &sample, ended, entry)
}

// observe adds to a sample what was seen from outside while the model read its prompt, of so many
// bytes, and returns the model's entry after it.
func (s *Server) observe(ctx context.Context, model string, sample *measurement.Sample, begin moment, size int) (entry api.ProcessModelResponse, err error) {
	if s.onCPU {
		sample.CPU = s.CPU.since(begin.cpu)
	}
	sample.GPU = s.Monitor.Between(begin.at, begin.at.Add(sample.Wall))
	for i := range sample.GPU {
		sample.GPU[i].Others = s.others[sample.GPU[i].Index]
	}
	s.addWay(ctx, sample, size)
	if _, err = s.timing(ctx, sample); err != nil {
		return entry, err
	}
	entry, _, sample.Others, err = s.Loaded(ctx, model)
	return entry, err
}

// timing adds to a sample what the server's log says of its prompt, and reports whether it says so.
// A log that does not tell of a load, or of the prompt that ended it, is not asked again.
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

// explain says more of a failed load or sample. One that may hide a lack of memory
// gets the class of what the server's log says of it: a runner that could not have
// its memory can end with no more than a status. Where base, the model that all
// cells are made of, is gone from the server, that is the error, and no cell's
// failure.
func (s *Server) explain(ctx context.Context, base string, err error) error {
	var f *measurement.Failure
	if err == nil || !errors.As(err, &f) || !parse.LogMayExplain(f) {
		return err
	}
	if f.Class == measurement.ModelError {
		if lost := s.lost(ctx, base); lost != nil {
			return lost
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

// Pauses while a model goes from memory: the server answers before it has gone,
// and a request that comes between finds it still loaded.
const (
	unloadWait = 2 * time.Second
	unloadPoll = 50 * time.Millisecond
)

// Unload frees the memory of a model, under whatever tag it was loaded, and
// returns when it is gone. It is no error when none is loaded, nor when the
// server has no such model, or one that a failed creation left broken.
func (s *Server) Unload(ctx context.Context, name string) error {
	if err := s.release(ctx, name); err != nil {
		return err
	}
	if went, err := s.gone(ctx, name, unloadWait); went || err != nil {
		return err
	}
	if entry, there, _, err := s.Loaded(ctx, name); err == nil && there && !modelname.Same(entry.Name, name) {
		if s.strangers == nil {
			s.strangers = make(map[string]bool)
		}
		s.strangers[entry.Name] = true
	}
	return nil
}

// release asks for the memory of a model.
func (s *Server) release(ctx context.Context, name string) error {
	ctx, cancel := s.soon(ctx)
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

// close unloads the model and deletes it if it is a temporary one. It waits last
// for the model to go: a large one can take longer than an interrupted run has.
func (s *Server) close(ctx context.Context, model string, temporary bool) error {
	err := s.release(ctx, model)
	if temporary {
		err = errors.Join(err, s.delete(ctx, model))
	}
	if err != nil {
		return err
	}
	_, err = s.gone(ctx, model, unloadWait)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // it is on its way
	}
	return err
}

// gone waits until the model is not in memory, and reports whether it went.
func (s *Server) gone(ctx context.Context, name string, wait time.Duration) (bool, error) {
	for give := time.Now().Add(wait); ; {
		// Also before the first look: a server of 0.10.1 that takes the model out of its list while
		// it is asked for that list ends with "concurrent map iteration and map write".
		if err := sleep(ctx, unloadPoll); err != nil {
			return false, err
		}
		if _, there, _, err := s.Loaded(ctx, name); err != nil || !there {
			return err == nil, err
		}
		if time.Now().After(give) {
			return false, nil
		}
	}
}

const (
	// goneWait is how long a model may take to go, and settleWait how long its
	// memory to be given back.
	goneWait   = 20 * time.Second
	settleWait = time.Minute
	// settledMiB is how much more GPU memory than before the first load may be in
	// use when it is: drivers keep some.
	settledMiB = 512
)

// settle unloads the model and waits until it is gone and, where the GPUs can be
// asked, the memory is free again, or until it should have been.
func (s *Server) settle(ctx context.Context, model string) error {
	if err := s.Unload(ctx, model); err != nil {
		return err
	}
	give := time.Now().Add(settleWait)
	if _, err := s.gone(ctx, model, goneWait); err != nil {
		return err
	}
	for {
		used, known := s.Monitor.MemoryUsed()
		if !known || s.idleMiB == 0 || used <= s.idleMiB+settledMiB {
			return nil
		}
		if time.Now().After(give) {
			s.say("GPU memory was not given back within %v: %d MiB are in use, before the first load %d were", settleWait, used, s.idleMiB)
			return nil
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (s *Server) say(format string, args ...any) {
	if s.Log != nil {
		fmt.Fprintf(s.Log, "# "+format+"\n", args...)
	}
}
