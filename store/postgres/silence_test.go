package postgres

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// A server that says nothing any more, and does not end its connections either, is given
// up: else the loop of an engine would wait for it as long as TCP does.
func TestReadsGiveUpASilentServer(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	ctx := t.Context()
	config, err := pgx.ParseConfig(pgtest.URL())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var silent sync.RWMutex // held for writing while the server says nothing
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				network, address := pgconn.NetworkAddress(config.Host, config.Port)
				server, err := net.Dial(network, address)
				if err != nil {
					return
				}
				defer server.Close()
				go io.Copy(server, client)
				buffer := make([]byte, 4096)
				for {
					n, err := server.Read(buffer)
					if err != nil {
						return
					}
					silent.RLock()
					_, err = client.Write(buffer[:n])
					silent.RUnlock()
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	through := url.URL{Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: listener.Addr().String(),
		Path: "/" + config.Database, RawQuery: "sslmode=disable"}
	s, err := Open(ctx, through.String(), Options{Schema: pgtest.Schema(t), NoListen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.silence = 100 * time.Millisecond
	silent.Lock()
	defer silent.Unlock()
	for what, read := range map[string]func() error{
		"due":       func() error { _, err := s.Due(ctx, store.Key{}, store.MaxMillis, 1); return err },
		"leads":     func() error { _, err := s.Load(ctx, []int64{1}); return err },
		"workflows": func() error { _, err := s.Workflows(ctx); return err },
		"history":   func() error { _, _, _, err := s.History(ctx, 1); return err },
		"numbers":   func() error { _, err := s.Reserve(ctx, store.StepSequence, 1); return err },
		"agreed":    func() error { _, err := s.Agreed(ctx); return err },
		"heeded":    func() error { _, err := s.Heeded(ctx, []store.Notice{{Engine: 1, Lead: 1}}); return err },
	} {
		if err := read(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
