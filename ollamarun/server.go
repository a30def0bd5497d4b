package ollamarun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/modelname"
)

// Server is an Ollama server: what is asked of it that belongs to no single cell, and what is known of
// it from one request to the next. All fields except URL are optional; set them before the first call.
//
// Requests that need no loaded model fail after 30 seconds. Text of the server is data: it becomes one
// line of printable characters before it is in an error, a log line or a result.
type Server struct {
	URL *url.URL // without user and password, so that it can be printed
	// User is sent with each request, and neither printed nor saved; nil for none.
	User *url.Userinfo
	// Wait is how long Ready waits for a server that is away or busy; zero means not at all.
	Wait time.Duration
	// Log receives messages and warnings, a line each; nil discards them.
	Log io.Writer

	// ServerLog, Monitor and CPU observe the server while it works. They are nil if its
	// log can't be read, or if its GPUs and CPUs are not this machine's.
	ServerLog *ServerLog
	Monitor   *GPUMonitor
	CPU       *CPUMonitor
	// ModelList stores the names of temporary models in the out folder; nil for a server whose
	// models are all ours.
	ModelList ModelList
	// Exclusive makes each load and each sample unload all other models first.
	Exclusive bool

	idleMiB      int                   // GPU memory in use before the first load
	loadBegun    time.Time             // start of the newest load
	logTimes     bool                  // the server's log has the evaluated tokens of each prompt
	onCPU        bool                  // the model computes on the CPU, at least in part
	others       map[int]int           // lowest utilization of each GPU during the load, in percent
	networkTimes map[int]time.Duration // see networkTime, by the bit length of a request's size in bytes
	claim        *claim                // nil for none
	expiry       expiry                // of the current load
	foreign      map[string]bool       // models that stayed in memory when ours was unloaded
	models       string                // the user's models folder, for the server of an engine that uses it

	answered bool // the server has answered at least once

	answerTimeout time.Duration // replaces the constant; for tests
	busy          busy
}

// answerTimeout limits requests that need no loaded model.
const answerTimeout = 30 * time.Second

// withTimeout returns the context for a request that needs no loaded model.
func (s *Server) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := cmp.Or(s.answerTimeout, answerTimeout)
	return context.WithTimeoutCause(ctx, limit, &measurement.Failure{Class: measurement.ServerAway, Detail: fmt.Sprintf("no answer within %v", limit)})
}

// client returns a client for one request or several, each on a wire of its own.
func (s *Server) client() *api.Client { return s.clientOn(new(wire)) }

// clientOn returns a client whose requests the wire carries.
func (s *Server) clientOn(w *wire) *api.Client {
	w.user = s.User
	return api.NewClient(s.URL, &http.Client{Transport: w})
}

// Version returns the server's version, such as "0.10.1", from /api/version. It is the cheapest request
// that a server answers, so it also shows whether there is one. The error is a *measurement.Failure of
// class ServerAway or ServerBusy where waiting may help.
func (s *Server) Version(ctx context.Context) (string, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	v, err := s.client().Version(ctx)
	if err != nil {
		return "", s.failure(ctx, "requesting the version", err)
	}
	return oneLine(v), nil
}

// Reachable reports whether the server answers now. Unlike Ready it asks once, and prints nothing.
func (s *Server) Reachable(ctx context.Context) bool {
	_, err := s.Version(ctx)
	return err == nil
}

