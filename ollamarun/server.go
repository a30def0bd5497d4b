package ollamarun

import (
	"cmp"
	"context"
	"encoding/json"
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

	"github.com/ollama-sweep/ollama-sweep/parse"
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

	// ServerLog and Monitor watch the server while it works, where its log can be
	// read and its GPUs are this machine's; nil where not.
	ServerLog *ServerLog
	Monitor   *GPUMonitor
	// Exclusive has models of somebody else unloaded.
	Exclusive bool

	idleMiB   int             // GPU memory in use before the first load
	strangers map[string]bool // models that stayed when ours was unloaded

	answerTime time.Duration // for answers that need no model; zero for answerTime
	busy       busy
}

// busy says for how long every prompt was turned away because the server had
// too many.
type busy struct {
	since time.Time // zero when the newest one was not
	times int
}

// ParseHost reads a host in the forms that OLLAMA_HOST takes: a URL, a host, a
// port or both. Without a port it is Ollama's own, or the scheme's where one is
// named. Empty is Ollama's own address. A user and a password, as proxies want
// them, are kept apart from the URL.
func ParseHost(s string) (*url.URL, *url.Userinfo, error) {
	s = strings.TrimSpace(s)
	shown := withoutUser(s)
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
		return nil, nil, fmt.Errorf("host %q: the scheme must be http or https", shown)
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return nil, nil, fmt.Errorf("host %q is not a URL like http://127.0.0.1:11434", shown)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, nil, fmt.Errorf("host %q: a URL like http://127.0.0.1:11434 ends before ? and #", u.Scheme+"://"+u.Host+u.Path)
	}
	host := u.Hostname()
	if host == "" {
		host = "127.0.0.1"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return nil, nil, fmt.Errorf("host %q: %q is not a port", shown, port)
	}
	u.Host = net.JoinHostPort(host, port)
	user := u.User
	u.User = nil
	return u, user, nil
}

// withoutUser returns a host without what stands before its last @, which may be
// a password, also where the rest makes no sense.
func withoutUser(host string) string {
	at := strings.LastIndexByte(host, '@')
	if at < 0 {
		return host
	}
	scheme, _, named := strings.Cut(host[:at], "://")
	if !named {
		return host[at+1:]
	}
	return scheme + "://" + host[at+1:]
}

// answerTime is how long the server may take for an answer that needs no model.
const answerTime = 30 * time.Second

// soon bounds a request that needs no model.
func (s *Server) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := cmp.Or(s.answerTime, answerTime)
	return context.WithTimeoutCause(ctx, limit, &parse.Failure{Class: parse.ServerAway, Detail: fmt.Sprintf("no answer within %v", limit)})
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
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// pauses between two tries to reach a server, the last being repeated.
var pauses = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// Ready returns when the server answers. A server that is away or busy is asked
// again, with growing pauses, until it has been so for Wait.
func (s *Server) Ready(ctx context.Context) error {
	give := time.Now().Add(s.Wait)
	if s.busy.times > 0 { // only a prompt can tell whether it still is
		give = s.busy.since.Add(s.Wait)
		if err := s.pause(ctx, s.busy.times-1, give, "it is busy"); err != nil {
			return err
		}
	}
	for i := 0; ; i++ {
		_, err := s.Version(ctx)
		var f *parse.Failure
		if err == nil || !errors.As(err, &f) || f.Class.OfCell() {
			return err
		}
		if err := s.pause(ctx, i, give, f.Detail); err != nil {
			return err
		}
	}
}

// pause waits before the next try to reach the server, unless its time is over
// by then.
func (s *Server) pause(ctx context.Context, tries int, give time.Time, why string) error {
	pause := pauses[min(tries, len(pauses)-1)]
	if time.Now().Add(pause).After(give) {
		return fmt.Errorf("the Ollama server at %s stayed away for %v (server_wait): %s; start it with `ollama serve`, name another with -host, or try the embedded one with -engine embedded", s.URL, s.Wait, why)
	}
	if tries == 0 {
		s.say("waiting up to %v for the Ollama server at %s: %s", s.Wait, s.URL, why)
	}
	return sleep(ctx, pause)
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
		if f := new(parse.Failure); errors.As(context.Cause(ctx), &f) {
			return fmt.Errorf("%s: %w", doing, f)
		}
		return context.Cause(ctx)
	}
	var (
		known     *parse.Failure
		wrong     *wrongServer
		status    api.StatusError
		transport *url.Error
	)
	text := words(err.Error())
	class := parse.Classify(text)
	switch {
	case errors.As(err, &known):
		return fmt.Errorf("%s: %w", doing, known)
	case errors.As(err, &wrong):
		return fmt.Errorf("%s at %s: %w", doing, s.URL, wrong)
	case errors.As(err, &status):
		text = words(status.ErrorMessage)
		class = parse.Classify(text)
		if status.StatusCode == http.StatusServiceUnavailable && class == parse.ModelError {
			class = parse.ServerBusy
		}
	case errors.As(err, &transport):
		class = parse.ServerAway
	case notAMessage(err):
		class, text = parse.NoFigures, "not an answer of Ollama's: "+text
	}
	return fmt.Errorf("%s: %w", doing, &parse.Failure{Class: class, Detail: text})
}

// notAMessage reports whether an answer could not be decoded. A line that is no
// JSON comes as an error whose text is that line, as the server's own words do.
func notAMessage(err error) bool {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
		date   *time.ParseError
	)
	if errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &date) {
		return true
	}
	text := strings.TrimSpace(err.Error())
	return strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") || strings.HasPrefix(text, "<")
}

// mostWords is how many bytes of what a server or a command says are kept.
const mostWords = 2000

// words returns what a server says as text that can be shown and kept.
func words(text string) string {
	return cut(parse.Plain([]byte(cut(text, 8*mostWords))), mostWords)
}

// oneLine is words for what ought to be a name or a version.
func oneLine(text string) string {
	return cut(strings.Join(strings.Fields(words(text)), " "), 200)
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
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
	ctx, cancel := s.soon(ctx)
	defer cancel()
	show, err := s.client().Show(ctx, &api.ShowRequest{Model: name})
	if err != nil {
		return Model{}, fmt.Errorf("model %q: %w; `ollama list` shows what the server has", name, s.failure(ctx, "asking for it", err))
	}
	m := Model{Quantization: oneLine(show.Details.QuantizationLevel), System: show.System}
	if architecture, ok := show.ModelInfo["general.architecture"].(string); ok {
		trained, _ := show.ModelInfo[architecture+".context_length"].(float64)
		if trained > 0 && trained < math.MaxInt32 {
			m.TrainedCtx = int(trained)
		}
	}
	list, err := s.client().List(ctx)
	if err != nil {
		return Model{}, s.failure(ctx, "listing models", err)
	}
	for _, entry := range list.Models {
		if sameModel(entry.Name, name) {
			m.Digest = oneLine(entry.Digest)
		}
	}
	return m, nil
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
