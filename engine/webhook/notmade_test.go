package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
)

// silent is a listener whose connections are accepted, and never answered.
func silent(t *testing.T) (address string, accepted <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ch := make(chan struct{})
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.ReadFull(conn, make([]byte, 1)) // of the TLS client's greeting
		close(ch)
		io.Copy(io.Discard, conn)
	}()
	return l.Addr().String(), ch
}

// closedAddress is an address that nobody listens at.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What never got a connection was not made, whatever the reason.
func TestWithoutAConnectionTheAttemptWasNotMade(t *testing.T) {
	resolver := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, syscall.ENETUNREACH
	}}
	t.Cleanup(func() { net.DefaultResolver = resolver })
	quiet, _ := silent(t)
	plain := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	strangers := httptest.NewUnstartedServer(nil)
	strangers.Config.ErrorLog = plain.Config.ErrorLog
	strangers.StartTLS() // with a certificate that nobody vouches for
	t.Cleanup(strangers.Close)
	for name, c := range map[string]struct {
		url, text string
		timeout   time.Duration
	}{
		"connection refused":      {url: "http://" + closedAddress(t), text: "no connection: dial tcp"},
		"no name server":          {url: "http://nobody.invalid", text: "no connection: dial tcp: lookup nobody.invalid"},
		"an unknown certificate":  {url: strangers.URL, text: "no connection: tls: failed to verify certificate"},
		"a server without TLS":    {url: strings.Replace(plain.URL, "http:", "https:", 1), text: "no connection"},
		"a handshake without end": {url: "https://" + quiet, text: "no connection within 50ms", timeout: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newTest(t, Config{Timeout: c.timeout}).Handle(t.Context(), attemptAt(t, c.url))
			if kind(err) != "not made" || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("%q error %v, want that it was not made, with %q", kind(err), err, c.text)
			}
		})
	}
	if n := len(plain.seen()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// A shutdown out of time, while the connection is being made.
func TestWhatAShutdownKeptFromBeingSentWasNotMade(t *testing.T) {
	address, accepted := silent(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-accepted
		cancel(engine.ErrShutdown)
	}()
	_, err := newTest(t, Config{}).Handle(ctx, attemptAt(t, "https://"+address))
	if kind(err) != "not made" || !errors.Is(err, engine.ErrShutdown) {
		t.Errorf("%q error %v", kind(err), err)
	}
}

// What had a connection may have been received, over HTTP/2 too.
func TestWithAConnectionTheAttemptMayHaveBeenMade(t *testing.T) {
	for _, version := range []int{1, 2} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != version {
				t.Errorf("asked over %s", r.Proto)
			}
			panic(http.ErrAbortHandler)
		}))
		server.EnableHTTP2 = version == 2
		server.StartTLS()
		t.Cleanup(server.Close)
		pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		h := newTest(t, Config{TLS: &tls.Config{RootCAs: pool}})
		for range 2 {
			if _, err := h.Handle(t.Context(), attemptAt(t, server.URL)); kind(err) != "retry" {
				t.Errorf("HTTP/%d: %q error %v, want a failed attempt", version, kind(err), err)
			}
		}
	}
}

func TestTheRateKeyIsTheTarget(t *testing.T) {
	h := newTest(t, Config{})
	for url, want := range map[string]string{
		"https://user:secret@Dialer.test./call?key=secret": "https://dialer.test:443/call",
		"http://dialer.test:8080/other":                    "http://dialer.test:8080/other",
		"http://[0:0::1]/":                                 "http://[::1]:80/",
		"":                                                 "",
	} {
		if got := h.RateKey(workflow.CallNode("n", workflow.Config{"url": url})); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}
