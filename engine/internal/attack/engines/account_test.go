package engines

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
)

// lagging is a store that keeps back, once, the answer that nothing is used of a limit.
type lagging struct {
	*postgres.Store
	armed         atomic.Bool
	read, release chan struct{}
	refused       atomic.Int64 // batches, because of a limit
}

func (s *lagging) LimitUse(ctx context.Context, keys []string) ([]store.LimitState, error) {
	states, err := s.Store.LimitUse(ctx, keys)
	if len(states) == 1 && states[0].Flying == 0 && s.armed.CompareAndSwap(true, false) {
		close(s.read)
		<-s.release
	}
	return states, err
}

func (s *lagging) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	result, err := s.Store.Commit(ctx, b)
	if errors.Is(err, store.ErrLimit) {
		s.refused.Add(1)
	}
	return result, err
}

// What an engine has read of a limit before another one used it does not count again each
// time that a batch is refused: it would be refused for ever, with all that is in it.
func TestAnOldAccountOfALimitIsHeededOnce(t *testing.T) {
	called, hangUp := make(chan string, 100), make(chan struct{})
	f := newFleet(t, 1, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		called <- a.Contact.PhoneNumber
		<-hangUp
		return engine.Result{}, nil
	})
	s := &lagging{read: make(chan struct{}), release: make(chan struct{})}
	f.wrap = func(st *postgres.Store) store.Shared { s.Store = st; return s }
	f.join()
	f.spread()
	if err := f.engines[0].SetLimits(ctx, []workflow.Limit{{InFlight: 1}}); err != nil {
		t.Fatal(err)
	}
	wf := f.activate(0, oneCall())
	list, err := f.stores[0].Engines(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	enroll := func(engine int) string { // somebody whom that engine has
		t.Helper()
		for next++; !slices.Contains(list[engine].Shards, store.ShardOf(lead.PhoneDigits(phone(next)))); {
			next++
		}
		if _, err := f.engines[engine].Enroll(ctx, wf, lead.Contact{PhoneNumber: phone(next)}); err != nil {
			t.Fatal(err)
		}
		return phone(next)
	}
	calls := func(who string) {
		t.Helper()
		select {
		case is := <-called:
			if is != who {
				t.Fatalf("%s is called, not %s", is, who)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s is not called", who)
		}
	}
	calls(enroll(0))
	waits := enroll(1)
	f.until("the other engine knows that the limit is used up", func() bool { return s.refused.Load() > 0 })
	before := s.refused.Load()
	s.armed.Store(true)
	hangUp <- struct{}{}
	select {
	case <-s.read:
	case <-time.After(30 * time.Second):
		t.Fatal("the other engine does not look whether the limit is free")
	}
	calls(enroll(0)) // who takes the place that the other engine believes to be free
	close(s.release)
	time.Sleep(500 * time.Millisecond)
	if n := s.refused.Load() - before; n == 0 || n > 3 {
		t.Errorf("%d batches are refused because of a limit that another engine uses, want 1", n)
	}
	hangUp <- struct{}{}
	calls(waits)
	hangUp <- struct{}{}
}
