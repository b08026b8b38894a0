package engines

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// The server refuses what it is asked, in the middle of transactions, with errors that say
// nothing of the leads: the disk is full, statements take too long, deadlocks, failures to
// serialize, locks that are not to be had, an administrator. While it refuses some of the
// time, nobody notices; while it refuses all the time, requests are answered with an error,
// Health too, and afterwards everything goes on, each attempt once.
func TestTheServerRefusesForAWhile(t *testing.T) {
	for name, code := range map[string]string{
		"disk full": "53100", "statement timeout": "57014", "deadlock": "40P01", "serialization": "40001", "lock": "55P03",
		"administrator": "57P01", "out of memory": "53200",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var made calls
			f := newFleet(t, 2, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
				if n := made.add(a.IdempotencyKey); n > 1 || a.Redelivered {
					t.Errorf("attempt %s is made %d times", a.IdempotencyKey, n)
				}
				if a.Number == 1 && a.Node.ID == "call" {
					return engine.Result{}, errors.New("busy")
				}
				return engine.Result{}, nil
			})
			wf := f.activate(0, callWaitText(10*time.Millisecond))
			db := f.fault(code)
			var enrolled []lead.ID
			refused := 0
			enroll := func(i int) {
				l, err := f.engines[i%2].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
				switch {
				case err == nil:
					enrolled = append(enrolled, l.ID)
				case errors.Is(err, lead.ErrConflict) || errors.Is(err, lead.ErrInvalid):
					t.Errorf("person %d: %v", i, err)
				default:
					refused++
				}
			}
			db.every(3)
			for i := range 40 {
				enroll(i)
			}
			db.every(1)
			for i := 40; i < 44; i++ {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				if _, err := f.engines[i%2].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)}); err == nil {
					t.Errorf("person %d is enrolled by a server that refuses everything", i)
				}
				cancel()
			}
			for _, eng := range f.engines {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				if err := eng.Health(ctx); err == nil {
					t.Error("Health says nothing of it")
				}
				cancel()
			}
			db.every(0)
			for i := 50; i < 60; i++ {
				f.until("people are enrolled again", func() bool {
					l, err := f.engines[i%2].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
					var conflict *lead.ConflictError
					if errors.As(err, &conflict) {
						l.ID, err = conflict.Lead, nil // the one before was, though nobody could say so
					}
					if err == nil {
						enrolled = append(enrolled, l.ID)
					}
					return err == nil
				})
			}
			for _, id := range enrolled {
				f.until("everybody who was enrolled completes", func() bool {
					l, err := f.engines[0].Lead(ctx, wf, id)
					if err != nil {
						t.Fatal(err)
					}
					return l.State == lead.Completed
				})
				steps, err := f.engines[1].History(ctx, wf, id)
				if err != nil || len(steps) != 4 || len(steps[0].Attempts) != 2 {
					t.Errorf("lead %s went %+v, %v", id, steps, err)
				}
			}
			t.Logf("%d enrolled, %d refused", len(enrolled), refused)
		})
	}
}

// fault has a server that refuses to write.
type fault struct {
	t    *testing.T
	conn *pgx.Conn
}

// fault prepares the server to refuse commits with an error of that code.
func (f *fleet) fault(code string) fault {
	f.Helper()
	conn, err := pgx.Connect(ctx, pgtest.URL())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { conn.Close(ctx) })
	for _, text := range []string{
		"SET search_path = " + f.options.Schema,
		"CREATE TABLE faults (every bigint NOT NULL)",
		"INSERT INTO faults VALUES (0)",
		"CREATE SEQUENCE tries",
		fmt.Sprintf(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
			DECLARE e bigint;
			BEGIN
				SELECT every INTO e FROM %s.faults;
				IF e > 0 AND nextval('%[1]s.tries') %% e = 0 THEN
					RAISE EXCEPTION 'refused on purpose' USING ERRCODE = '%s';
				END IF;
				RETURN NULL;
			END $$`, f.options.Schema, code),
		// Every commit changes the row of its engine, and its lease with the number of its batch.
		"CREATE TRIGGER refuse AFTER UPDATE OF batch ON engines FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
	} {
		if _, err := conn.Exec(ctx, text); err != nil {
			f.Fatal(err)
		}
	}
	return fault{f.T, conn}
}

// every has every nth commit refused; none with 0.
func (f fault) every(n int) {
	f.t.Helper()
	if _, err := f.conn.Exec(ctx, "UPDATE faults SET every = $1", n); err != nil {
		f.t.Fatal(err)
	}
}

// After a fail-over the server takes no writes for a while: requests are answered with
// store.ErrUnavailable, and engines go on by themselves when it does.
func TestTheServerIsReadOnlyForAWhile(t *testing.T) {
	var made calls
	url := pgtest.URL()
	if url != "" {
		url = pgtest.Database(t)
	}
	f := newFleetIn(t, url, 2, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		// One whose engine could not write for longer than its lease is made again.
		if n := made.add(a.IdempotencyKey); n > 1 && !a.Redelivered {
			t.Errorf("attempt %s is made %d times", a.IdempotencyKey, n)
		}
		return engine.Result{}, nil
	})
	wf := f.activate(0, callWaitText(50*time.Millisecond))
	var ids []lead.ID
	enroll := func(i int) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		l, err := f.engines[i%2].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(i)})
		if err == nil {
			ids = append(ids, l.ID)
		}
		return err
	}
	for i := range 20 {
		if err := enroll(i); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	failOver := func(readOnly bool) {
		t.Helper()
		for _, text := range []string{
			fmt.Sprintf(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET default_transaction_read_only = %t', current_database()); END $$`, readOnly),
			"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
		} {
			if _, err := conn.Exec(ctx, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	failOver(true)
	for i := 20; i < 24; i++ {
		if err := enroll(i); !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a read-only server answers %v", err)
		}
	}
	if _, err := conn.Exec(ctx, "SET default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	failOver(false)
	for i := 30; i < 40; i++ {
		f.until("people are enrolled again", func() bool { return enroll(i) == nil })
	}
	for _, id := range ids {
		f.until("everybody completes", func() bool {
			l, err := f.engines[1].Lead(ctx, wf, id)
			return err == nil && l.State == lead.Completed
		})
	}
}
