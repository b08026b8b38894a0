package run

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Remove takes one lead out of a workflow: see engine.Engine.Remove. It returns the
// lead's new state, and a channel that is closed when the lead is final.
func (r *Runner) Remove(ctx context.Context, workflow lead.WorkflowID, id lead.ID, how core.Removal) (lead.State, <-chan struct{}, error) {
	var state lead.State
	var done <-chan struct{}
	err := r.onLead(ctx, workflow, id, func(l *loop, e *entry) error {
		err := l.apply(e, core.Remove{How: how})
		if err != nil && !errors.Is(err, core.ErrUnchanged) {
			return e.refusal(err, workflow, id)
		}
		if err == nil {
			l.auditLead(e, store.Audit{Action: AuditRemove, Actor: how.Actor, Reason: how.Reason})
			asked := Changed{ID: id, State: e.view.Rec.State, Fresh: true}
			l.ordered(func() []Changed { return []Changed{asked} })
		}
		state = e.view.Rec.State
		done = r.detachment(id.Seq(), state)
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return state, done, nil
}

// onLead has the loop decide on one lead of a workflow.
func (r *Runner) onLead(ctx context.Context, workflow lead.WorkflowID, id lead.ID, decide func(l *loop, e *entry) error) error {
	return r.do(ctx, func(l *loop) error {
		f, err := l.flowByID(workflow)
		if err != nil {
			return err
		}
		return l.decideOn(id.Seq(), func(e *entry) error {
			if e == nil || !core.Names(id, &e.contact.Contact) || e.view.Rec.Workflow != f.Row.Seq {
				return LeadNotFound(workflow, id)
			}
			return decide(l, e)
		})
	})
}

// refusal turns the machine's error for a final lead into one that carries the ids.
func (e *entry) refusal(err error, workflow lead.WorkflowID, id lead.ID) error {
	if state := e.view.Rec.State; state.Final() {
		return &lead.ConflictError{Reason: lead.ErrLeadFinal, Workflow: workflow, Lead: id, State: state.String()}
	}
	return err
}

// ChangeMany applies an event to the leads that match, up to sweepSize in a commit, and
// returns how many it changed. Those that refuse it are skipped. When it returns from a
// hold, no handler of those leads is called any more (promise 17).
func (r *Runner) ChangeMany(ctx context.Context, workflow lead.WorkflowID, q store.LeadQuery, event core.Event, note store.Audit) (int, error) {
	_, holds := event.(core.Hold)
	s := &sweep{query: q, event: event, note: note, waits: holds, done: make(chan struct{})}
	err := r.do(ctx, func(l *loop) error {
		if _, err := l.flowByID(workflow); err != nil {
			return err
		}
		l.after = append(l.after, func() { l.addSweep(s) })
		return nil
	})
	if err == nil {
		err = r.Await(ctx, s.done)
	}
	if err != nil {
		s.given.Store(true)
		return 0, err
	}
	if err := s.begun.await(ctx, r); err != nil {
		return 0, err
	}
	return s.count, nil
}

// detachment returns a channel that is closed when the lead is final.
func (r *Runner) detachment(seq int64, state lead.State) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.detachmentOf(seq, state)
}

// detachmentOf is detachment for a caller that holds r.mu.
func (r *Runner) detachmentOf(seq int64, state lead.State) <-chan struct{} {
	done := r.detachments[seq]
	if done == nil {
		done = make(chan struct{})
		if state.Final() {
			close(done)
		} else {
			r.detachments[seq] = done
		}
	}
	return done
}

// detached wakes those who wait for the lead to be final and on disk, which it is since a
// time.
func (r *Runner) detached(seq int64, at store.Millis) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent(seq, at)
	if done := r.detachments[seq]; done != nil {
		close(done)
		delete(r.detachments, seq)
	}
}
