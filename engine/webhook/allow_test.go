package webhook

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestTheAllowListIsReadStrictly(t *testing.T) {
	for _, entry := range []string{
		"dialer.test", "DIALER.test.", "dialer.test:8443", "https://dialer.test", "http://dialer.test:81/hooks/",
		"192.0.2.7", "192.0.2.7:80", "2001:db8::7", "[2001:db8::7]:80", "10.0.0.0/8", "fd00::/8", " spaces.test ", "https://[::1]:80/x",
	} {
		if _, err := parseAllowList([]string{entry}); err != nil {
			t.Error(err)
		}
	}
	for entry, text := range map[string]string{
		"":                         "names no host",
		"*":                        `has '*'`,
		"*.dialer.test":            `has '*'`,
		"bücher.test":              "xn--",
		"a.test,b.test":            "each host by itself",
		":80":                      "names no host",
		"a.test:":                  "port",
		"a.test:0":                 "port",
		"a.test:65536":             "port",
		"a.test:http":              "port",
		"dialer.test/hooks":        "a URL would begin with https://",
		"10.0.0.0/33":              "is no network",
		"10.1.2.3/8":               "write 10.0.0.0/8",
		"ftp://a.test":             "https:// or http://",
		"https://":                 "names no host",
		"https://a.test/?q":        "end with the path",
		"https://a.test/#f":        "end with the path",
		"https://user@a.test":      "end with the path",
		"https://*.test":           `has '*'`,
		"https://a b.test":         "no URL",
		"fe80::1%eth0":             "host",
		"https://a.test:port/path": "no URL",
	} {
		if _, err := parseAllowList([]string{entry}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %v, want one with %q", entry, err, text)
		}
	}
}

func TestWhatTheAllowListNames(t *testing.T) {
	for _, c := range []struct {
		entry   string
		yes, no []string
	}{
		{
			"dialer.test",
			[]string{"http://dialer.test", "https://DIALER.test.:1/x", "https://u:p@dialer.test/"},
			[]string{"http://dialer.test.evil.test", "http://evil.test/dialer.test", "http://dialer.test@evil.test/", "http://sub.dialer.test"},
		},
		{
			"dialer.test:443",
			[]string{"https://dialer.test/x", "https://dialer.test:443", "http://dialer.test:443"},
			[]string{"http://dialer.test", "https://dialer.test:444"},
		},
		{
			"https://dialer.test/hooks/",
			[]string{"https://dialer.test/hooks", "https://dialer.test/hooks/", "https://dialer.test:443/hooks/a/b?c=../d", "https://dialer.test/hooks/a%20b/"},
			[]string{
				"http://dialer.test/hooks/", "https://dialer.test:8443/hooks/", "https://dialer.test/", "https://dialer.test/hooksy",
				"https://dialer.test/hooks/../admin", "https://dialer.test/hooks/%2e%2e/admin", "https://dialer.test/hooks//admin",
				"https://dialer.test/hooks/./a", "https://dialer.test/HOOKS/", "https://dialer.test/hooks/..%2fadmin",
			},
		},
		{"https://dialer.test", []string{"https://dialer.test/any/../thing"}, []string{"http://dialer.test"}},
		{"[::1]:80", []string{"http://[::1]", "http://[0:0::1]:80/"}, []string{"http://[::1]:81", "http://127.0.0.1"}},
		{"192.0.2.7:80", []string{"http://192.0.2.7", "http://[::ffff:192.0.2.7]"}, []string{"http://192.0.2.8", "http://192.0.2.7:81"}},
	} {
		a, err := parseAllowList([]string{c.entry})
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range map[bool][]string{true: c.yes, false: c.no} {
			for _, text := range list {
				u, err := url.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				if got := a.named(u); got != want {
					t.Errorf("%s allows %s: %t", c.entry, text, got)
				}
			}
		}
	}
}

func TestInternalAddressesAreNotPublic(t *testing.T) {
	for want, list := range map[bool]string{
		true: "8.8.8.8 1.1.1.1 172.32.0.1 192.169.0.1 100.128.0.1 2606:4700::1111",
		false: "127.0.0.1 127.9.9.9 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 0.1.2.3 100.64.0.1 192.0.0.8 198.18.0.1 " +
			"224.0.0.1 240.0.0.1 255.255.255.255 ::1 :: fe80::1 fc00::1 fd12::1 ff02::1 64:ff9b::7f00:1 2002:7f00:1::1 2001::1 fec0::1",
	} {
		for text := range strings.FieldsSeq(list) {
			if public(netip.MustParseAddr(text)) != want {
				t.Errorf("%s is public: %t", text, !want)
			}
		}
	}
}

// names has a resolver of its own answer every look-up of the test's process
// with the address, until the test ends.
func names(t *testing.T, address func() netip.Addr) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			conn.WriteTo(dnsAnswer(query[:n], address()), from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, _ string) (net.Conn, error) {
		return net.Dial("udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		conn.Close()
		<-done
	})
}

