package postgres_test

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
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

// A notice is kept until the engine says that it has taken note, and whoever has written it
// can tell.
func TestNoticesAreKeptUntilTheyWereHeeded(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, other := open(t, o), open(t, o)
	sync := func(want int) store.Membership {
		t.Helper()
		m, err := other.Sync(t.Context(), true, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Notices) != want {
			t.Errorf("there are the notices %+v, want %d", m.Notices, want)
		}
		return m
	}
	notice := store.Notice{Engine: sync(0).Engine, Lead: 7}
	heeded := func(want bool) {
		t.Helper()
		if got, err := s.Heeded(t.Context(), []store.Notice{{Engine: notice.Engine, Lead: 8}, notice}); err != nil || got != want {
			t.Errorf("the notice was heeded: %t, %v; want %t", got, err, want)
		}
	}
	write := func() {
		t.Helper()
		if _, err := s.Commit(t.Context(), &store.Batch{Ping: true, Share: store.Share{Notices: []store.Notice{notice}}}); err != nil {
			t.Fatal(err)
		}
	}
	heeded(true) // there is none
	write()
	heeded(false)
	sync(1)
	sync(1)
	heeded(false)
	write() // which the engine does not know of when it has taken note
	other.Noted()
	sync(1)
	heeded(false)
	other.Noted()
	sync(0)
	heeded(true)
	write()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	heeded(true)
}

// An engine whose lease has run out still has its place, and may extend the lease, until
// another one closes it: so a change of a workflow is not agreed on before (promise 17).
func TestNothingIsAgreedBeforeASilentEngineHasLostItsPlace(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, silent := open(t, o), open(t, o)
	for _, s := range []*postgres.Store{s, silent} {
		if _, err := s.Sync(t.Context(), true, 0); err != nil {
			t.Fatal(err)
		}
	}
	enrolled(t, s) // and makes a workflow
	if _, err := connect(t).Exec(t.Context(), "UPDATE "+o.Schema+".engines SET until = clock_timestamp() - interval '1 s' WHERE epoch = 2"); err != nil {
		t.Fatal(err)
	}
	if agreed, err := s.Agreed(t.Context()); err != nil || agreed {
		t.Errorf("agreed %t, %v, and the other engine holds its place: %t", agreed, err, silent.Held(0))
	}
	if m, err := s.Sync(t.Context(), true, 0); err != nil || len(m.Others) > 0 {
		t.Fatalf("the silent engine was not closed: %+v, %v", m, err)
	}
	if agreed, err := s.Agreed(t.Context()); err != nil || !agreed {
		t.Errorf("agreed %t, %v, and nobody is left", agreed, err)
	}
}

// A change of a workflow that was decided on a number of leads waits for the programs'
// transactions that have read the workflow, and is refused if they have changed the number.
func TestAChangeOfAWorkflowCountsLeadsOfProgramsTransactions(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	enrolled(t, s)
	conn := connect(t)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tx(tx).Workflow(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	seq, err := s.Reserve(t.Context(), store.LeadSequence, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tx(tx).Write(t.Context(), &store.Batch{Enroll: []store.Enrollment{{
		Record:  store.Record{Seq: seq, Workflow: 1, Version: 1, State: lead.Enrolled, Phase: store.PhaseWaiting, Visit: 1, Visits: 1, Wake: 1},
		Contact: store.Contact{Seq: seq, Phone: 14155552672},
	}}}); err != nil {
		t.Fatal(err)
	}
	flows, err := s.Workflows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := flows[0]
	next.Version++
	refused := make(chan error, 1)
	go func() {
		_, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{next}, Share: store.Share{
			Expect: []store.Expectation{{Workflow: 1, States: []lead.State{lead.Enrolled}, Leads: 1}},
		}})
		refused <- err
	}()
	for waits, looks := 0, connect(t); waits == 0; {
		if err := looks.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND $1 = ANY(pg_blocking_pids(pid))",
			conn.PgConn().PID()).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !errors.Is(err, store.ErrConflict) {
		t.Errorf("the workflow was changed as if it had one lead: %v", err)
	}
}

// Engines that enroll and engines that step, in the same workflows and with the same limits,
// do not run into deadlocks, each of which would cost a second.
func TestEnrollingAndSteppingDoNotDeadlock(t *testing.T) {
	server(t)
	url := pgtest.Database(t)
	var stores [2]*postgres.Store
	for i := range stores {
		s, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores[i] = s
	}
	// A lead of each workflow for the second store, and one of workflow 2 for the first.
	enrollment := func(seq, workflow int64) store.Enrollment {
		return store.Enrollment{
			Record:  store.Record{Seq: seq, Workflow: workflow, Version: 1, State: lead.Enrolled, Phase: store.PhaseWaiting, Visit: 1, Visits: 1, Wake: 1},
			Contact: store.Contact{Seq: seq, Phone: 10_000_000_000 + seq},
		}
	}
	a2, b1, b2 := enrollment(1, 2), enrollment(2, 1), enrollment(3, 2)
	if _, err := stores[0].Commit(t.Context(), &store.Batch{Enroll: []store.Enrollment{a2, b1, b2}}); err != nil {
		t.Fatal(err)
	}
	move := func(r *store.Record) store.Change {
		c := next(*r)
		c.After.Node = 1 - r.Node
		*r = c.After
		return c
	}
	calls, rate := store.LimitUse{Key: "calls", Max: 1000, Flying: 1}, store.LimitUse{Key: "rate", Max: 1000, Starts: 1, Span: time.Hour}
	const rounds = 200
	var group sync.WaitGroup
	group.Go(func() {
		for i := range int64(rounds) {
			b := store.Batch{Changes: []store.Change{move(&a2.Record)}, Enroll: []store.Enrollment{enrollment(100+i, 1)}}
			b.Share.Limits, b.Audit = []store.LimitUse{calls, rate}, []store.Audit{{Action: "enroll"}}
			if _, err := stores[0].Commit(t.Context(), &b); err != nil {
				t.Error(err)
				return
			}
		}
	})
	group.Go(func() {
		for range rounds {
			b := store.Batch{Changes: []store.Change{move(&b1.Record), move(&b2.Record)}}
			b.Share.Limits = []store.LimitUse{rate, calls}
			if _, err := stores[1].Commit(t.Context(), &b); err != nil {
				t.Error(err)
				return
			}
		}
	})
	group.Wait()
	for _, s := range stores {
		if err := s.Close(); err != nil { // and its sessions report what they have counted
			t.Fatal(err)
		}
	}
	var deadlocks int
	if err := connect(t).QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = $1", path.Base(url[:strings.IndexAny(url+"?", "?")])).Scan(&deadlocks); err != nil {
		t.Fatal(err)
	}
	if deadlocks > 0 {
		t.Errorf("there were %d deadlocks", deadlocks)
	}
}

// connect returns a connection of the test's own.
func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// rows returns how many rows a table has.
func rows(t *testing.T, schema, table string) (n int) {
	t.Helper()
	if err := connect(t).QueryRow(t.Context(), "SELECT count(*) FROM "+schema+"."+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
