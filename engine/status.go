package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
)

// This file is the life of a workflow: what its status may turn into.

// ActivateWorkflow activates a draft: leads that were enrolled before start
// now. It is refused with a *lead.InvalidError when the graph is faulty or has
// an action node without a handler, and when the workflow is no draft with an
// error that matches lead.ErrWorkflowStatus. Handlers that are a [NodeChecker]
// are asked too.
func (e *Engine) ActivateWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	for {
		w, err := e.activate(ctx, id)
		if !errors.Is(err, errRedrawn) {
			return w, err
		}
	}
}

// errRedrawn: the graph of the draft was replaced while its handlers were asked.
var errRedrawn = errors.New("engine: the workflow has another graph now")

// activate asks the handlers about a workflow, and activates it.
func (e *Engine) activate(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	now, err := e.run.Flow(id)
	if err != nil {
		return Workflow{}, err
	}
	var keys []core.RateKey
	if now.Row.Status == lead.WorkflowDraft {
		if err := e.checkNodes(now); err != nil {
			return Workflow{}, err
		}
		keys = e.rateKeys(now)
	}
	return e.changeWorkflow(ctx, id, func(f *core.Flow) (*core.Flow, error) {
		next, err := f.Turn(lead.WorkflowActive, lead.WorkflowDraft)
		switch {
		case err != nil:
			return nil, err
		case f.Graph != now.Graph:
			return nil, errRedrawn
		}
		next.RateKeys = keys
		return next, errors.Join(f.Definition().Validate(), e.checkHandlers(f))
	})
}

// checkNodes names every node that its handler could not do.
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
			Message:  fmt.Sprintf("node %q needs the handler %s, which is not registered; give it to Config.Handlers or Engine.Handle", n.ID, n.HandlerName()),
		})
	}
	if faults != nil {
		return &lead.InvalidError{Subject: "workflow " + f.Row.ID.String(), Faults: faults}
	}
	return nil
}

// PauseWorkflow lets the attempts of an active workflow that run finish, and
// begins no further one: once it has returned, no handler is called for the
// workflow (promise 17), and queued retries wait for the resume. A lead whose
// removal is pending does not wait for that: its queued retry is dropped, and it
// is removed. A pause does not lengthen a delay: a wait keeps its due time, and one
// that comes due meanwhile ends on resuming.
func (e *Engine) PauseWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.changeWorkflow(ctx, id, func(f *core.Flow) (*core.Flow, error) {
		return f.Turn(lead.WorkflowPaused, lead.WorkflowActive)
	})
}

// ResumeWorkflow activates a paused workflow again.
func (e *Engine) ResumeWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.changeWorkflow(ctx, id, func(f *core.Flow) (*core.Flow, error) {
		next, err := f.Turn(lead.WorkflowActive, lead.WorkflowPaused)
		if err != nil {
			return nil, err
		}
		return next, e.checkHandlers(f)
	})
}

// CompleteWorkflow closes a workflow whose leads have all ended: it takes no
// more. While a lead is live it is refused with an error that matches
// lead.ErrWorkflowStatus.
func (e *Engine) CompleteWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	if err := e.run.CompleteFlow(ctx, id); err != nil {
		return Workflow{}, err
	}
	return e.Workflow(ctx, id)
}

// CancelWorkflow stops a workflow for good: running attempts finish, queued
// retries are dropped, and every lead ends removed, with the reason
// lead.ReasonWorkflowCancelled. It returns when every lead without a running
// attempt is removed. When ctx ends before that, the workflow may be cancelled
// already, and its leads are removed all the same.
func (e *Engine) CancelWorkflow(ctx context.Context, id lead.WorkflowID) (Workflow, error) {
	return e.changeWorkflow(ctx, id, func(f *core.Flow) (*core.Flow, error) {
		return f.Turn(lead.WorkflowCancelled, lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused)
	})
}

// DeleteWorkflow removes a workflow and its enrollments with their history;
// call logs stay. It is refused with an error that matches
// lead.ErrWorkflowStatus unless the workflow is a draft, or completed or
// cancelled with nobody in flight.
func (e *Engine) DeleteWorkflow(ctx context.Context, id lead.WorkflowID) error {
	return e.run.DeleteFlow(ctx, id)
}
