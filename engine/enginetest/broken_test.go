package enginetest_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// brokenStore is a store that does not do what it should, so that an engine over
// it breaks its promises.
type brokenStore struct {
	store.Store
	// change falsifies what is written of a lead, look what is read of it.
	change func(rec *store.Record)
	look   func(e *store.Lead)
}

// over puts it over a real store.
func (s *brokenStore) over(t *testing.T) *brokenStore {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "leads.db"), sqlite.Options{Synchronous: sqlite.Normal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	s.Store = st
	return s
}

func (s *brokenStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if s.change != nil {
		for i := range b.Changes {
			s.change(&b.Changes[i].After)
		}
	}
	return s.Store.Commit(ctx, b)
}

func (s *brokenStore) Lead(ctx context.Context, seq int64) (store.Lead, error) {
	e, err := s.Store.Lead(ctx, seq)
	if s.look != nil {
		s.look(&e)
	}
	return e, err
}
