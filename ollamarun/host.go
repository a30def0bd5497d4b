package ollamarun

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ParseHost parses an address in the forms of OLLAMA_HOST: a URL, a host, a port, or
// host and port. The default port is that of the scheme if there is one, else Ollama's;
// the default host is 127.0.0.1. User and password, as a proxy may require them, are
// returned apart from the URL.
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
		return nil, nil, fmt.Errorf("host %q: the URL must not have a query or a fragment; write one like http://127.0.0.1:11434", u.Scheme+"://"+u.Host+u.Path)
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

// Address returns the server's URL in a canonical form: lower case, with a port, and with
// 127.0.0.1 for all names of this machine itself.
func (s *Server) Address() string {
	u := *s.URL
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if s.Local() {
		host = "127.0.0.1"
	}
	u.Host = net.JoinHostPort(host, u.Port())
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u.String()
}

// withoutUser returns an address without everything up to its last @, which may be
// a password, even if the address is invalid.
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
