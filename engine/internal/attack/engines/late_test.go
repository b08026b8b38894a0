//go:build unix

package engines

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// A commit that returns an error has changed nothing, and changes nothing later either:
// what was sent on a connection that broke may arrive at any time.
func TestAFailedCommitDoesNotHappenLater(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	p, schema := newProxy(t, pgtest.URL()), pgtest.Schema(t)
	s, err := postgres.Open(ctx, p.url(), postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id, err := lead.NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	rec := store.Record{Seq: 1, Workflow: 1, Version: 1, State: lead.Enrolled, Phase: store.PhaseWaiting, Visit: 1, Visits: 1, Wake: 1}
	if _, err := s.Commit(ctx, &store.Batch{
		Workflows: []store.Workflow{{Seq: 1, ID: id, Version: 1, Status: lead.WorkflowActive}},
		Enroll:    []store.Enrollment{{Record: rec, Contact: store.Contact{Seq: 1, Phone: 14155552671}}},
	}); err != nil {
		t.Fatal(err)
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for began := time.Now(); !holds(); time.Sleep(time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("not after %s: %s", time.Since(began), what)
			}
		}
	}

	change := func(version int64) *store.Batch {
		before, after := rec, rec
		before.Version, after.Version, after.Visit = version, version+1, int32(version)
		return &store.Batch{Changes: []store.Change{{Before: before, After: after}}}
	}
	if _, err := s.Commit(ctx, change(1)); err != nil { // so that the statements are prepared
		t.Fatal(err)
	}
	p.set(func() { p.hold[up] = true })
	committed := make(chan error, 1)
	go func() {
		_, err := s.Commit(ctx, change(2))
		committed <- err
	}()
	until("the commit is on its way", p.waits)
	// The next try fails, because somebody else has locked the lead.
	other, err := pgx.Connect(ctx, pgtest.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	tx, err := other.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "SELECT FROM "+schema+".leads FOR UPDATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	p.delayWaiting()
	if err := <-committed; err == nil || errors.Is(err, store.ErrConflict) {
		t.Fatalf("of a lead that is locked: %v", err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	p.heal()
	until("what was on its way has arrived", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for l := range p.links {
			if l.gone {
				return false
			}
		}
		return true
	})
	l, err := s.Lead(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if l.Version != 2 {
		t.Errorf("the commit failed, and then the lead has version %d", l.Version)
	}
}
