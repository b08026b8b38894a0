package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// faultStore is the world's own store, with the faults that a test asks for.
type faultStore struct {
	store.Store

	mu      sync.Mutex
	onWrite func(b *store.Batch) error // asked before a commit
	onRead  func(method string) error  // asked before a read
}

// errDisk is what a store with a fault answers.
var errDisk = errors.New("the disk is gone")

// write has the store ask f before each commit; nil commits all.
func (s *faultStore) write(f func(b *store.Batch) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onWrite = f
}

// read has the store ask f before each read; nil reads all.
func (s *faultStore) read(f func(method string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRead = f
}

// failNext fails the next n commits that meet the condition.
func failNext(n int, err error, match func(b *store.Batch) bool) func(b *store.Batch) error {
	return func(b *store.Batch) error {
		if n == 0 || !match(b) {
			return nil
		}
		n--
		return err
	}
}

func (s *faultStore) asked(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onRead == nil {
		return nil
	}
	return s.onRead(method)
}

func (s *faultStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	s.mu.Lock()
	f := s.onWrite
	s.mu.Unlock()
	if f != nil {
		if err := f(b); err != nil {
			return store.Result{}, err
		}
	}
	return s.Store.Commit(ctx, b)
}

func (s *faultStore) Records(ctx context.Context, seqs []int64) ([]store.Record, error) {
	if err := s.asked("Records"); err != nil {
		return nil, err
	}
	return s.Store.Records(ctx, seqs)
}

func (s *faultStore) Due(ctx context.Context, after store.Key, until store.Millis, limit int) ([]store.Record, error) {
	if err := s.asked("Due"); err != nil {
		return nil, err
	}
	return s.Store.Due(ctx, after, until, limit)
}

func (s *faultStore) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	if err := s.asked("Contacts"); err != nil {
		return nil, err
	}
	return s.Store.Contacts(ctx, seqs)
}

func (s *faultStore) Lead(ctx context.Context, seq int64) (store.Entry, error) {
	if err := s.asked("Lead"); err != nil {
		return store.Entry{}, err
	}
	return s.Store.Lead(ctx, seq)
}

func (s *faultStore) Leads(ctx context.Context, q store.LeadQuery) ([]store.Entry, error) {
	if err := s.asked("Leads"); err != nil {
		return nil, err
	}
	return s.Store.Leads(ctx, q)
}

func (s *faultStore) History(ctx context.Context, seq int64) (store.Entry, []store.Step, error) {
	if err := s.asked("History"); err != nil {
		return store.Entry{}, nil, err
	}
	return s.Store.History(ctx, seq)
}

// refit runs the world's engine anew on the same file, over a store with
// faults and with the configuration changed; change may be nil.
func (w *world) refit(change func(c *engine.Config)) *faultStore {
	w.t.Helper()
	if err := w.eng.Shutdown(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(&w.config)
	}
	s := &faultStore{Store: w.store}
	var err error
	if w.eng, err = engine.New(s, w.config); err != nil {
		w.t.Fatal(err)
	}
	if err := w.eng.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// newFaulty is a world over a store with faults; change may be nil.
func newFaulty(t *testing.T, handle engine.HandlerFunc, change func(c *engine.Config), hooks ...engine.Hook) (*world, *faultStore) {
	t.Helper()
	w := newWorld(t, handle, hooks...)
	return w, w.refit(change)
}

// person returns the i-th of many contacts.
func person(i int) lead.Contact {
	return lead.Contact{PhoneNumber: fmt.Sprintf("+1415%07d", 2000000+i)}
}

// people yields n contacts from the i-th on.
func people(i, n int) iter.Seq2[lead.Contact, error] {
	return func(yield func(lead.Contact, error) bool) {
		for k := range n {
			if !yield(person(i+k), nil) {
				return
			}
		}
	}
}

// enrollMany enrolls n contacts from the i-th on and returns their ids.
func (w *world) enrollMany(wf lead.WorkflowID, i, n int) []lead.ID {
	w.t.Helper()
	ids := make([]lead.ID, 0, n)
	_, err := w.eng.EnrollAll(context.Background(), wf, people(i, n), engine.OnRow(func(row int, id lead.ID, err error) {
		if err != nil {
			w.t.Errorf("row %d: %v", row, err)
		}
		ids = append(ids, id)
	}))
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// callOnce is a workflow of one call.
func callOnce(change ...func(n workflow.Node) workflow.Node) ([]workflow.Node, []workflow.Edge) {
	call := workflow.CallNode("call", nil)
	for _, f := range change {
		call = f(call)
	}
	return []workflow.Node{call, workflow.End("done", workflow.Converted)},
		[]workflow.Edge{workflow.On("call", workflow.DefaultLabel, "done")}
}

func (w *world) callOnce(change ...func(n workflow.Node) workflow.Node) lead.WorkflowID {
	w.t.Helper()
	nodes, edges := callOnce(change...)
	return w.activate(nodes, edges...)
}

func (w *world) counts(wf lead.WorkflowID) map[lead.State]int64 {
	w.t.Helper()
	got, err := w.eng.Workflow(context.Background(), wf)
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Counts
}

// expectCounts checks a workflow's counts, and that its listing agrees.
func (w *world) expectCounts(wf lead.WorkflowID, want map[lead.State]int64) {
	w.t.Helper()
	listed := map[lead.State]int64{}
	for l, err := range w.eng.AllLeads(context.Background(), wf, engine.LeadFilter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		listed[l.State]++
	}
	counted := w.counts(wf)
	for _, s := range lead.States() {
		if counted[s] != want[s] || listed[s] != want[s] {
			w.t.Errorf("%d leads are counted as %s and %d listed, want %d", counted[s], s, listed[s], want[s])
		}
	}
}

// crowdOf is how many leads stand for n: what hangs on large numbers hangs on no
// race, and a store under the race detector is slow.
func crowdOf(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}
