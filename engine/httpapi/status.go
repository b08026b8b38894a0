package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// This file is the life of a workflow: the routes that change its status, copy
// it and delete it.

func (h *Handler) statusRoutes() {
	conflict := func(when string) map[int]string {
		return map[int]string{http.StatusNotFound: "There is no such workflow.", http.StatusConflict: when}
	}
	activate := conflict("The workflow is not a draft.")
	activate[http.StatusUnprocessableEntity] = "The graph is invalid, or has a node without a handler; every fault is named."
	resume := conflict("The workflow is not paused.")
	resume[http.StatusUnprocessableEntity] = "The graph has a node without a handler."
	register(h, operation{
		method: "POST", path: "/workflows/{id}/activate", id: "activate-workflow", tag: tagWorkflows,
		summary: "Activate a draft", refused: activate,
	}, h.turn((*engine.Engine).ActivateWorkflow))
	register(h, operation{
		method: "POST", path: "/workflows/{id}/pause", id: "pause-workflow", tag: tagWorkflows,
		summary: "Pause an active workflow", refused: conflict("The workflow is not active."),
		description: "Steps in flight finish, nothing new starts. A wait keeps its due time; one that comes due meanwhile ends on resuming.",
	}, h.turn((*engine.Engine).PauseWorkflow))
	register(h, operation{
		method: "POST", path: "/workflows/{id}/resume", id: "resume-workflow", tag: tagWorkflows,
		summary: "Resume a paused workflow", refused: resume,
	}, h.turn((*engine.Engine).ResumeWorkflow))
	register(h, operation{
		method: "POST", path: "/workflows/{id}/cancel", id: "cancel-workflow", tag: tagWorkflows,
		summary: "Stop a workflow for good", refused: conflict("The workflow is final already."),
		description: "Steps in flight finish; every lead ends removed, with the reason workflow_cancelled.",
	}, h.turn((*engine.Engine).CancelWorkflow))
	register(h, operation{
		method: "POST", path: "/workflows/{id}/duplicate", id: "duplicate-workflow", tag: tagWorkflows,
		status: http.StatusCreated, refused: noWorkflow,
		summary: "Copy a workflow", description: "Its graph, as a draft named … (Copy), without leads.",
	}, h.duplicateWorkflow)
	register(h, operation{
		method: "DELETE", path: "/workflows/{id}", id: "delete-workflow", tag: tagWorkflows,
		summary: "Delete a workflow", description: "With its enrollments and their history; call logs stay.",
		refused: conflict("The workflow is active or paused, or a lead has a step in flight."),
	}, h.deleteWorkflow)
}

// turn is the handler of a route that changes a workflow's status.
func (h *Handler) turn(
	change func(*engine.Engine, context.Context, lead.WorkflowID) (engine.Workflow, error),
) func(context.Context, *changeWorkflowInput) (*output[workflowBody], error) {
	return func(ctx context.Context, in *changeWorkflowInput) (*output[workflowBody], error) {
		id, err := lead.ParseWorkflowID(string(in.ID))
		if err != nil {
			return nil, err
		}
		w, err := change(h.eng, ctx, id)
		if err != nil {
			return nil, err
		}
		return reply(viewWorkflow(w)), nil
	}
}

func (h *Handler) duplicateWorkflow(ctx context.Context, in *changeWorkflowInput) (*created[workflowBody], error) {
	id, err := lead.ParseWorkflowID(string(in.ID))
	if err != nil {
		return nil, err
	}
	w, err := h.eng.DuplicateWorkflow(ctx, id)
	if err != nil {
		return nil, err
	}
	return &created[workflowBody]{"../" + w.ID.String(), viewWorkflow(w)}, nil
}

func (h *Handler) deleteWorkflow(ctx context.Context, in *changeWorkflowInput) (*output[messageBody], error) {
	id, err := lead.ParseWorkflowID(string(in.ID))
	if err != nil {
		return nil, err
	}
	if err := h.eng.DeleteWorkflow(ctx, id); err != nil {
		var conflict *lead.ConflictError
		if errors.As(err, &conflict) && (conflict.State == lead.WorkflowActive.String() || conflict.State == lead.WorkflowPaused.String()) {
			p := conflicting(conflict)
			p.Detail += "; cancel the workflow first"
			return nil, p
		}
		return nil, err
	}
	return reply(messageBody{"Workflow deleted."}), nil
}
