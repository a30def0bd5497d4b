package ollamarun

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// wrongConnection returns what is wrong with a connection that no waiting will mend: a certificate,
// the scheme, or a server that does not speak HTTP. It is nil for other errors of a request.
//
//	tls: failed to verify certificate: x509: certificate signed by unknown authority
//	tls: first record does not look like a TLS handshake
//	remote error: tls: certificate required
//	net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02\x16"
//	net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-OpenSSH_9.6"
func wrongConnection(u *url.URL, err error) error {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	text := err.Error()
	switch {
	case errors.As(err, &certificate):
		return &wrongServer{fmt.Sprintf("the server's certificate is not accepted (%s): %s", words(certificate.Err.Error()), mendCertificate(certificate.Err))}
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return &wrongServer{fmt.Sprintf("the server speaks http and not https: name it with -host http://%s", u.Host)}
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // an alert of TLS
		return &wrongServer{speaksTLS(u)}
	case tlsError.MatchString(text):
		return &wrongServer{fmt.Sprintf("no TLS connection to the server can be made (%s): is it an https server, and does it want a certificate of its clients? -host names another address", words(text))}
	case malformed.MatchString(text):
		return &wrongServer{fmt.Sprintf("what answers does not speak HTTP (%s): is Ollama at that address? -host names another", words(text))}
	}
	return nil
}

// tlsError matches the errors of a handshake, of either side, but for a connection that broke off.
var tlsError = regexp.MustCompile(`(?:^|: )tls: `)

// malformed matches an answer that does not begin as one of HTTP, and did not break off there.
var malformed = regexp.MustCompile(`malformed HTTP response "(?:[^H"]|H[^T"])`)

// mendCertificate says what to do about a certificate.
func mendCertificate(err error) string {
	var (
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew it, or set the clock of this machine right"
	case errors.As(err, &host):
		return "name the server with -host as its certificate does"
	case errors.As(err, &unknown):
		return "have this machine trust the authority that has signed it (on Linux, SSL_CERT_FILE names a file of its certificate)"
	}
	return "mend the certificate, or name another address of the server with -host"
}

func speaksTLS(u *url.URL) string {
	return fmt.Sprintf("the server speaks https and not http: name it with -host https://%s", u.Host)
}

// tlsPage returns what is wrong where a server that speaks TLS answers that a request has none, or
// no certificate; nil for another answer, whose body can still be read.
//
//	400 Bad Request: Client sent an HTTP request to an HTTPS server.
//	400 Bad Request: <h1>400 Bad Request</h1><center>The plain HTTP request was sent to HTTPS port</center>
//	400 Bad Request: <center>No required SSL certificate was sent</center>
func tlsPage(answer *http.Response) error {
	head, err := io.ReadAll(io.LimitReader(answer.Body, mostWords))
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), answer.Body), answer.Body}
	if err != nil || !mentionsTLS.Match(head) {
		return nil
	}
	u := answer.Request.URL
	if u.Scheme == "http" {
		return &wrongServer{speaksTLS(u)}
	}
	return &wrongServer{fmt.Sprintf("the server refuses the connection (%s: %s): name another address of Ollama with -host", answer.Status, oneLine(string(head)))}
}

var mentionsTLS = regexp.MustCompile(`(?i)https|\b(?:ssl|tls)\b`)