// dnsAnswer answers a question for an IPv4 address, and has nothing to say to
// others (RFC 1035, section 4.1).
func dnsAnswer(query []byte, ip netip.Addr) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if binary.BigEndian.Uint16(query[end+1:]) == 1 { // A
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, ip.AsSlice()...)
	}
	return answer
}

func TestOnlyAllowedTargetsAreAsked(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) })
	host, port, err := net.SplitHostPort(r.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	for _, c := range []struct {
		allow []string
		url   string
		text  string // of the refusal; "" if it is allowed
	}{
		{nil, r.URL, ""},
		{[]string{host}, r.URL, ""},
		{[]string{host + ":" + port}, r.URL, ""},
		{[]string{r.URL + "/hooks/"}, r.URL + "/hooks/call", ""},
		{[]string{"127.0.0.0/8"}, r.URL, ""},
		{[]string{"127.0.0.0/8"}, "http://internal.test:" + port, ""},
		{[]string{"localhost"}, "http://localhost:" + port, ""},
		{[]string{"internal.test", "127.0.0.1"}, "http://internal.test:" + port, ""},
		{[]string{"other.test"}, r.URL, r.URL + " is not in the list of allowed targets"},
		{[]string{host + ":1"}, r.URL, "is not in the list of allowed targets"},
		{[]string{r.URL + "/hooks/"}, r.URL + "/admin", "/admin is not in the list of allowed targets"},
		{[]string{"10.0.0.0/8", "192.0.2.0/24"}, r.URL, "is not in the list of allowed targets"},
		{[]string{"10.0.0.0/8"}, "http://internal.test:" + port, "internal.test is not in the list of allowed targets, nor is its address 127.0.0.1"},
		{[]string{"internal.test"}, "http://internal.test:" + port, "internal.test is allowed by name, and resolves to 127.0.0.1, which is not a public address"},
		{[]string{"localhost"}, "http://127.0.0.1:" + port, "is not in the list of allowed targets"},
	} {
		before := r.connections()
		h := newTest(t, Config{Allow: c.allow})
		_, err := h.Handle(t.Context(), attemptAt(t, c.url))
		switch {
		case c.text == "" && err != nil:
			t.Errorf("%q refuse %s: %v", c.allow, c.url, err)
		case c.text != "" && (kind(err) != "final" || !strings.Contains(err.Error(), c.text)):
			t.Errorf("%q, %s: %q error %v, want a final one with %q", c.allow, c.url, kind(err), err, c.text)
		case c.text != "" && r.connections() != before:
			t.Errorf("%q: a connection was made to %s", c.allow, c.url)
		}
		h.CloseIdleConnections()
	}
}

// A name that is allowed is moved to an internal address after it was looked at.
func TestANameThatIsMovedIsRefused(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) })
	_, port, err := net.SplitHostPort(r.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var moved atomic.Bool
	names(t, func() netip.Addr {
		if moved.Load() {
			return netip.MustParseAddr("169.254.169.254")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	h := newTest(t, Config{Allow: []string{"dialer.test", "127.0.0.1"}})
	a := attemptAt(t, "http://dialer.test:"+port)
	if _, err := h.Handle(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	moved.Store(true)
	if _, err := h.Handle(t.Context(), a); err != nil {
		t.Errorf("the connection that is there was not used: %v", err)
	}
	h.CloseIdleConnections()
	if _, err := h.Handle(t.Context(), a); kind(err) != "final" || !strings.Contains(err.Error(), "169.254.169.254") {
		t.Errorf("%q error %v", kind(err), err)
	}
}

// A connection that the list allows for one URL is not lent to another that it
// does not.
func TestAKeptConnectionAllowsNothingElse(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) })
	_, port, err := net.SplitHostPort(r.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	h := newTest(t, Config{Allow: []string{"http://localhost:" + port + "/hooks/", "10.0.0.0/8"}})
	if _, err := h.Handle(t.Context(), attemptAt(t, "http://localhost:"+port+"/hooks/call")); err != nil {
		t.Fatal(err)
	}
	_, err = h.Handle(t.Context(), attemptAt(t, "http://localhost:"+port+"/admin"))
	if kind(err) != "final" || len(r.seen()) != 1 {
		t.Errorf("%q error %v, %d requests", kind(err), err, len(r.seen()))
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	secret := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"outcome":"leaked"}`) })
	for _, code := range []int{300, 301, 302, 303, 307, 308} {
		r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, secret.URL+"/admin", code)
		})
		for _, allow := range [][]string{nil, {r.Listener.Addr().String()}} {
			_, err := newTest(t, Config{Allow: allow}).Handle(t.Context(), attemptAt(t, r.URL))
			want := fmt.Sprintf("a redirect to %q; redirects are not followed", secret.URL+"/admin")
			if kind(err) != "final" || !strings.Contains(err.Error(), want) {
				t.Errorf("%d: %q error %v, want a final one with %q", code, kind(err), err, want)
			}
		}
	}
	if n := secret.connections(); n != 0 {
		t.Errorf("%d connections to where the redirects lead", n)
	}
}
