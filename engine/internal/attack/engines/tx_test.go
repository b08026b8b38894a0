package engines

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

var errRollback = errors.New("rolled back on purpose")

// orders is a table of the program's own.
func orders(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, pgtest.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, "CREATE TEMP TABLE orders (phone text)"); err != nil {
		t.Fatal(err)
	}
	return conn
}

func count(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A lead and the program's row come and go together, and the program goes on in its
// transaction with its own tables and settings, also after a refusal.
func TestALeadIsEnrolledInTheProgramsTransaction(t *testing.T) {
	var made calls
	f := newFleet(t, 2, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		made.add(a.Contact.PhoneNumber)
		return engine.Result{}, nil
	})
	wf := f.activate(0, callWaitText(time.Millisecond))
	conn := orders(t)
	for i := range 20 {
		number, eng, st := phone(i), f.engines[i%2], f.stores[i%2]
		rollBack := i%4 == 3
		var enrolled lead.Lead
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			if enrolled, err = eng.EnrollTx(ctx, st.Tx(tx), wf, lead.Contact{PhoneNumber: number}); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "INSERT INTO orders VALUES ($1)", number); err != nil {
				return err
			}
			if _, err := eng.EnrollTx(ctx, st.Tx(tx), wf, lead.Contact{PhoneNumber: number}); !errors.Is(err, lead.ErrContactLive) {
				t.Errorf("the same person again: %v", err)
			}
			if _, err := eng.EnrollTx(ctx, st.Tx(tx), wf, lead.Contact{PhoneNumber: "none"}); !errors.Is(err, lead.ErrInvalid) {
				t.Errorf("no number: %v", err)
			}
			if _, err := eng.EnrollTx(ctx, st.Tx(tx), lead.WorkflowID{}, lead.Contact{PhoneNumber: phone(999)}); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("no workflow: %v", err)
			}
			if _, err := eng.Lead(ctx, wf, enrolled.ID); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("before the commit the lead is there: %v", err)
			}
			if rollBack {
				return errRollback
			}
			return nil
		})
		switch {
		case rollBack:
			if !errors.Is(err, errRollback) {
				t.Fatal(err)
			}
			if _, err := eng.Lead(ctx, wf, enrolled.ID); !errors.Is(err, lead.ErrNotFound) {
				t.Errorf("a lead that was rolled back: %v", err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			f.until("it is called and completed", func() bool {
				l, err := f.engines[(i+1)%2].Lead(ctx, wf, enrolled.ID)
				if err != nil {
					t.Fatal(err)
				}
				return l.State == lead.Completed
			})
		}
	}
	if n := count(t, conn); n != 15 {
		t.Errorf("%d orders", n)
	}
	made.mu.Lock()
	defer made.mu.Unlock()
	if len(made.by) != 15 {
		t.Errorf("%d people were contacted", len(made.by))
	}
}

// After the program's commit nothing begins for a lead that was removed in its
// transaction; after a rollback the lead goes on as if nothing had been.
func TestALeadIsRemovedInTheProgramsTransaction(t *testing.T) {
	var made calls
	running := make(chan struct{})
	f := newFleet(t, 2, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		made.add(a.Contact.PhoneNumber + a.Node.ID)
		if a.Contact.PhoneNumber == phone(100) && a.Node.ID == "call" {
			<-running
		}
		return engine.Result{}, nil
	})
	wf := f.activate(0, callWaitText(1500*time.Millisecond))
	conn := orders(t)
	remove := func(i int, id lead.ID, end error) (state lead.State) {
		t.Helper()
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			if state, err = f.engines[i%2].RemoveTx(ctx, f.stores[i%2].Tx(tx), wf, id, engine.Reason("said stop")); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "INSERT INTO orders VALUES ($1)", "removed"); err != nil {
				return err
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		return state
	}
	enroll := func(i int) lead.ID {
		t.Helper()
		l, err := f.engines[i%2].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
		if err != nil {
			t.Fatal(err)
		}
		return l.ID
	}
	waits := func(id lead.ID) {
		t.Helper()
		f.until("it waits", func() bool {
			l, err := f.engines[0].Lead(ctx, wf, id)
			if err != nil {
				t.Fatal(err)
			}
			return l.Node == "wait"
		})
	}
	const people = 12
	for i := range people {
		id := enroll(i)
		waits(id)
		if i%4 == 3 {
			remove(i, id, errRollback)
			f.until("it is completed", func() bool {
				l, err := f.engines[0].Lead(ctx, wf, id)
				if err != nil {
					t.Fatal(err)
				}
				return l.State == lead.Completed
			})
			continue
		}
		if state := remove(i, id, nil); state != lead.Removed {
			t.Errorf("a lead that waits becomes %s", state)
		}
		time.Sleep(20 * time.Millisecond)
		if l, err := f.engines[(i+1)%2].Lead(ctx, wf, id); err != nil || l.State != lead.Removed || l.Removal.Reason != "said stop" {
			t.Errorf("the lead is %+v, %v", l, err)
		}
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := f.engines[0].RemoveTx(ctx, f.stores[0].Tx(tx), wf, id); !errors.Is(err, lead.ErrLeadFinal) {
				t.Errorf("again: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	live := enroll(100)
	f.until("it is called", func() bool {
		made.mu.Lock()
		defer made.mu.Unlock()
		return made.by[phone(100)+"call"] == 1
	})
	if state := remove(1, live, nil); state != lead.PendingRemoval {
		t.Errorf("a lead with a live call becomes %s", state)
	}
	close(running)
	f.until("it is removed", func() bool {
		l, err := f.engines[0].Lead(ctx, wf, live)
		if err != nil {
			t.Fatal(err)
		}
		return l.State == lead.Removed
	})
	time.Sleep(300 * time.Millisecond)
	made.mu.Lock()
	defer made.mu.Unlock()
	if n := made.by[phone(100)+"text"]; n != 0 {
		t.Errorf("%d texts after the removal", n)
	}
	for i := range people {
		if n := made.by[phone(i)+"text"]; n != map[bool]int{true: 1, false: 0}[i%4 == 3] {
			t.Errorf("person %d got %d texts", i, n)
		}
	}
}

// A store that engines cannot share has no such transactions.
func TestOnlyASharedStoreTakesPart(t *testing.T) {
	eng, err := engine.New(memory.New(), engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.EnrollTx(ctx, nil, lead.WorkflowID{}, lead.Contact{PhoneNumber: phone(1)}); !errors.Is(err, engine.ErrNotShared) {
		t.Error(err)
	}
	if _, err := eng.RemoveTx(ctx, nil, lead.WorkflowID{}, lead.ID{}); !errors.Is(err, engine.ErrNotShared) {
		t.Error(err)
	}
}
