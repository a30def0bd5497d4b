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

// Server is an Ollama server. The zero value of each field but URL is usable.
type Server struct {
	URL *url.URL // without user and password, so that it can be shown
	// User is sent with each request, and neither shown nor saved; nil for none.
	User *url.Userinfo
	// Wait is how long Ready waits for a server that is away; zero is not at all.
	Wait time.Duration
	// Log takes lines that begin with "# " about waiting; nil for silence.
	Log io.Writer

	// ServerLog, Monitor and CPU watch the server while it works, where its log can be
	// read and its GPUs and CPUs are this machine's; nil where not.
	ServerLog *ServerLog
	Monitor   *GPUMonitor
	CPU       *CPUMonitor
	// Marks are those of the out folder; nil where the server and its models are our own.
	Marks Marks
	// Exclusive has models of somebody else unloaded.
	Exclusive bool

	idleMiB   int                   // GPU memory in use before the first load
	loadBegun time.Time             // the newest load
	logTimes  bool                  // the server's log tells of each prompt what was evaluated
	onCPU     bool                  // the model computes on the CPU, at least in part
	others    map[int]int           // least utilization of each GPU during the load, in percent
	ways      map[int]time.Duration // what the way adds, by the bits of a request's size in bytes
	claim     *claim                // nil without one
	expiry    expiry                // of the load in force
	strangers map[string]bool       // models that stayed when ours was unloaded

	answered bool // Ready has found it once

	answerTime time.Duration // for answers that need no model; zero for answerTime
	busy       busy
}

// answerTime is how long the server may take for an answer that needs no model.
const answerTime = 30 * time.Second

// soon bounds a request that needs no model.
func (s *Server) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := cmp.Or(s.answerTime, answerTime)
	return context.WithTimeoutCause(ctx, limit, &measurement.Failure{Class: measurement.ServerAway, Detail: fmt.Sprintf("no answer within %v", limit)})
}

func (s *Server) client() *api.Client { return s.clientOn(new(wire)) }

// clientOn returns a client whose requests the wire carries.
func (s *Server) clientOn(w *wire) *api.Client {
	w.user = s.User
	return api.NewClient(s.URL, &http.Client{Transport: w})
}

// Version returns the server's version, such as "0.10.1".
func (s *Server) Version(ctx context.Context) (string, error) {
	ctx, cancel := s.soon(ctx)
	defer cancel()
	v, err := s.client().Version(ctx)
	if err != nil {
		return "", s.failure(ctx, "asking for the version", err)
	}
	return oneLine(v), nil
}

// Reachable reports whether the server answers just now.
func (s *Server) Reachable(ctx context.Context) bool {
	_, err := s.Version(ctx)
	return err == nil
}

// Local reports whether the server is on this machine, whose GPUs are then its
// own.
func (s *Server) Local() bool {
	host := s.URL.Hostname()
	ip := net.ParseIP(host)
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// Model is what the server says of a model.
type Model struct {
	Digest       string // of the manifest, hexadecimal
	Quantization string // such as "Q4_K_M"
	System       string // system prompt
	TrainedCtx   int    // tokens of context that it was trained for; 0 where the server does not say
}

// Model describes a model of the server, or fails when it has none of that name.
func (s *Server) Model(ctx context.Context, name string) (Model, error) {
	show, entry, err := s.describe(ctx, name, false)
	if err != nil {
		return Model{}, err
	}
	m := Model{Digest: oneLine(entry.Digest), Quantization: oneLine(show.Details.QuantizationLevel), System: show.System}
	if architecture, ok := show.ModelInfo["general.architecture"].(string); ok {
		trained, _ := show.ModelInfo[architecture+".context_length"].(float64)
		if trained > 0 && trained < math.MaxInt32 {
			m.TrainedCtx = int(trained)
		}
	}
	return m, nil
}

// ModelInfo returns what the server tells of a model's architecture, with its long
// lists, and the bytes of its files.
func (s *Server) ModelInfo(ctx context.Context, name string) (info map[string]any, bytes int64, err error) {
	show, entry, err := s.describe(ctx, name, true)
	if err != nil {
		return nil, 0, err
	}
	return show.ModelInfo, entry.Size, nil
}

// describe returns what the server says of a model, verbose with long lists, and its
// entry in the list of models, zero where it has none there. A model that can't be
// measured is an error.
func (s *Server) describe(ctx context.Context, name string, verbose bool) (show *api.ShowResponse, entry api.ListModelResponse, err error) {
	ctx, cancel := s.soon(ctx)
	defer cancel()
	list, err := s.client().List(ctx)
	if err != nil {
		return nil, entry, s.undescribed(name, s.failure(ctx, "listing models", err))
	}
	for _, e := range list.Models {
		if modelname.Same(e.Name, name) {
			entry = e
		}
	}
	if err := runsElsewhere(name, entry); err != nil {
		return nil, entry, err
	}
	show, err = s.client().Show(ctx, &api.ShowRequest{Model: name, Verbose: verbose})
	if err != nil {
		return nil, entry, s.undescribed(name, s.failure(ctx, "asking for it", err))
	}
	return show, entry, measurable(name, show)
}

// Digest returns the digest of a model as the server has it now: another one where it was
// created anew. A model that is there no more is an error that ends a sweep; empty is one that
// the server does not list.
func (s *Server) Digest(ctx context.Context, name string) (string, error) {
	listing, cancel := s.soon(ctx)
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
	return "", s.lost(ctx, name)
}

// undescribed says what to do about a model that the server does not describe.
func (s *Server) undescribed(name string, err error) error {
	if f := new(measurement.Failure); errors.As(err, &f) && f.Class == measurement.ServerAway {
		return fmt.Errorf("model %q of the Ollama server at %s: %w; %s", name, s.URL, err, findServer)
	}
	return fmt.Errorf("model %q: %w; `ollama list` shows what the server has", name, err)
}

// lost returns an error where the server has no model of that name any more: no
// cell of the sweep can be measured then, and none has failed.
func (s *Server) lost(ctx context.Context, name string) error {
	if filepath.IsAbs(name) {
		return nil // a file
	}
	ctx, cancel := s.soon(ctx)
	defer cancel()
	_, err := s.client().Show(ctx, &api.ShowRequest{Model: name})
	var status api.StatusError
	if errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
		return fmt.Errorf("model %q is not on the server any more (%s): bring it back, and the same command goes on", name, words(status.ErrorMessage))
	}
	return nil
}
