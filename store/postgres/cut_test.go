package postgres_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// cutter is a proxy before a server, which ends connections after some bytes.
type cutter struct {
	listener        net.Listener
	network, server string

	mu   sync.Mutex
	left int // bytes until the cut, both ways together; below zero: no cut
	cuts int
}

func newCutter(t *testing.T) *cutter {
	t.Helper()
	config, err := pgx.ParseConfig(server(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{left: -1}
	c.network, c.server = pgconnAddress(config)
	if c.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.listener.Close() })
	go func() {
		for {
			client, err := c.listener.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	return c
}

func pgconnAddress(c *pgx.ConnConfig) (network, address string) {
	if len(c.Host) > 0 && c.Host[0] == '/' {
		return "unix", fmt.Sprintf("%s/.s.PGSQL.%d", c.Host, c.Port)
	}
	return "tcp", net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
}

// url is where the server is found through the proxy.
func (c *cutter) url(t *testing.T) string {
	t.Helper()
	config, err := pgx.ParseConfig(server(t))
	if err != nil {
		t.Fatal(err)
	}
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: c.listener.Addr().String(), Path: "/" + config.Database,
		RawQuery: "sslmode=disable",
	}).String()
}

// cutAfter has the next connection that carries so many bytes end there.
func (c *cutter) cutAfter(n int) {
	c.mu.Lock()
	c.left = n
	c.mu.Unlock()
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	upstream, err := net.Dial(c.network, c.server)
	if err != nil {
		return
	}
	defer upstream.Close()
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			c.mu.Lock()
			cut := c.left >= 0 && n > c.left
			if cut {
				n, c.left = c.left, -1
				c.cuts++
			} else if c.left >= 0 {
				c.left -= n
			}
			c.mu.Unlock()
			if n > 0 {
				if _, err := to.Write(buffer[:n]); err != nil {
					break
				}
			}
			if cut || err != nil {
				break
			}
		}
		client.Close()
		upstream.Close()
	}
	both.Go(func() { pass(upstream, client) })
	both.Go(func() { pass(client, upstream) })
	both.Wait()
}

// Wherever a connection is cut, Commit says what is so: when it returned nil the batch
// is there, and when it returned an error it is not.
func TestAConnectionCutAnywhereIsFoundOut(t *testing.T) {
	proxy := newCutter(t)
	s, err := postgres.Open(t.Context(), proxy.url(t), postgres.Options{Schema: schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	enrolled(t, s)
	l, err := s.Lead(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	done, failed := 0, 0
	for range 150 {
		change := next(l.Record)
		proxy.cutAfter(rand.IntN(1500))
		_, err := s.Commit(t.Context(), &store.Batch{Changes: []store.Change{change}})
		proxy.cutAfter(-1)
		switch {
		case err == nil:
			done++
			l.Record = change.After
		case errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrLost):
			t.Fatalf("of the only owner's commit: %v", err)
		default:
			failed++
		}
		for {
			is, err := s.Lead(t.Context(), 1)
			if err != nil {
				continue // a connection of a reader was cut
			}
			if is.Version != l.Version {
				t.Fatalf("the lead has version %d, and by what Commit said %d", is.Version, l.Version)
			}
			break
		}
	}
	t.Logf("%d commits were done and %d not, with %d cuts", done, failed, proxy.cuts)
	if proxy.cuts < 40 || done < 20 {
		t.Error("the test tests less than it says")
	}
}
