package webhook

import (
	"cmp"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Host says how a host has answered, since the program started.
type Host struct {
	Name     string // its scheme, name and port
	Requests int64
	// Failures are requests whose attempt failed: without an answer, or with one that is
	// no success. InARow is how many of them came since the last success.
	Failures, InARow int64

	At     time.Time     // of the last request
	Status string        // of its answer, such as "200 OK", or "no answer"
	Took   time.Duration // until the answer

	FailedAt time.Time // when the last failure began; zero for none
	Failure  string    // what it was
}

// mostHosts is how many hosts are kept. Those that were asked longest ago are forgotten.
const mostHosts = 200

// hosts has how each host has answered.
type hosts struct {
	mu   sync.Mutex
	seen map[string]*Host
}

// note takes note of a request. err is nil if its attempt did not fail.
func (h *hosts) note(u *url.URL, begun time.Time, status string, err error) {
	name := u.Scheme + "://" + net.JoinHostPort(canonicalHost(u.Hostname()), portOf(u))
	took := time.Since(begun)
	h.mu.Lock()
	defer h.mu.Unlock()
	host := h.seen[name]
	if host == nil {
		h.forget()
		host = &Host{Name: name}
		h.seen[name] = host
	}
	host.Requests++
	host.At, host.Status, host.Took = begun, status, took
	if err == nil {
		host.InARow = 0
		return
	}
	host.Failures++
	host.InARow++
	host.FailedAt, host.Failure = begun, err.Error()
}

// forget makes room for another host.
func (h *hosts) forget() {
	if h.seen == nil {
		h.seen = map[string]*Host{}
	}
	var oldest *Host
	for _, host := range h.seen {
		if oldest == nil || host.At.Before(oldest.At) {
			oldest = host
		}
	}
	if len(h.seen) >= mostHosts {
		delete(h.seen, oldest.Name)
	}
}

// Hosts returns how each host has answered that was asked for an attempt since the handler
// was made, by name. It keeps the last 200 hosts.
func (h *Handler) Hosts() []Host {
	h.hosts.mu.Lock()
	defer h.hosts.mu.Unlock()
	list := make([]Host, 0, len(h.hosts.seen))
	for _, host := range h.hosts.seen {
		list = append(list, *host)
	}
	slices.SortFunc(list, func(a, b Host) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
