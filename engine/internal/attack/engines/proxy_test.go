//go:build unix

package engines

import (
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// proxy stands between an engine and the server. It can cut connections at any byte,
// refuse new ones, hold what is sent, and slow it down.
type proxy struct {
	listener        net.Listener
	network, server string // where the server is
	config          *pgx.ConnConfig

	mu      sync.Mutex
	changed *sync.Cond // something that follows has changed
	links   map[*link]bool
	closed  bool
	refuse  bool
	hold    [2]bool // by direction: nothing passes, and nothing is lost
	delay   time.Duration
	left    int // bytes until a connection is cut, both ways together; below zero: no cut
	cuts    int
}

// The directions of what passes.
const (
	up   = iota // from the engine to the server
	down        // from the server to the engine
)

// link is one connection through the proxy.
type link struct {
	ends [2]net.Conn // engine, server
	cut  bool
	wait bool // something from the engine waits to be let pass
	late bool // and is held until the proxy is healed
	gone bool // the engine has lost the connection meanwhile
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{links: map[*link]bool{}, left: -1}
	p.changed = sync.NewCond(&p.mu)
	var err error
	if p.config, err = pgx.ParseConfig(server); err != nil {
		t.Fatal(err)
	}
	p.network, p.server = "tcp", net.JoinHostPort(p.config.Host, strconv.Itoa(int(p.config.Port)))
	if p.config.Host[0] == '/' {
		p.network, p.server = "unix", p.config.Host+"/.s.PGSQL."+strconv.Itoa(int(p.config.Port))
	}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	go func() {
		for {
			engine, err := p.listener.Accept()
			if err != nil {
				return
			}
			go p.serve(engine)
		}
	}()
	return p
}

// url is where the server is found through the proxy.
func (p *proxy) url() string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(p.config.User, p.config.Password), Host: p.listener.Addr().String(),
		Path: "/" + p.config.Database, RawQuery: "sslmode=disable",
	}).String()
}

// set changes the proxy.
func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

// heal lets everything pass.
func (p *proxy) heal() {
	p.set(func() {
		p.refuse, p.hold, p.delay, p.left = false, [2]bool{}, 0, -1
		for l := range p.links {
			l.late = false
		}
	})
}

// waits reports whether something from the engine waits to be let pass.
func (p *proxy) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.wait {
			return true
		}
	}
	return false
}

// delayWaiting lets everything pass but what waits. The engine finds that connection
// broken; what it has sent arrives when the proxy is healed.
func (p *proxy) delayWaiting() {
	p.set(func() {
		p.hold = [2]bool{}
		for l := range p.links {
			if l.wait {
				l.late, l.gone = true, true
				l.ends[up].Close()
			}
		}
	})
}

// cut ends all connections, and loses what is on its way.
func (p *proxy) cut() {
	p.set(func() {
		for l := range p.links {
			p.cutLink(l)
		}
	})
}

func (p *proxy) cutLink(l *link) {
	l.cut = true
	p.cuts++
	for _, c := range l.ends {
		c.Close()
	}
}

func (p *proxy) close() {
	p.listener.Close()
	p.set(func() { p.closed = true })
	p.cut()
}

func (p *proxy) serve(engine net.Conn) {
	defer engine.Close()
	p.mu.Lock()
	refuse := p.refuse || p.closed
	p.mu.Unlock()
	if refuse {
		return
	}
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return
	}
	defer server.Close()
	l := &link{ends: [2]net.Conn{engine, server}}
	p.set(func() { p.links[l] = true })
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, up) })
	both.Go(func() { p.pass(l, down) })
	both.Wait()
	p.set(func() { delete(p.links, l) })
}

// pass carries what is sent in one direction. What an engine has sent before it closed
// its end arrives, as it does from a network that is slow.
func (p *proxy) pass(l *link, direction int) {
	from, to := l.ends[direction], l.ends[1-direction]
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		n, cut := p.let(l, direction, n)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				cut = true
			}
		}
		if cut {
			l.ends[0].Close()
			l.ends[1].Close()
			return
		}
		if err != nil {
			break
		}
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok && direction == up {
		half.CloseWrite()
		return
	}
	to.Close()
}

// let waits until so many bytes may pass, and returns how many may before the
// connection is cut, if it is.
func (p *proxy) let(l *link, direction, n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.delay; d > 0 {
		p.mu.Unlock()
		time.Sleep(d)
		p.mu.Lock()
	}
	for (p.hold[direction] || direction == up && l.late) && !l.cut && !p.closed {
		l.wait = l.wait || direction == up && n > 0
		p.changed.Wait()
	}
	if direction == up {
		l.wait = false
	}
	switch {
	case l.cut || p.closed:
		return 0, true
	case p.left >= 0 && n > p.left:
		n, p.left, l.cut = p.left, -1, true
		p.cuts++
	case p.left >= 0:
		p.left -= n
	}
	return n, l.cut
}
