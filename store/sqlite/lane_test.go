package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// occupied takes every connection of a lane until the test ends.
func occupied(t *testing.T, l lane) {
	var taken []*zombiezen.Conn
	for range cap(l) {
		taken = append(taken, <-l)
	}
	t.Cleanup(func() {
		for _, conn := range taken {
			l <- conn
		}
	})
}

func TestNoUserHoldsUpALoop(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "leads.db"))
	list := enroll(t, s, 3)
	seq, flow := list[0].Record.Seq, list[0].Record.Workflow
	if n := cap(s.lanes.long); n != max(1, runtime.GOMAXPROCS(0)/2) {
		t.Errorf("%d long reads at once, of %d processors", n, runtime.GOMAXPROCS(0))
	}
	ctx := t.Context()
	loop := map[string]func(context.Context) error{
		"Load":     func(ctx context.Context) error { _, err := s.Load(ctx, []int64{seq}); return err },
		"Due":      func(ctx context.Context) error { _, err := s.Due(ctx, store.Key{}, store.MaxMillis, 1); return err },
		"Sweep":    func(ctx context.Context) error { _, err := s.Sweep(ctx, store.LeadQuery{Workflow: flow}); return err },
		"Contacts": func(ctx context.Context) error { _, err := s.Contacts(ctx, []int64{seq}); return err },
		"Steps":    func(ctx context.Context) error { _, err := s.Steps(ctx, []int64{1}); return err },
		"Payloads": func(ctx context.Context) error { _, err := s.Payloads(ctx, seq, nil); return err },
		"Counts":   func(ctx context.Context) error { _, err := s.Counts(ctx, flow); return err },
	}
	point := map[string]func(context.Context) error{
		"Lead":    func(ctx context.Context) error { _, err := s.Lead(ctx, seq); return err },
		"History": func(ctx context.Context) error { _, _, _, err := s.History(ctx, seq); return err },
		"CountLeads": func(ctx context.Context) error {
			_, err := s.CountLeads(ctx, store.LeadQuery{Workflow: flow})
			return err
		},
		"Workflows": func(ctx context.Context) error { _, err := s.Workflows(ctx); return err },
	}
	long := map[string]func(context.Context) error{
		"Leads": func(ctx context.Context) error { _, err := s.Leads(ctx, store.LeadQuery{Workflow: flow}); return err },
		"Calls": func(ctx context.Context) error { _, err := s.Calls(ctx, store.CallQuery{}); return err },
	}
	goOn := func(calls map[string]func(context.Context) error) {
		t.Helper()
		for name, call := range calls {
			if err := call(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	wait := func(calls map[string]func(context.Context) error) {
		t.Helper()
		for name, call := range calls {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want DeadlineExceeded", name, err)
			}
			cancel()
		}
	}
	occupied(t, s.lanes.long)
	goOn(loop)
	goOn(point)
	wait(long)
	occupied(t, s.lanes.point)
	goOn(loop)
	wait(point)
	if _, err := s.Commit(ctx, &store.Batch{Ping: true}); err != nil {
		t.Error(err)
	}
	// Facts that are read beside the loop do not hold it up either.
	occupied(t, s.lanes.facts)
	if _, err := s.Load(ctx, []int64{seq}); err != nil {
		t.Error(err)
	}
}

func TestReadersOfALaneAreServedInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := make(lane, 2)
		var order []int
		var mu sync.Mutex
		var readers sync.WaitGroup
		gaveUp, cancel := context.WithCancel(t.Context())
		for i := range 20 {
			ctx := t.Context()
			if i == 7 {
				ctx = gaveUp
			}
			readers.Go(func() {
				err := l.use(ctx, func(*zombiezen.Conn) error {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
					return nil
				})
				if (err != nil) != (i == 7) {
					t.Errorf("reader %d: %v", i, err)
				}
			})
			synctest.Wait() // until it waits
		}
		cancel()
		synctest.Wait()
		l <- nil // a connection that is never looked at
		readers.Wait()
		if len(order) != 19 || !slices.IsSorted(order) {
			t.Errorf("served in the order %v", order)
		}
	})
}
