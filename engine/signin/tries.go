package signin

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many wrong tokens may be tried: so many at first, and then one each time that so
// long has passed.
const (
	triesOfClient, everyOfClient = 5, 12 * time.Second
	triesOfAll, everyOfAll       = 50, time.Second
)

// tries limits how often wrong tokens are tried.
type tries struct {
	mu      sync.Mutex
	all     *rate.Limiter
	clients map[string]*rate.Limiter
}

// mostClients is how many addresses are remembered at a time. When there are more, those
// that have tried least are forgotten; the limit for all holds on.
const mostClients = 4096

// take takes one try. giveBack returns it, if the token was right.
func (t *tries) take(client string, now time.Time) (giveBack func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all, t.clients = rate.NewLimiter(rate.Every(everyOfAll), triesOfAll), map[string]*rate.Limiter{}
	}
	own := t.clients[client]
	if own == nil {
		t.forget(now)
		own = rate.NewLimiter(rate.Every(everyOfClient), triesOfClient)
		t.clients[client] = own
	}
	var taken []*rate.Reservation
	giveBack = func() {
		for _, r := range taken {
			r.CancelAt(now)
		}
	}
	for _, limiter := range []*rate.Limiter{own, t.all} {
		r := limiter.ReserveN(now, 1)
		taken = append(taken, r)
		if wait := r.DelayFrom(now); wait > 0 {
			giveBack()
			return nil, &TooManyError{RetryAfter: wait.Round(time.Second) + time.Second}
		}
	}
	return giveBack, nil
}

// forget makes room for another client.
func (t *tries) forget(now time.Time) {
	if len(t.clients) < mostClients {
		return
	}
	for client, limiter := range t.clients {
		if limiter.TokensAt(now) >= triesOfClient-1 {
			delete(t.clients, client)
		}
	}
	for client := range t.clients {
		if len(t.clients) < mostClients {
			return
		}
		delete(t.clients, client)
	}
}

// clientOf names whoever made a request: an IPv4 address, or the network of an IPv6
// address, because a client has many of those.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return network.String()
}
