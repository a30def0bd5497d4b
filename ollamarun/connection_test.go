package ollamarun

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ollama-sweep/ollama-sweep/internal/lines"
	"github.com/ollama-sweep/ollama-sweep/internal/measurement"
	"github.com/ollama-sweep/ollama-sweep/internal/test/ollamatest"
)

// certificate returns a self-signed certificate.
func certificate(t *testing.T, host string, ends time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotBefore: ends.Add(-24 * time.Hour), NotAfter: ends,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS returns the address of a fake Ollama server behind TLS.
func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	s := httptest.NewUnstartedServer(ollamatest.Reply(ollamatest.Captured("version.json")))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// serveBytes returns the address of a server that answers each connection with these bytes.
func serveBytes(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 4096)) // the request
				io.WriteString(c, text)
			}()
		}
	}()
	return l.Addr().String()
}

// TestReadyStopsAtOnce covers connection errors that waiting can't fix.
func TestReadyStopsAtOnce(t *testing.T) {
	good := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	untrusted := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good}})
	plain := ollamatest.New(t).URL.Host
	page := func(text string) string { return serveBytes(t, "HTTP/1.1 400 Bad Request\r\n"+text) }
	for _, test := range []struct{ name, url, want string }{
		{"a certificate of an unknown authority", "https://" + untrusted, "the server's certificate is not accepted (x509: certificate signed by unknown authority): let this machine trust the authority"},
		{"an expired certificate", "https://" + serveTLS(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, "127.0.0.1", time.Now().Add(-time.Hour))}}), "certificate has expired or is not yet valid"},
		{"the certificate of another host", "https://" + serveTLS(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, "gpu7.example", time.Now().Add(time.Hour))}}), "use the host name of the certificate in -host"},
		{"a client that has no certificate", "https://" + serveBytes(t, "\x15\x03\x03\x00\x02\x02\x74"), "no TLS connection to the server can be made (remote error: tls: certificate required): "},
		{"an old version of TLS", "https://" + serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}), "no TLS connection to the server can be made (remote error: tls: protocol version not supported): "},
		{"https to a server of http", "https://" + plain, "the server speaks http, not https: use -host http://" + plain},
		{"https to another server", "https://" + serveBytes(t, "SSH-2.0-OpenSSH_9.6\r\n"), "no TLS connection to the server can be made (tls: first record does not look like a TLS handshake): "},
		{"http to a server of https", "http://" + untrusted, "the server speaks https, not http: use -host https://" + untrusted},
		{"http to nginx's https", "http://" + page("Content-Type: text/html\r\nContent-Length: 71\r\n\r\n<center>The plain HTTP request was sent to HTTPS port</center>\r\n<hr>\r\n\r\n"), "the server speaks https, not http: use -host https://"},
		{"http to a server that answers with an alert", "http://" + serveBytes(t, "\x15\x03\x01\x00\x02\x02\x16"), "the server speaks https, not http: use -host https://"},
		{"http to a server of ssh", "http://" + serveBytes(t, "SSH-2.0-OpenSSH_9.6\r\n"), `the server does not speak HTTP (`},
		{"http to a database", "http://" + serveBytes(t, "J\x00\x00\x00\n8.0.36\x00"), `the server does not speak HTTP (`},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			require.NoError(t, err)
			var log bytes.Buffer
			s := &Server{URL: u, Wait: 10 * time.Minute, Log: lines.Comments(&log)}
			err = s.Ready(t.Context())
			require.ErrorContains(t, err, test.want)
			assert.ErrorContains(t, err, test.url)
			var failure *measurement.Failure
			assert.NotErrorAs(t, err, &failure)
			assert.Empty(t, log.String(), "Ready does not wait")
		})
	}
}

// TestReadyWaits covers errors that may be temporary: a connection that breaks off, and answers of
// a proxy.
func TestReadyWaits(t *testing.T) {
	for _, test := range []struct{ name, url string }{
		{"a handshake that breaks off", "https://" + serveBytes(t, "")},
		{"an answer that breaks off", "http://" + serveBytes(t, "HTTP/1.1 200 OK\r\nContent-Le")},
		{"a page with status 400", "http://" + serveBytes(t, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nwhat")},
		{"status 400 without a body", "http://" + serveBytes(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			require.NoError(t, err)
			err = (&Server{URL: u}).Ready(t.Context())
			assert.ErrorContains(t, err, "stayed away for 0s (server_wait): ")
		})
	}
}

// TestTLSPageKeepsTheBody checks that the body of any other answer can still be read.
func TestTLSPageKeepsTheBody(t *testing.T) {
	answer := &http.Response{Body: io.NopCloser(bytes.NewBufferString("what it is")), Request: &http.Request{URL: &url.URL{Scheme: "http"}}}
	require.NoError(t, tlsPage(answer))
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Equal(t, "what it is", string(body))
}