// Local reports whether the server is on this machine, and so uses its GPUs. That is the case for
// localhost, loopback addresses and 0.0.0.0. This machine's own name does not count: it can belong to a
// container or a tunnel to another machine, whose GPUs would then be mistaken for these.
func (s *Server) Local() bool {
	host := s.URL.Hostname()
	ip := net.ParseIP(host)
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// Hostname returns the name or the address of the server's machine, as the user writes it.
func (s *Server) Hostname() string { return s.URL.Hostname() }

// HasLog reports whether the server's log can be read.
func (s *Server) HasLog() bool { return s.ServerLog != nil }

// Start returns what the log reports about the server's newest start; all of it is unknown
// without a log.
func (s *Server) Start() (measurement.ServerStart, error) { return s.ServerLog.Start() }

// Model describes a model of the server, from /api/tags and /api/show: its digest, which is part of what
// identifies a sweep, its quantization, its system prompt, and the num_ctx that it was trained with in
// tokens, 0 if the server does not tell it. A model that does not exist or can't be measured, as one that
// runs in the cloud or generates no text, is an error that says what to do.
func (s *Server) Model(ctx context.Context, name string) (measurement.Model, error) {
	show, entry, err := s.describe(ctx, name, false)
	if err != nil {
		return measurement.Model{}, err
	}
	m := measurement.Model{Digest: oneLine(entry.Digest), Quantization: oneLine(show.Details.QuantizationLevel), System: show.System}
	if architecture, ok := show.ModelInfo["general.architecture"].(string); ok {
		trained, _ := show.ModelInfo[architecture+".context_length"].(float64)
		if trained > 0 && trained < math.MaxInt32 {
			m.TrainedCtx = int(trained)
		}
	}
	return m, nil
}

// ModelInfo returns the model_info of /api/show, with its long lists, and the size of
// the model's files in bytes. The keys are those of the GGUF format, such as
// llama.block_count; the plan estimates the memory of a cell from them.
func (s *Server) ModelInfo(ctx context.Context, name string) (info map[string]any, bytes int64, err error) {
	show, entry, err := s.describe(ctx, name, true)
	if err != nil {
		return nil, 0, err
	}
	return show.ModelInfo, entry.Size, nil
}

// describe returns the server's description of a model, with long lists if verbose, and
// its entry in the list of models, zero if it is not listed. A model that can't be
// measured is an error.
func (s *Server) describe(ctx context.Context, name string, verbose bool) (show *api.ShowResponse, entry api.ListModelResponse, err error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	list, err := s.client().List(ctx)
	if err != nil {
		return nil, entry, s.describeError(name, nil, s.failure(ctx, "listing models", err))
	}
	for _, e := range list.Models {
		if modelname.Same(e.Name, name) {
			entry = e
		}
	}
	if err := checkLocal(name, entry); err != nil {
		return nil, entry, err
	}
	show, err = s.client().Show(ctx, &api.ShowRequest{Model: name, Verbose: verbose})
	if err != nil {
		return nil, entry, s.describeError(name, list.Models, s.failure(ctx, "requesting its description", err))
	}
	return show, entry, checkMeasurable(name, show)
}

// Digest returns the current digest of a model, which changes if the model is created anew.
// A model that was deleted is an error that ends a sweep. The digest is empty if the server
// has the model but does not list it.
func (s *Server) Digest(ctx context.Context, name string) (string, error) {
	listing, cancel := s.withTimeout(ctx)
	defer cancel()
	list, err := s.client().List(listing)
	if err != nil {
		return "", s.failure(listing, "listing models", err)
	}
	for _, e := range list.Models {
		if modelname.Same(e.Name, name) {
			return oneLine(e.Digest), nil
		}
	}
	return "", s.modelDeleted(ctx, name)
}

// describeError adds to the error of describe what to do: a sweep begins with that request, which so shows
// a wrong address, a wrong models folder and a misspelt name. The server has these models.
func (s *Server) describeError(name string, models []api.ListModelResponse, err error) error {
	if f := new(measurement.Failure); errors.As(err, &f) && f.Class == measurement.ServerAway {
		return fmt.Errorf("model %q of the Ollama server at %s: %w; %s", name, s.URL, err, serverAdvice)
	}
	if s.models != "" {
		return fmt.Errorf("model %q: %w; %s has %s; OLLAMA_MODELS names another folder", name, err, s.models, listed(models))
	}
	return fmt.Errorf("model %q: %w; `ollama list` shows what the server has", name, err)
}

// maxListed limits the models that an error lists.
const maxListed = 10

// listed returns the names of models for an error.
func listed(models []api.ListModelResponse) string {
	var names []string
	for _, m := range models {
		names = append(names, oneLine(m.Name))
	}
	switch n := len(names); {
	case n == 0:
		return "no models"
	case n > maxListed:
		names = append(names[:maxListed], fmt.Sprintf("and %d others", n-maxListed))
	}
	return strings.Join(names, ", ")
}

// forget drops what was known of a server process that was replaced by another one.
func (s *Server) forget() {
	s.foreign, s.expiry, s.busy = nil, expiry{}, busy{}
}

// modelDeleted returns an error if the server has no model of that name any more. Then
// no cell can be measured, and none has failed.
func (s *Server) modelDeleted(ctx context.Context, name string) error {
	if filepath.IsAbs(name) {
		return nil // a file
	}
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	_, err := s.client().Show(ctx, &api.ShowRequest{Model: name})
	var status api.StatusError
	if errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
		return fmt.Errorf("model %q is not on the server any more (%s): restore it and run the same command again to resume", name, printable(status.ErrorMessage))
	}
	return nil
}
