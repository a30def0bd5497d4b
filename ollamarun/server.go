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
}

// Model describes a model of the server, or fails when it has none of that name.
func (s *Server) Model(ctx context.Context, name string) (Model, error) {
	show, err := s.client().Show(ctx, &api.ShowRequest{Model: name})
	if err != nil {
		return Model{}, fmt.Errorf("model %q: %w; `ollama list` shows what the server has", name, s.failure(ctx, "asking for it", err))
	}
	m := Model{Quantization: show.Details.QuantizationLevel}
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

// Loaded returns the server's entry of a model in memory, and false when it has
// none. Tags made from the same weights share one runner, and the server names
// the tag that loaded it first: a lone entry is taken whatever its name.
func (s *Server) Loaded(ctx context.Context, name string) (api.ProcessModelResponse, bool, error) {
	ps, err := s.client().ListRunning(ctx)
	if err != nil {
		return api.ProcessModelResponse{}, false, s.failure(ctx, "asking what is loaded", err)
	}
	for _, m := range ps.Models {
		if sameModel(m.Name, name) {
			return m, true, nil
		}
	}
	if len(ps.Models) == 1 {
		return ps.Models[0], true, nil
	}
	return api.ProcessModelResponse{}, false, nil
}

// unloadWait is how long a model may take to go. The server answers before it
// has, and a request that comes between finds the model still loaded.
const unloadWait = 2 * time.Second

// Unload frees the memory of a model, under whatever tag it was loaded, and
// returns when it is gone. It is no error when none is loaded, nor when the
// server has no such model, or one that a failed creation left broken.
func (s *Server) Unload(ctx context.Context, name string) error {
	err := s.client().Generate(ctx, &api.GenerateRequest{
		Model:     name,
		KeepAlive: &api.Duration{},
	}, func(api.GenerateResponse) error { return nil })
	if err != nil {
		err = s.failure(ctx, "unloading "+name, err)
		var f *parse.Failure
		if errors.As(err, &f) && f.Class == parse.ModelError {
			return nil
		}
		return err
	}
	for give := time.Now().Add(unloadWait); time.Now().Before(give); {
		if _, there, err := s.Loaded(ctx, name); err != nil || !there {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil // somebody else's model, or one that is slow to go
}
