package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// clients are what requests are made with. There are two, for a connection that
// is kept for reuse carries the check that it was made under: one made for a
// target that is allowed by name must not serve another on the same host that
// only its address could allow.
type clients struct {
	named *http.Client // for targets that are allowed by name, or when all are
	nets  *http.Client // for those that only their address can allow; nil when all are
}

func newClients(a *allowList, config *tls.Config) clients {
	if a == nil {
		t := newTransport(config, nil)
		t.Proxy = http.ProxyFromEnvironment
		return clients{named: newClient(t)}
	}
	return clients{
		named: newClient(newTransport(config, a.checkNamed)),
		nets:  newClient(newTransport(config, a.checkNets)),
	}
}

// forURL returns the client for a target, or an error for one that cannot be
// allowed whatever it resolves to.
func (c *clients) forURL(u *url.URL, a *allowList) (*http.Client, error) {
	if a == nil || a.named(u) {
		return c.named, nil
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := a.checkNets(u.Hostname(), ip.Unmap()); err != nil {
			return nil, refuse("%s is not in the list of allowed targets", publicURL(u))
		}
	}
	if len(a.nets) == 0 {
		return nil, refuse("%s is not in the list of allowed targets", publicURL(u))
	}
	return c.nets, nil
}

func (c *clients) closeIdle() {
	c.named.CloseIdleConnections()
	if c.nets != nil {
		c.nets.CloseIdleConnections()
	}
}

func newClient(t *http.Transport) *http.Client {
	return &http.Client{
		Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the answer is the redirect itself
		},
	}
}

// newTransport returns a transport that connects only where check, if any, lets
// it.
func newTransport(config *tls.Config, check func(host string, ip netip.Addr) error) *http.Transport {
	return &http.Transport{
		DialContext:         dialer(check),
		TLSClientConfig:     config.Clone(), // of nil too
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		// Mostly one host is asked, by as many requests at a time as the engine has
		// workers, which is what bounds the connections in use.
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func dialer(check func(host string, ip netip.Addr) error) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
		if check != nil {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			// Called with the very address that is connected to, so that no second
			// look-up can give another (DNS rebinding).
			d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
				to, err := netip.ParseAddrPort(resolved)
				if err != nil {
					return refuse("%s resolves to %s, which cannot be checked", host, resolved)
				}
				return check(host, to.Addr().Unmap().WithZone(""))
			}
		}
		return d.DialContext(ctx, network, address)
	}
}
