package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// An engine that has gone is known to have been: else whoever is left would wait for it
// as for one that has just come.
func TestTheNewestEngineIsRememberedWhenItHasGone(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, newest := open(t, o), open(t, o)
	gone, err := newest.Sync(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := newest.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := s.Sync(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Others) != 0 || m.Newest != gone.Engine {
		t.Errorf("after engine %d has gone the newest is %d and the others are %v", gone.Engine, m.Newest, m.Others)
	}
}

// A shard's notices are for the engine that has the shard when it asks, not for the one
// that had it when it asked before.
func TestNoticesGoToTheEngineThatHasTheShard(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, next := open(t, o), open(t, o)
	sync := func(s *postgres.Store) store.Membership {
		t.Helper()
		m, err := s.Sync(t.Context(), true, 0)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	sync(s)
	sync(next)
	m := sync(s)
	if len(m.Give) == 0 {
		t.Fatalf("the first engine is to give up nothing: %+v", m)
	}
	shard := m.Give[0]
	if _, err := s.Commit(t.Context(), &store.Batch{Share: store.Share{Release: m.Give}}); err != nil {
		t.Fatal(err)
	}
	sync(next) // it has the shard now, and reads its leads
	if _, err := s.Commit(t.Context(), &store.Batch{Ping: true, Share: store.Share{Notices: []store.Notice{{Shard: shard, Lead: 7}}}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if m := sync(s); len(m.Notices) > 0 {
			t.Errorf("the engine of before is told %+v", m.Notices)
		}
	}
	if m := sync(next); len(m.Notices) != 1 || m.Notices[0].Lead != 7 {
		t.Errorf("the engine that has the shard is told %+v", m.Notices)
	}
}

// A notice for an engine that has gone is not kept, because nobody would ever read it.
func TestNoticesForEnginesThatHaveGoneAreNotKept(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, gone := open(t, o), open(t, o)
	m, err := gone.Sync(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	note := func() {
		t.Helper()
		if _, err := s.Commit(t.Context(), &store.Batch{Ping: true, Share: store.Share{Notices: []store.Notice{{Engine: m.Engine, Lead: 7}}}}); err != nil {
			t.Fatal(err)
		}
	}
	note()
	if n := rows(t, o.Schema, "notices"); n != 1 {
		t.Fatalf("there are %d notices for an engine that has a place", n)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	note()
	if n := rows(t, o.Schema, "notices"); n != 0 {
		t.Errorf("%d notices are kept for an engine that has gone", n)
	}
}

// rows returns how many rows a table has.
func rows(t *testing.T, schema, table string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+schema+"."+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
