package engine

import (
	"context"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// sweepSize is how many leads of a sweep go into one batch, beside what else
// goes on.
const sweepSize = 500

// sweep goes over all leads of a workflow that was cancelled, removing each
// through the machine, or of one that was deleted, forgetting each. It is
// started anew with the engine until nothing is left to do.
type sweep struct {
	workflow int64
	after    int64
	done     chan struct{}
}

func (l *loop) addSweep(s *sweep) { l.sweeps = append(l.sweeps, s) }

// resumeSweeps takes up what the process that had the store before left undone.
func (l *loop) resumeSweeps() error {
	for seq, f := range l.flows {
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
			l.addSweep(&sweep{workflow: seq, done: make(chan struct{})})
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
	f := l.flow(s.workflow)
	query := store.LeadQuery{Workflow: s.workflow, After: s.after, Limit: sweepSize}
	if !f.row.Deleted {
		query.States = []lead.State{lead.Enrolled, lead.InStep}
	}
	page, err := l.eng.store.Leads(context.Background(), query)
	if err != nil {
		return &storeError{err}
	}
	for _, found := range page {
		e := l.hot[found.Seq]
		if e == nil {
			if e, err = l.adopt(found.Record); err != nil {
				return err
			}
		}
		if f.row.Deleted {
			l.writes.Forget = append(l.writes.Forget, found.Seq)
			l.after = append(l.after, func() { l.drop(e) })
			continue
		}
		if s := e.rec.State; s == lead.Enrolled || s == lead.InStep {
			if err := l.removeLead(e, f, removal{Reason: lead.ReasonWorkflowCancelled}); err != nil {
				return err
			}
		}
	}
	l.after = append(l.after, func() {
		if len(page) == sweepSize {
			s.after = page[len(page)-1].Seq
			return
		}
		l.sweeps = l.sweeps[1:]
		close(s.done)
	})
	return nil
}
