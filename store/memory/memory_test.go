package memory_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
	"github.com/leadflow-go/leadflow/store/storetest"
)

func reopen(t *testing.T, s store.Store) *memory.Store {
	t.Helper()
	next, err := s.(*memory.Store).Reopen()
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		Open:   func(t *testing.T) store.Store { return memory.New() },
		Reopen: func(t *testing.T, s store.Store) store.Store { return reopen(t, s) },
	})
}

func calls(s *memory.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Commit":     func(ctx context.Context) error { _, err := s.Commit(ctx, &store.Batch{}); return err },
		"Reserve":    func(ctx context.Context) error { _, err := s.Reserve(ctx, store.LeadSequence, 1); return err },
		"Load":       func(ctx context.Context) error { _, err := s.Load(ctx, nil); return err },
		"Sweep":      func(ctx context.Context) error { _, err := s.Sweep(ctx, store.LeadQuery{Workflow: 1}); return err },
		"Steps":      func(ctx context.Context) error { _, err := s.Steps(ctx, nil); return err },
		"Payloads":   func(ctx context.Context) error { _, err := s.Payloads(ctx, 1, nil); return err },
		"Contacts":   func(ctx context.Context) error { _, err := s.Contacts(ctx, nil); return err },
		"Due":        func(ctx context.Context) error { _, err := s.Due(ctx, store.Key{}, 1, 1); return err },
		"Lead":       func(ctx context.Context) error { _, err := s.Lead(ctx, 1); return err },
		"Leads":      func(ctx context.Context) error { _, err := s.Leads(ctx, store.LeadQuery{Workflow: 1}); return err },
		"CountLeads": func(ctx context.Context) error { _, err := s.CountLeads(ctx, store.LeadQuery{Workflow: 1}); return err },
		"Counts":     func(ctx context.Context) error { _, err := s.Counts(ctx, 1); return err },
		"NodeCounts": func(ctx context.Context) error { _, err := s.NodeCounts(ctx, 1); return err },
		"History":    func(ctx context.Context) error { _, _, _, err := s.History(ctx, 1); return err },
		"Calls":      func(ctx context.Context) error { _, err := s.Calls(ctx, store.CallQuery{}); return err },
		"Workflows":  func(ctx context.Context) error { _, err := s.Workflows(ctx); return err },
		"Settings":   func(ctx context.Context) error { _, err := s.Settings(ctx); return err },
		"Starts":     func(ctx context.Context) error { _, err := s.Starts(ctx, store.StartQuery{}); return err },
		"Live":       func(ctx context.Context) error { _, err := s.Live(ctx, store.LiveQuery{}); return err },
		"Audits":     func(ctx context.Context) error { _, err := s.Audits(ctx, store.AuditQuery{}); return err },
		"Suppressions": func(ctx context.Context) error {
			_, err := s.Suppressions(ctx, store.SuppressionQuery{})
			return err
		},
	}
}

func TestAClosedStoreRefusesEverything(t *testing.T) {
	s := memory.New()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, call := range calls(s) {
		if err := call(t.Context()); !errors.Is(err, memory.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
}

func TestADoneContextRefusesEverything(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := memory.New()
	for name, call := range calls(s) {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want Canceled", name, err)
		}
		if err := call(t.Context()); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s after that: %v", name, err)
		}
	}
}

func TestPromise12OneOwner(t *testing.T) {
	for _, close := range []bool{false, true} {
		s := memory.New()
		commitWorkflow(t, s)
		if close {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		next := reopen(t, s)
		if _, err := s.Reopen(); !errors.Is(err, memory.ErrClosed) {
			t.Errorf("reopened twice: %v", err)
		}
		if _, err := s.Commit(t.Context(), &store.Batch{Ping: true}); !errors.Is(err, memory.ErrClosed) {
			t.Errorf("the old store commits: %v", err)
		}
		commitWorkflow(t, next)
		list, err := next.Workflows(t.Context())
		if err != nil || len(list) != 2 {
			t.Errorf("%d workflows, %v", len(list), err)
		}
	}
}

// Nobody reads half of what another is closing.
func TestAStoreIsReopenedUnderItsReaders(t *testing.T) {
	s := memory.New()
	commitWorkflow(t, s)
	var begun, readers sync.WaitGroup
	for range 4 {
		begun.Add(1)
		readers.Go(func() {
			for first := true; ; first = false {
				list, err := s.Workflows(t.Context())
				if first {
					begun.Done()
				}
				if errors.Is(err, memory.ErrClosed) {
					return
				}
				if err != nil || len(list) != 1 {
					t.Errorf("%d workflows, %v", len(list), err)
					return
				}
			}
		})
	}
	begun.Wait()
	next := reopen(t, s)
	readers.Wait()
	commitWorkflow(t, next)
}

func commitWorkflow(t *testing.T, s *memory.Store) {
	t.Helper()
	seq, err := s.Reserve(t.Context(), store.WorkflowSequence, 1)
	if err != nil {
		t.Fatal(err)
	}
	id, err := lead.NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	w := store.Workflow{Seq: seq, ID: id, Version: 1, Status: lead.WorkflowActive}
	if _, err := s.Commit(t.Context(), &store.Batch{Workflows: []store.Workflow{w}}); err != nil {
		t.Fatal(err)
	}
}

func TestReserveRefusesWhatThereIsNot(t *testing.T) {
	s := memory.New()
	for _, c := range []struct {
		kind store.Sequence
		n    int
	}{{0, 1}, {store.SuppressionSequence + 1, 1}, {store.LeadSequence, 0}, {store.StepSequence, -1}, {store.CallSequence, lead.MaxSeq + 1}} {
		if first, err := s.Reserve(t.Context(), c.kind, c.n); err == nil {
			t.Errorf("%d of sequence %d: got %d", c.n, c.kind, first)
		}
	}
}
