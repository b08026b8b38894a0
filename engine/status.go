package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has the changes of a workflow's status. All of them return an error that
// matches lead.ErrNotFound for an unknown workflow.

// ActivateWorkflow activates a draft: leads that were enrolled before start now. If
// the graph is invalid, has an action node without a handler, or has a node that its
// handler refuses as a [NodeChecker], the error is a *lead.InvalidError. If the
// workflow is not a draft, it matches lead.ErrWorkflowStatus.
func (e *Engine) ActivateWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	for {
		w, err := e.activate(ctx, id)
		if !errors.Is(err, errRedrawn) {
			return w, err
		}
	}
}

// errRedrawn: the graph of the draft was replaced while its handlers checked it.
var errRedrawn = errors.New("engine: the workflow has another graph now")

// activate has the handlers check a workflow's nodes, and activates it.
func (e *Engine) activate(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	now, err := e.run.Flow(id)
	if err != nil {
		return Workflow{}, err
	}
	var handlers []core.Handlers
	if now.Row.Status == lead.WorkflowDraft {
		if err := e.checkNodes(now); err != nil {
			return Workflow{}, err
		}
		handlers = e.handlersOf(now)
	}
	w, err := e.turnWorkflow(ctx, id, run.AuditActivate, func(f *core.Flow) (*core.Flow, error) {
		next, err := f.Turn(lead.WorkflowActive, lead.WorkflowDraft)
		switch {
		case err != nil:
			return nil, err
		case f.Graph != now.Graph:
			return nil, errRedrawn
		}
		next.Handlers = handlers
		return next, errors.Join(f.Definition().Validate(), e.checkHandlers(f))
	})
	for _, warning := range w.Warnings {
		e.config.Logger.Warn("leadflow: a workflow was activated that says what cannot be meant",
			slog.String("workflow", id.String()), slog.String("warning", warning.String()))
	}
	return w, err
}

// checkNodes names every node that its handler refuses.
func (e *Engine) checkNodes(f *core.Flow) error {
	var faults []lead.FieldError
	for i, n := range f.Graph.Definition().Nodes {
		checker, ok := e.handler(n.HandlerName()).(NodeChecker)
		if !ok {
			continue
		}
		if err := checker.CheckNode(n); err != nil {
			faults = append(faults, lead.FieldError{Location: fmt.Sprintf("nodes[%d].config", i), Message: err.Error()})
		}
	}
	if faults != nil {
		return &lead.InvalidError{Subject: "workflow " + f.Row.ID.String(), Faults: faults}
	}
	return nil
}

// checkHandlers names every action node without a handler.
func (e *Engine) checkHandlers(f *core.Flow) error {
	var faults []lead.FieldError
	for i, n := range f.Graph.Definition().Nodes {
		if !n.Type.Action() || e.handler(n.HandlerName()) != nil {
			continue
		}
		location := "type"
		if n.Handler != "" {
			location = "handler"
		}
		faults = append(faults, lead.FieldError{
			Location: fmt.Sprintf("nodes[%d].%s", i, location),
			Message:  fmt.Sprintf("node %q needs the handler %s, which is not registered; register it with Config.Handlers or Engine.Handle", n.ID, n.HandlerName()),
		})
	}
	if faults != nil {
		return &lead.InvalidError{Subject: "workflow " + f.Row.ID.String(), Faults: faults}
	}
	return nil
}

// PauseWorkflow pauses an active workflow: running attempts finish, and no further one
// begins. Once it has returned, no handler is called for the workflow (promise 17);
// queued retries wait for the resume. A lead whose removal is pending does not wait:
// its queued retry is dropped, and it is removed. A pause does not lengthen waits: a
// wait keeps its due time, and one that comes due during the pause ends at the resume.
// If the workflow is not active, the error matches lead.ErrWorkflowStatus.
func (e *Engine) PauseWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.turnWorkflow(ctx, id, run.AuditPause, func(f *core.Flow) (*core.Flow, error) {
		return f.Turn(lead.WorkflowPaused, lead.WorkflowActive)
	})
}

// ResumeWorkflow activates a paused workflow again. If the workflow is not paused, the
// error matches lead.ErrWorkflowStatus; if a node has no handler, it is a
// *lead.InvalidError.
func (e *Engine) ResumeWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.turnWorkflow(ctx, id, run.AuditResume, func(f *core.Flow) (*core.Flow, error) {
		next, err := f.Turn(lead.WorkflowActive, lead.WorkflowPaused)
		if err != nil {
			return nil, err
		}
		return next, e.checkHandlers(f)
	})
}

// CompleteWorkflow closes a workflow whose leads are all final: nobody can be enrolled
// any more. If a lead is not final, or the workflow is neither active nor paused, the
// error matches lead.ErrWorkflowStatus.
func (e *Engine) CompleteWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	note, err := noteOf(ctx, run.AuditComplete, nil)
	if err == nil {
		err = e.why(e.run.CompleteFlow(ctx, id, note))
	}
	if err != nil {
		return Workflow{}, err
	}
	return e.Workflow(ctx, id)
}

// CancelWorkflow stops a workflow for good: running attempts finish, queued retries
// are dropped, and every lead is removed, with the reason
// lead.ReasonWorkflowCancelled. It returns when every lead without a running attempt is
// removed. If ctx ends before that, the workflow may be cancelled already, and its
// leads are then removed all the same. If the workflow is completed or cancelled, the
// error matches lead.ErrWorkflowStatus.
func (e *Engine) CancelWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.turnWorkflow(ctx, id, run.AuditCancel, func(f *core.Flow) (*core.Flow, error) {
		return f.Turn(lead.WorkflowCancelled, lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused)
	})
}

// DeleteWorkflow deletes a workflow and its leads with their history; the call log
// stays. Unless the workflow is a draft, completed or cancelled, and no lead has a step
// in flight, the error matches lead.ErrWorkflowStatus.
func (e *Engine) DeleteWorkflow(ctx context.Context, id lead.WorkflowID) error {
	note, err := noteOf(ctx, run.AuditDelete, nil)
	if err != nil {
		return err
	}
	return e.why(e.run.DeleteFlow(ctx, id, note))
}
