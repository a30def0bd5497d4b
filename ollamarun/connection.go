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

// connectionError returns a *permanentError if waiting can't fix the connection: because of the
// certificate, the scheme, or a server that does not speak HTTP. It returns nil for other errors.
//
//	tls: failed to verify certificate: x509: certificate signed by unknown authority
//	tls: first record does not look like a TLS handshake
//	remote error: tls: certificate required
//	net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02\x16"
//	net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-OpenSSH_9.6"
func connectionError(u *url.URL, err error) error {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	text := err.Error()
	switch {
	case errors.As(err, &certificate):
		return &permanentError{fmt.Sprintf("the server's certificate is not accepted (%s): %s", printable(certificate.Err.Error()), certificateAdvice(certificate.Err))}
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return &permanentError{fmt.Sprintf("the server speaks http, not https: use -host http://%s", u.Host)}
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // an alert of TLS
		return &permanentError{speaksTLS(u)}
	case tlsError.MatchString(text):
		return &permanentError{fmt.Sprintf("no TLS connection to the server can be made (%s): is it an https server, and does it require a client certificate? Name another address with -host", printable(text))}
	case malformed.MatchString(text):
		return &permanentError{fmt.Sprintf("the server does not speak HTTP (%s): is Ollama at that address? Name another with -host", printable(text))}
	}
	return nil
}

// tlsError matches the errors of a TLS handshake, of either side, except a connection that broke off.
var tlsError = regexp.MustCompile(`(?:^|: )tls: `)

// malformed matches an answer whose first bytes are not HTTP, as opposed to one that broke off there.
var malformed = regexp.MustCompile(`malformed HTTP response "(?:[^H"]|H[^T"])`)

// certificateAdvice returns what to do about a certificate that was not accepted.
func certificateAdvice(err error) string {
	var (
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew it, or correct the clock of this machine"
	case errors.As(err, &host):
		return "use the host name of the certificate in -host"
	case errors.As(err, &unknown):
		return "let this machine trust the authority that signed it (on Linux, set SSL_CERT_FILE to a file with the authority's certificate)"
	}
	return "fix the certificate, or name another address of the server with -host"
}

// speaksTLS says what to do about a server that takes https only.
func speaksTLS(u *url.URL) string {
	return fmt.Sprintf("the server speaks https, not http: use -host https://%s", u.Host)
}

// tlsPage returns a *permanentError if a TLS server answers that a request came without TLS or
// without a client certificate. It returns nil for other answers, whose body can still be read.
//
//	400 Bad Request: Client sent an HTTP request to an HTTPS server.
//	400 Bad Request: <h1>400 Bad Request</h1><center>The plain HTTP request was sent to HTTPS port</center>
//	400 Bad Request: <center>No required SSL certificate was sent</center>
func tlsPage(answer *http.Response) error {
	head, err := io.ReadAll(io.LimitReader(answer.Body, maxText))
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), answer.Body), answer.Body}
	if err != nil || !mentionsTLS.Match(head) {
		return nil
	}
	u := answer.Request.URL
	if u.Scheme == "http" {
		return &permanentError{speaksTLS(u)}
	}
	return &permanentError{fmt.Sprintf("the server refuses the connection (%s: %s): name another address of Ollama with -host", answer.Status, oneLine(string(head)))}
}

// mentionsTLS finds the pages of tlsPage, whose wording differs by server.
var mentionsTLS = regexp.MustCompile(`(?i)https|\b(?:ssl|tls)\b`)
