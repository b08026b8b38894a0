package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

func use(s *postgres.Store, list ...store.LimitUse) error {
	_, err := s.Commit(context.Background(), &store.Batch{Share: store.Share{Limits: list}})
	return err
}

// If the database has another clock by now, as after a fail-over, starts are not taken for
// older than they are.
func TestALimitHoldsWhenTheClockIsSetBack(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	started := store.LimitUse{Key: "rate", Max: 2, Starts: 1, Span: time.Millisecond}
	if err := use(s, started); err != nil {
		t.Fatal(err)
	}
	conn := connect(t)
	for _, text := range []string{
		"UPDATE " + o.Schema + ".limits SET at = at + interval '1 h'", "UPDATE " + o.Schema + ".limit_starts SET at = at + interval '1 h'",
	} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := use(s, started); err != nil {
		t.Fatal(err)
	}
	if err := use(s, started); !errors.Is(err, store.ErrLimit) {
		t.Errorf("a third start: %v", err)
	}
	states, err := s.LimitUse(t.Context(), []string{"rate"})
	if err != nil || len(states) != 1 || len(states[0].Starts) != 2 {
		t.Fatalf("%+v, %v", states, err)
	}
	for _, st := range states[0].Starts {
		if st.Age < 0 || st.Age > time.Hour {
			t.Errorf("a start is %v old", st.Age)
		}
	}
}

// Starts that do not matter any more are deleted, and the others are not.
func TestTheLogOfALimitDoesNotGrow(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	const batches, n = 100, 300
	for i := range batches {
		if err := use(s, store.LimitUse{Key: "rate", Max: n, Starts: n, Span: time.Microsecond}, store.LimitUse{Key: "day", Max: batches * n, Starts: n, Span: 24 * time.Hour}); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	states, err := s.LimitUse(t.Context(), []string{"day", "rate"})
	if err != nil || len(states) != 2 {
		t.Fatalf("%+v, %v", states, err)
	}
	if got := len(states[0].Starts); got != batches {
		t.Errorf("of %d batches of a day %d are known", batches, got)
	}
	if got := len(states[1].Starts); got == 0 || got > 10 {
		t.Errorf("of a limit's %d batches %d are kept", batches, got)
	}
	if err := use(s, store.LimitUse{Key: "day", Max: batches * n, Starts: 1, Span: 24 * time.Hour}); !errors.Is(err, store.ErrLimit) {
		t.Errorf("one more in a day: %v", err)
	}
}

// What is deleted still counts as started before.
func TestALimitCountsTheSameAfterItsLogWasShortened(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	start := func(n int32) error {
		return use(s, store.LimitUse{Key: "rate", Max: 1500, Starts: n, Span: time.Hour})
	}
	if err := start(1500); err != nil {
		t.Fatal(err)
	}
	conn := connect(t)
	for _, table := range []string{"limits", "limit_starts"} {
		if _, err := conn.Exec(t.Context(), "UPDATE "+o.Schema+"."+table+" SET at = at - interval '2 h'"); err != nil {
			t.Fatal(err)
		}
	}
	if err := start(800); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, o.Schema, "limit_starts"); n != 1 {
		t.Fatalf("there are %d rows in the log", n)
	}
	if err := start(700); err != nil {
		t.Error(err)
	}
	if err := start(1); !errors.Is(err, store.ErrLimit) {
		t.Errorf("one more: %v", err)
	}
}

// What a program's transaction has locked is locked for as long as the program likes.
func TestAProgramsTransactionUsesNoLimit(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	tx, err := connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sh := range []store.Share{{Limits: []store.LimitUse{{Key: "calls", Max: 1, Flying: 1}}}, {ForgetLimits: []string{"calls"}}} {
		_, err := s.Tx(tx).Write(t.Context(), &store.Batch{Share: sh})
		if row := (*store.RowError)(nil); !errors.As(err, &row) || row.Kind != "limit" {
			t.Errorf("%+v: %v", sh, err)
		}
	}
}

// A database may run transactions as REPEATABLE READ unless they say otherwise. They would
// see what was used when they began.
func TestLimitsDoNotDependOnTheDefaultIsolation(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	url := server(t)
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	var stores [4]*postgres.Store
	for i := range stores {
		s, err := postgres.Open(t.Context(), url+sep+"default_transaction_isolation=serializable", o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores[i] = s
	}
	var group sync.WaitGroup
	const rounds, most = 60, int64(60 * len(stores))
	for _, s := range stores {
		group.Go(func() {
			for range rounds {
				if err := use(s, store.LimitUse{Key: "calls", Max: most, Flying: 1}, store.LimitUse{Key: "rate", Max: most, Starts: 1, Span: time.Hour}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	states, err := stores[0].LimitUse(t.Context(), []string{"calls"})
	if err != nil || len(states) != 1 || states[0].Flying != most {
		t.Errorf("%+v, %v", states, err)
	}
}
