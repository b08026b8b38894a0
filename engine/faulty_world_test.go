package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/faulty"
)

var (
	errDisk = errors.New("the disk is gone") // what a store with a fault answers
	errBusy = errors.New("busy")             // what a handler answers whose attempt failed
)

func changesWorkflow(b *store.Batch) bool { return len(b.Workflows) > 0 }

// refit restarts the world's engine on the same file, over a faulty store and with a
// changed configuration; change may be nil.
func (w *world) refit(change func(c *engine.Config)) *faulty.Store {
	w.t.Helper()
	if err := w.eng.Shutdown(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(&w.config)
	}
	s := faulty.New(w.store)
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
func newFaulty(t *testing.T, handle engine.HandlerFunc, change func(c *engine.Config), hooks ...engine.Hook) (*world, *faulty.Store) {
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
