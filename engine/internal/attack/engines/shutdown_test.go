//go:build unix

package engines

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// While the database is away nobody can tell whether a batch was committed. Shutdown
// returns nevertheless when its context has ended, and whoever waits for the batch is told
// when the store is closed, without a promise that nothing was changed.
func TestShutdownDoesNotWaitForTheDatabase(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	p := newProxy(t, pgtest.URL())
	f := newFleetIn(t, p.url(), 1, func(context.Context, engine.Attempt) (engine.Result, error) { return engine.Result{}, nil })
	direct, err := pgx.Connect(ctx, pgtest.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(ctx)
	batch := func() (n int64) {
		if err := direct.QueryRow(ctx, "SELECT max(batch) FROM "+f.options.Schema+".engines").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := f.engines[0].Health(ctx); err != nil { // so that its statements are prepared
		t.Fatal(err)
	}
	before := batch()
	p.set(func() { p.hold[down] = true })
	healthy := make(chan error, 1)
	go func() { healthy <- f.engines[0].Health(ctx) }()
	f.until("the server has committed", func() bool { return batch() > before })
	p.set(func() { p.refuse = true })
	p.cut()
	over := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		over <- f.engines[0].Shutdown(ctx)
	}()
	select {
	case err := <-over:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("Shutdown waits for the database")
	}
	_ = f.stores[0].Close() // it cannot tell the others
	if err := <-healthy; !errors.Is(err, store.ErrOutcomeUnknown) || strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("whoever waits is told: %v", err)
	}
}

// Shutdown may be called again, also when the engine was never started.
func TestShutdownTwiceWithoutStart(t *testing.T) {
	if pgtest.URL() == "" {
		t.Skip(pgtest.Missing)
	}
	st, err := postgres.Open(ctx, pgtest.URL(), postgres.Options{Schema: pgtest.Schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	eng, err := engine.New(st, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		over := make(chan error, 1)
		go func() { over <- eng.Shutdown(ctx) }()
		select {
		case err := <-over:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("Shutdown does not return")
		}
	}
}
