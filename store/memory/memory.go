package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/store"
)

// ErrClosed: the Store was closed, or reopened, which closes it.
var ErrClosed = errors.New("memory: store is closed")

// Store is a [store.Store] in memory. Make one with [New]. It is safe for concurrent
// use.
type Store struct {
	// mu is held for writing by Commit, Close and Reopen, and for reading by readers, so
	// that readers see whole batches.
	mu       sync.RWMutex
	closed   atomic.Bool // set under mu
	contents *contents   // nil after Reopen
	numbers  *numbers    // not guarded by mu, so that Reserve never waits
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	n := new(numbers)
	return &Store{contents: newContents(n), numbers: n}
}

// Close closes the store: all later calls, except to Close and [Store.Reopen], fail with
// [ErrClosed]. It returns nil, and may be called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed.Store(true)
	return nil
}

// Reopen simulates the end of a process and the start of the next: it closes the store,
// if it is not closed yet, and returns another one with what was committed. All calls to
// the old store fail, so the committed data has one owner (promise 12 of package
// engine); a second Reopen of the same store fails with [ErrClosed].
func (s *Store) Reopen() (*Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contents == nil {
		return nil, fmt.Errorf("%w; it was reopened already", ErrClosed)
	}
	next := &Store{contents: s.contents, numbers: s.numbers}
	s.closed.Store(true)
	s.contents = nil
	return next, nil
}

// contents is the data of a store. Strings and byte slices are copied into a [pack], so
// the store shares no memory with a batch or with the result of a reader.
type contents struct {
	numbers   *numbers
	workflows []store.Workflow // in order of Seq; replaced, never changed
	leads     leadTable
	tails     pack // Outcome and EngineState of the records that have any, by lead
	contacts  pack // by lead
	due       dueIndex
	counts    counts
	steps     pack
	calls     pack
	payloads  payloads

	phones      rowsBy[int64]
	externalIDs rowsBy[string]

	suppressions pack
	suppressed   struct { // suppressions by whom they are about
		phones      rowsBy[int64]
		externalIDs rowsBy[string]
	}
	starts   map[string]*startLog // by key
	audits   pack
	lastSeq  int64           // of the last audit entry
	lastHash [32]byte        // and its hash
	settings []store.Setting // in order of Name

	seqs  []int64 // for twice
	bytes []byte  // for entries that are about to go into a pack
}

func newContents(n *numbers) *contents {
	c := &contents{
		numbers: n, due: newDueIndex(), counts: make(counts), payloads: make(payloads), starts: make(map[string]*startLog),
		phones: newRowsBy[int64](), externalIDs: newRowsBy[string](),
	}
	c.suppressed.phones, c.suppressed.externalIDs = newRowsBy[int64](), newRowsBy[string]()
	return c
}

// startReading returns the contents, which do not change until stopReading.
func (s *Store) startReading(ctx context.Context) (*contents, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	if s.closed.Load() {
		s.mu.RUnlock()
		return nil, ErrClosed
	}
	return s.contents, nil
}

func (s *Store) stopReading() { s.mu.RUnlock() }

// startWriting returns the contents, which nobody else uses until stopWriting.
func (s *Store) startWriting(ctx context.Context) (*contents, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	return s.contents, nil
}

func (s *Store) stopWriting() { s.mu.Unlock() }
