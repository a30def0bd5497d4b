package ollamarun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/ollama-sweep/ollama-sweep/parse"
)

// Server is an Ollama server. The zero value of each field but URL is usable.
type Server struct {
	URL *url.URL
	// Wait is how long Ready waits for a server that is away; zero is not at all.
	Wait time.Duration
	// Log takes lines that begin with "# " about waiting; nil for silence.
	Log io.Writer

	// ServerLog and Monitor watch the server while it works, where its log can be
	// read and its GPUs are this machine's; nil where not.
	ServerLog *ServerLog
	Monitor   *GPUMonitor
	// Exclusive has models of somebody else unloaded.
	Exclusive bool

	idleMiB   int             // GPU memory in use before the first load
	strangers map[string]bool // models that stayed when ours was unloaded
}

// ParseHost reads a host in the forms that OLLAMA_HOST takes: a URL, a host, a
// port or both. Without a port it is Ollama's own, or the scheme's where one is
// named. Empty is Ollama's own address.
func ParseHost(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	port := "11434"
	scheme, rest, named := strings.Cut(s, "://")
	switch {
	case !named:
		scheme, rest = "http", s
	case scheme == "http":
		port = "80"
	case scheme == "https":
		port = "443"
	default:
		return nil, fmt.Errorf("host %q: the scheme must be http or https", s)
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return nil, fmt.Errorf("host %q is not a URL like http://127.0.0.1:11434", s)
	}
	host := u.Hostname()
	if host == "" {
		host = "127.0.0.1"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return nil, fmt.Errorf("host %q: %q is not a port", s, port)
	}
	u.Host = net.JoinHostPort(host, port)
	return u, nil
}

func (s *Server) client() *api.Client {
	return api.NewClient(s.URL, http.DefaultClient)
}

// Version returns the server's version, such as "0.10.1".
func (s *Server) Version(ctx context.Context) (string, error) {
	v, err := s.client().Version(ctx)
	if err != nil {
		return "", s.failure(ctx, "asking for the version", err)
	}
	return v, nil
}

// Reachable reports whether the server answers just now.
func (s *Server) Reachable(ctx context.Context) bool {
	_, err := s.client().Version(ctx)
	return err == nil
}

// Local reports whether the server is on this machine, whose GPUs are then its
// own.
func (s *Server) Local() bool {
	host := s.URL.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// pauses between two tries to reach a server, the last being repeated.
var pauses = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// Ready returns when the server answers. A server that is away or busy is asked
// again, with growing pauses, until it has been so for Wait.
func (s *Server) Ready(ctx context.Context) error {
	give := time.Now().Add(s.Wait)
	for i := 0; ; i++ {
		_, err := s.Version(ctx)
		var f *parse.Failure
		if err == nil || !errors.As(err, &f) || f.Class.OfCell() {
			return err
		}
		pause := pauses[min(i, len(pauses)-1)]
		if time.Now().Add(pause).After(give) {
			return fmt.Errorf("the Ollama server at %s stayed away for %v (server_wait): %s; start it with `ollama serve`, name another with -host, or try the embedded one with -engine embedded", s.URL.Redacted(), s.Wait, f.Detail)
		}
		if i == 0 && s.Log != nil {
			fmt.Fprintf(s.Log, "# waiting up to %v for the Ollama server at %s: %s\n", s.Wait, s.URL.Redacted(), f.Detail)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
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

// failure gives an error of the client its class. The end of the context is
// passed on as its cause, since it says nothing of the server.
func (s *Server) failure(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var status api.StatusError
	var transport *url.Error
	text := parse.Plain([]byte(err.Error()))
	class := parse.Classify(text)
	switch {
	case errors.As(err, &status):
		class = parse.Classify(parse.Plain([]byte(status.ErrorMessage)))
		text = parse.Plain([]byte(status.ErrorMessage))
		if status.StatusCode == http.StatusServiceUnavailable && class == parse.ModelError {
			class = parse.ServerBusy
		}
	case errors.As(err, &transport):
		class = parse.ServerAway
	}
	return fmt.Errorf("%s: %w", doing, &parse.Failure{Class: class, Detail: text})
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
	show, err := s.client().Show(ctx, &api.ShowRequest{Model: name})
	if err != nil {
		return Model{}, fmt.Errorf("model %q: %w; `ollama list` shows what the server has", name, s.failure(ctx, "asking for it", err))
	}
	m := Model{Quantization: show.Details.QuantizationLevel, System: show.System}
	if architecture, ok := show.ModelInfo["general.architecture"].(string); ok {
		trained, _ := show.ModelInfo[architecture+".context_length"].(float64)
		m.TrainedCtx = int(trained)
	}
	list, err := s.client().List(ctx)
	if err != nil {
		return Model{}, s.failure(ctx, "listing models", err)
	}
	for _, entry := range list.Models {
		if sameModel(entry.Name, name) {
			m.Digest = entry.Digest
		}
	}
	return m, nil
}

// sameModel compares names whose tag may be left out where it is "latest".
func sameModel(a, b string) bool {
	full := func(name string) string {
		if i := strings.LastIndexByte(name, '/'); !strings.Contains(name[i+1:], ":") {
			name += ":latest"
		}
		return strings.ToLower(name)
	}
	return full(a) == full(b)
}
