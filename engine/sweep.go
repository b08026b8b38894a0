package engine

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// sweepSize is how many leads of a sweep go into one batch, beside what else
// goes on.
const sweepSize = 500

// sweep goes over many leads of a workflow, removing each through the machine,
// or forgetting each when the workflow was deleted. That of a workflow which was
// cancelled or deleted is started anew with the engine until nothing is left to
// do.
type sweep struct {
	query   store.LeadQuery // After moves on with every page
	removal removal
	removed int         // leads whose removal is on disk
	given   atomic.Bool // up: whoever asked for it waits no longer
	done    chan struct{}
}

// cancelSweep removes the leads of a cancelled workflow, deleteSweep forgets
// those of a deleted one.

func cancelSweep(workflow int64) *sweep {
	return &sweep{
		query:   store.LeadQuery{Workflow: workflow, States: []lead.State{lead.Enrolled, lead.InStep}},
		removal: removal{Reason: lead.ReasonWorkflowCancelled},
		done:    make(chan struct{}),
	}
}

func deleteSweep(workflow int64) *sweep {
	return &sweep{query: store.LeadQuery{Workflow: workflow}, done: make(chan struct{})}
}

func (l *loop) addSweep(s *sweep) { l.sweeps = append(l.sweeps, s) }

// resumeSweeps takes up what the process that had the store before left undone.
func (l *loop) resumeSweeps() error {
	for _, seq := range slices.Sorted(maps.Keys(l.flows)) { // in the same order in every simulation
		f := l.flows[seq]
		if !f.row.Deleted && f.row.Status != lead.WorkflowCancelled {
			continue
		}
		counts, err := l.eng.store.Counts(context.Background(), seq)
		if err != nil {
			return readFailed(err)
		}
		left := counts[lead.Enrolled] + counts[lead.InStep]
		if f.row.Deleted {
			left += counts[lead.PendingRemoval] + counts[lead.Removed] + counts[lead.Completed]
		}
		if left > 0 {
			if f.row.Deleted {
				l.addSweep(deleteSweep(seq))
			} else {
				l.addSweep(cancelSweep(seq))
			}
		}
	}
	return nil
}

// sweepPage takes the next leads of the first sweep into the batch.
func (l *loop) sweepPage() error {
	if len(l.sweeps) == 0 {
		return nil
	}
	s := l.sweeps[0]
	f := l.flow(s.query.Workflow)
	query := s.query
	if query.Limit = sweepSize; s.query.Limit > 0 {
		query.Limit = min(sweepSize, s.query.Limit)
	}
	page, err := l.eng.store.Leads(context.Background(), query)
	if err != nil {
		return &storeError{err}
	}
	removed := 0
	for _, found := range page {
		e := l.hot[found.Seq]
		if f.row.Deleted {
			l.writes.Forget = append(l.writes.Forget, found.Seq)
			if e != nil {
				l.after = append(l.after, func() { l.drop(e) })
			}
			continue
		}
		if e == nil {
			if e, err = l.adopt(found.Record); isUnreadable(err) {
				continue
			}
			if err != nil {
				return err
			}
		}
		// It may have changed since it was found, in this very batch.
		if !e.rec.State.Final() {
			if err := l.removeLead(e, f, s.removal); err != nil {
				return err
			}
			removed++
		}
	}
	l.after = append(l.after, func() {
		s.removed += removed
		if len(page) == query.Limit && len(page) != s.query.Limit && !s.given.Load() {
			s.query.After, s.query.Offset = page[len(page)-1].Seq, 0
			s.query.Limit = max(0, s.query.Limit-len(page))
			return
		}
		l.sweeps = l.sweeps[1:]
		close(s.done)
	})
	return nil
}
