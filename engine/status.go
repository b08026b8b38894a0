package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
)

// This file is the life of a workflow: what its status may turn into.

// turn changes the status of a workflow that has one of the given ones.
func (f *flow) turn(to lead.WorkflowStatus, from ...lead.WorkflowStatus) error {
	if !slices.Contains(from, f.row.Status) {
		return &lead.ConflictError{Reason: lead.ErrWorkflowStatus, Workflow: f.row.ID, State: f.row.Status.String()}
	}
	f.row.Status = to
	return nil
}

// ActivateWorkflow sets a draft going: leads that were enrolled before start
// now. It is refused with a *lead.InvalidError when the graph is faulty or has
// an action node without a handler, and when the workflow is no draft with an
// error that matches lead.ErrWorkflowStatus. Handlers that are a [NodeChecker]
// are asked too.
func (e *Engine) ActivateWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	now, err := e.flow(id)
	if err != nil {
		return Workflow{}, err
	}
	if now.row.Status == lead.WorkflowDraft {
		if err := e.checkNodes(now); err != nil {
			return Workflow{}, err
		}
	}
	return e.changeWorkflow(ctx, id, func(l *loop, f *flow) error {
		if err := f.turn(lead.WorkflowActive, lead.WorkflowDraft); err != nil {
			return err
		}
		if err := f.definition().Validate(); err != nil {
			return err
		}
		return e.checkHandlers(f)
	})
}

// checkNodes names every node that its handler could not do.
func (e *Engine) checkNodes(f *flow) error {
	var faults []lead.FieldError
	for i, n := range f.graph.Definition().Nodes {
		checker, ok := e.config.Handlers[n.Type].(NodeChecker)
		if !ok {
			continue
		}
		if err := checker.CheckNode(n); err != nil {
			faults = append(faults, lead.FieldError{Location: fmt.Sprintf("nodes[%d].config", i), Message: err.Error()})
		}
	}
	if faults != nil {
		return &lead.InvalidError{Subject: "workflow " + f.row.ID.String(), Faults: faults}
	}
	return nil
}

// checkHandlers names every action node without a handler.
func (e *Engine) checkHandlers(f *flow) error {
	var faults []lead.FieldError
	for i, n := range f.graph.Definition().Nodes {
		if n.Type.Action() && e.config.Handlers[n.Type] == nil {
			faults = append(faults, lead.FieldError{
				Location: fmt.Sprintf("nodes[%d].type", i),
				Message:  fmt.Sprintf("node %q is a %s, for which Config.Handlers has no handler", n.ID, n.Type),
			})
		}
	}
	if faults != nil {
		return &lead.InvalidError{Subject: "workflow " + f.row.ID.String(), Faults: faults}
	}
	return nil
}

// PauseWorkflow lets an active workflow's steps in flight finish, with their
// queued retries, and starts nothing new. It does not lengthen a delay: a wait
// keeps its due time, and one that comes due meanwhile ends on resuming.
func (e *Engine) PauseWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.changeWorkflow(ctx, id, func(l *loop, f *flow) error {
		return f.turn(lead.WorkflowPaused, lead.WorkflowActive)
	})
}

// ResumeWorkflow sets a paused workflow going again.
func (e *Engine) ResumeWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.changeWorkflow(ctx, id, func(l *loop, f *flow) error {
		if err := f.turn(lead.WorkflowActive, lead.WorkflowPaused); err != nil {
			return err
		}
		return e.checkHandlers(f)
	})
}

// CompleteWorkflow closes a workflow whose leads have all ended: it takes no
// more. While a lead is live it is refused with an error that matches
// lead.ErrWorkflowStatus.
func (e *Engine) CompleteWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.changeWorkflow(ctx, id, func(l *loop, f *flow) error {
		if err := f.turn(lead.WorkflowCompleted, lead.WorkflowActive, lead.WorkflowPaused); err != nil {
			return err
		}
		counts, err := e.store.Counts(context.Background(), f.row.Seq)
		if err != nil {
			return &storeError{err}
		}
		live := counts[lead.Enrolled] + counts[lead.InStep] + counts[lead.PendingRemoval]
		for _, fresh := range l.fresh {
			if fresh.rec.Workflow == f.row.Seq {
				live++
			}
		}
		if live > 0 {
			return &lead.ConflictError{
				Reason: lead.ErrWorkflowStatus, Workflow: id, State: fmt.Sprintf("%d leads are live", live),
			}
		}
		return nil
	})
}

// CancelWorkflow stops a workflow for good: nothing new starts, steps in flight
// finish, and every lead ends removed, with the reason
// lead.ReasonWorkflowCancelled. It returns when every lead that was waiting is
// removed. When ctx ends before that, the workflow may be cancelled already,
// and its leads are removed all the same.
func (e *Engine) CancelWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	var swept chan struct{}
	_, err := e.changeWorkflow(ctx, id, func(l *loop, f *flow) error {
		err := f.turn(lead.WorkflowCancelled, lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused)
		if err != nil {
			return err
		}
		s := cancelSweep(f.row.Seq)
		swept = s.done
		l.after = append(l.after, func() { l.addSweep(s) })
		return nil
	})
	if err != nil {
		return Workflow{}, err
	}
	if err := e.await(ctx, swept); err != nil {
		return Workflow{}, err
	}
	return e.Workflow(ctx, id)
}

func (e *Engine) await(ctx context.Context, done <-chan struct{}) error {
	if e.stepped != nil {
		if err := e.stepped.await(done); err != nil {
			return err
		}
	}
	select {
	case <-done:
		return nil
	case <-e.stopped:
		return ErrNotRunning
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// DeleteWorkflow removes a workflow and its enrollments with their history;
// call logs stay. It is refused with an error that matches
// lead.ErrWorkflowStatus unless the workflow is a draft, or completed or
// cancelled with nobody in flight.
func (e *Engine) DeleteWorkflow(ctx context.Context, id lead.WorkflowID) error {
	var swept chan struct{}
	now, err := e.flow(id)
	if err != nil {
		return err
	}
	seq := now.row.Seq
	err = e.do(ctx, func(l *loop) error {
		if l.flying != nil {
			return errInFlight
		}
		current := l.flow(seq)
		if current == nil || current.row.Deleted {
			return workflowNotFound(id)
		}
		f := *current
		err := f.turn(f.row.Status, lead.WorkflowDraft, lead.WorkflowCompleted, lead.WorkflowCancelled)
		if err != nil {
			return err
		}
		counts, err := e.store.Counts(context.Background(), seq)
		if err != nil {
			return &storeError{err}
		}
		if n := counts[lead.InStep] + counts[lead.PendingRemoval]; n > 0 {
			return &lead.ConflictError{
				Reason: lead.ErrWorkflowStatus, Workflow: id,
				State: fmt.Sprintf("%s, %d leads in flight", f.row.Status, n),
			}
		}
		f.row.Deleted = true
		l.stage(&f)
		s := deleteSweep(seq)
		swept = s.done
		l.after = append(l.after, func() { l.addSweep(s) })
		return nil
	})
	if err != nil {
		return err
	}
	return e.await(ctx, swept)
}
