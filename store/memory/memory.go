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

// Store is a [store.Store] in memory. Every method may be called from any
// number of goroutines.
type Store struct {
	// mu is held for writing by what changes anything, for reading by readers: so
	// each of them sees one moment, and whole batches.
	mu       sync.RWMutex
	closed   atomic.Bool // set under mu
	contents *contents   // nil once the store is reopened
	numbers  *numbers    // needs no mu: nobody waits for a number
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	n := new(numbers)
	return &Store{contents: newContents(n), numbers: n}
}

// Close ends the store: every later call of another method than Close and
// [Store.Reopen] fails with [ErrClosed]. It returns nil, and may be called
// twice.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed.Store(true)
	return nil
}

// Reopen stands for the end of a process and the start of the next: it closes
// the store, if that was not done, and returns another with what was committed.
// Whoever still has the old one can do nothing with it, so what is committed has
// one owner (promise 12); a second Reopen of the same store fails with
// [ErrClosed].
func (s *Store) Reopen() (*Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contents == nil {
		return nil, fmt.Errorf("%w, and was reopened before", ErrClosed)
	}
	next := &Store{contents: s.contents, numbers: s.numbers}
	s.closed.Store(true)
	s.contents = nil
	return next, nil
}

// contents is what a store knows. Texts and bytes are in it in the form of
// [pack], never as they came, so nothing of a batch is kept and nothing that a
// reader got can be reached by another.
type contents struct {
	numbers   *numbers
	workflows []store.Workflow // in order of Seq; replaced, never changed
	leads     leadTable
	tails     pack // Outcome and Extra of the records that have any, by lead
	contacts  pack // by lead
	due       dueIndex
	counts    counts
	steps     pack
	calls     pack
	payloads  payloads

	phones      leadsBy[int64]
	externalIDs leadsBy[string]

	seqs  []int64 // for twice
	bytes []byte  // for what is about to go into a pack
}

func newContents(n *numbers) *contents {
	return &contents{
		numbers: n, due: newDueIndex(), counts: make(counts), payloads: make(payloads),
		phones: newLeadsBy[int64](), externalIDs: newLeadsBy[string](),
	}
}

// startReading returns what stays as it is until stopReading.
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

// startWriting returns what nobody else uses until stopWriting.
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
