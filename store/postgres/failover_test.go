package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// After a fail-over the sessions of before may be on a server that is read-only by now.
// None of them is used again once one has said so, also not for the lease.
func TestSessionsThatAreReadOnlyAreDropped(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	ctx := t.Context()
	s, err := Open(ctx, pgtest.URL(), Options{Schema: pgtest.Schema(t), NoListen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all []*pgxpool.Conn
	for range s.control.Config().MaxConns {
		conn, err := s.control.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, "SET default_transaction_read_only = on"); err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
	}
	for _, conn := range all {
		conn.Release()
	}
	if _, err := s.Sync(ctx, true, 0); codeOf(err) != readOnly {
		t.Fatalf("on a read-only server: %v", err)
	}
	if _, err := s.Sync(ctx, true, 0); err != nil {
		t.Errorf("the session that is read-only is used again: %v", err)
	}
}
