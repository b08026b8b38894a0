package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
	"github.com/leadflow-go/leadflow/store/storetest"
)

func count(t *testing.T, s *Store, workflow int64) int64 {
	t.Helper()
	n, err := s.CountLeads(t.Context(), store.LeadQuery{Workflow: workflow})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAContextThatEndsDuringACommitRefusesOrWritesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	s := openTest(t, path)
	const n = 100
	var want int64
	refusals := 0
	for i := range 40 {
		b := store.Batch{Enroll: storetest.Enrollments(t, s, 1, n)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*500*time.Microsecond)
		_, err := s.Commit(ctx, &b)
		cancel()
		switch {
		case err == nil:
			want += n
		case errors.Is(err, context.DeadlineExceeded):
			refusals++
		default:
			t.Fatal(err)
		}
		if got := count(t, s, 1); got != want {
			t.Fatalf("%d leads after error %v, want %d", got, err, want)
		}
	}
	if refusals == 0 || want == 0 {
		t.Errorf("%d batches refused, %d leads written: want some of both", refusals, want)
	}
}

// observed is a context that counts how often it is looked at.
type observed struct {
	context.Context
	looks *atomic.Int64
}

func (c observed) Done() <-chan struct{} { c.looks.Add(1); return c.Context.Done() }
func (c observed) Err() error            { c.looks.Add(1); return c.Context.Err() }

func TestNoContextIsLookedAtOnceACommitHasBegun(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "leads.db"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const n = 100
	var looks atomic.Int64
	if _, err := s.Commit(observed{ctx, &looks}, &store.Batch{Enroll: storetest.Enrollments(t, s, 1, n)}); err != nil {
		t.Fatal(err)
	}
	// A few times to begin with, and not for each of the leads.
	if got := looks.Load(); got == 0 || got >= n {
		t.Errorf("looked at %d times for %d leads", got, n)
	}
}

func TestACommitWaitsForAnotherProgramAsLongAsItsContextSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	s := openTest(t, path)
	other, err := plain(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 3 {
		if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
			t.Fatal(err)
		}
		b := store.Batch{Enroll: storetest.Enrollments(t, s, 1, 10)}
		before := count(t, s, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := s.Commit(ctx, &b); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, store.ErrBusy) {
			t.Fatalf("got %v, want DeadlineExceeded and ErrBusy", err)
		}
		cancel()
		if _, err := other.ExecContext(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if got := count(t, s, 1); got != before+10 {
			t.Errorf("%d leads, want %d", got, before+10)
		}
	}
}

func TestAFullDiskRefusesTheBatchAndNoMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	s := openTest(t, path)
	onWriter(t, s, `PRAGMA max_page_count = 40`)
	var written int64
	b := store.Batch{Enroll: storetest.Enrollments(t, s, 1, 200)}
	for {
		_, err := s.Commit(t.Context(), &b)
		if err != nil {
			if !strings.Contains(err.Error(), "full") {
				t.Fatal(err)
			}
			break
		}
		written += int64(len(b.Enroll))
		b.Enroll = storetest.Enrollments(t, s, 1, 200)
	}
	if got := count(t, s, 1); got != written {
		t.Errorf("%d leads, want %d", got, written)
	}
	// SQLite has rolled back by itself, so the connection was replaced, and with
	// it the limit.
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if got := count(t, s, 1); got != written+200 {
		t.Errorf("%d leads, want %d", got, written+200)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkIntegrity(t, path)
}

// Whether the store can commit, a batch does not tell that SQLite finds nothing
// to write in.
func TestEveryProbeIsWrittenAndSynced(t *testing.T) {
	dir := t.TempDir()
	var disk tape
	stop, err := disktest.Watch(dir, &disk)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s := openTest(t, filepath.Join(dir, "leads.db"))
	for range 3 {
		disk.ops = nil
		if _, err := s.Commit(t.Context(), &store.Batch{Ping: true}); err != nil {
			t.Fatal(err)
		}
		if n := len(disk.ops); n < 2 || disk.ops[n-1].Kind != disktest.Sync && disk.ops[n-1].Kind != disktest.SyncNames {
			t.Errorf("a probe made %d operations, or no sync at last", n)
		}
	}
}

func TestATransactionThatWasLeftOpenIsRolledBack(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "leads.db"))
	onWriter(t, s, `BEGIN`)
	onWriter(t, s, `INSERT INTO node_counts VALUES (1, 1, 1, 7)`)
	b := store.Batch{Enroll: storetest.Enrollments(t, s, 1, 10)}
	if _, err := s.Commit(t.Context(), &b); err == nil {
		t.Fatal("a commit within a transaction: no error")
	}
	if got := count(t, s, 1); got != 0 {
		t.Errorf("%d leads, want none", got)
	}
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if got := count(t, s, 1); got != 10 {
		t.Errorf("%d leads, want 10", got)
	}
}
