package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

type completeInput struct {
	Step stepParam `path:"step"`
	Sig  string    `query:"sig" doc:"the signature in the step's callback URL, which stands for the token"`
}

// outcomeBody documents the body of a completion.
type outcomeBody struct {
	Outcome string         `json:"outcome" doc:"names the edge that the lead follows"`
	Data    map[string]any `json:"data,omitempty" doc:"goes to the step's history entry"`
	CallID  *string        `json:"call_id,omitempty" doc:"the provider's id of the call; at most 256 bytes"`
	Attempt *int           `json:"attempt,omitempty" minimum:"1" doc:"the attempt that this is the outcome of; another one is refused"`
}

type completedBody struct {
	StepID     string `json:"step_id"`
	LeadID     string `json:"lead_id"`
	LeadStatus string `json:"lead_status" enum:"enrolled,in_step,pending_removal,removed,completed"`
}

type callsInput struct {
	WorkflowID  string      `query:"workflow_id" doc:"only those of this workflow, which may be deleted"`
	LeadID      string      `query:"lead_id" doc:"only those of this lead"`
	PhoneNumber string      `query:"phone_number" doc:"only those to this number"`
	Status      string      `query:"status" enum:"in_progress,completed,failed" doc:"only those with this status"`
	From        momentParam `query:"from" doc:"only those begun then or later"`
	To          momentParam `query:"to" doc:"only those begun before"`
	Limit       limitParam  `query:"limit"`
	Cursor      cursorParam `query:"cursor"`
}

// maxCallID is the most bytes of a provider's id of a call.
const maxCallID = 256

func (h *Handler) stepRoutes() {
	register(h, operation{
		method: "POST", path: "/steps/{step}/complete", id: "complete-step", tag: tagSteps, within: "body",
		summary: "Give the step in flight its outcome", description: "The same outcome again is answered alike, and changes nothing.",
		body: jsonBody[outcomeBody](),
		refused: map[int]string{
			http.StatusNotFound:            "There is no such step.",
			http.StatusConflict:            "The step has another outcome, has not started, or another attempt is in flight.",
			http.StatusUnprocessableEntity: "The body is faulty.",
		},
	}, h.complete)
	register(h, operation{
		method: "GET", path: "/calls", id: "list-calls", tag: tagSteps, within: "query",
		summary: "List the call log", description: "An entry for each attempt at a voice_call step, in the order in which they were begun.",
	}, h.calls)
}

func (h *Handler) complete(ctx context.Context, in *completeInput) (*output[completedBody], error) {
	id, err := lead.ParseStepID(string(in.Step))
	if err != nil {
		return nil, err
	}
	data, err := h.readJSON(exchangeOf(ctx), h.config.MaxBody)
	if err != nil {
		return nil, err
	}
	o := readObject(data, "outcome", "data", "call_id", "attempt")
	var out engine.Callback
	o.required("outcome")
	if text := o.text("outcome", len(data)); text != nil {
		if out.Outcome = *text; out.Outcome == "" {
			o.fault("outcome", "is empty")
		}
	}
	if text := o.text("call_id", maxCallID); text != nil {
		out.CallID = *text
	}
	out.Data, out.Attempt = o.object("data"), o.whole("attempt")
	if err := o.problem(); err != nil {
		return nil, err
	}
	done, err := h.eng.CompleteStep(ctx, id, out)
	if err != nil {
		return nil, err
	}
	return reply(completedBody{done.StepID.String(), done.LeadID.String(), done.LeadState.String()}), nil
}

func (h *Handler) calls(ctx context.Context, in *callsInput) (*output[page[callBody]], error) {
	var q queryReader
	limit := q.limit(in.Limit)
	filter := engine.CallFilter{PhoneNumber: in.PhoneNumber, Limit: limit}
	filter.WorkflowID = parse(&q, "workflow_id", in.WorkflowID, "a workflow's id", lead.ParseWorkflowID)
	filter.LeadID = parse(&q, "lead_id", in.LeadID, "a lead's id", lead.ParseID)
	filter.Status = parseStatus(&q, in.Status, parseCallStatus)
	filter.From, filter.To = q.moment("from", in.From), q.moment("to", in.To)
	if !filter.From.IsZero() && !filter.To.IsZero() && filter.To.Before(filter.From) {
		q.fault("to", "is before from")
	}
	if place := q.cursor("calls", in.Cursor); place != "" {
		n, err := strconv.ParseInt(place, 10, 64)
		if err != nil || n < 1 {
			q.badCursor()
		}
		filter.After = engine.CallCursor(n)
	}
	if q.faults != nil { // what the engine would object to is named too
		_, _, err := h.eng.Calls(ctx, engine.CallFilter{PhoneNumber: in.PhoneNumber, Limit: 1})
		return nil, q.with(err)
	}
	found, after, err := h.eng.Calls(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := page[callBody]{Data: make([]callBody, len(found))}
	for i, c := range found {
		out.Data[i] = viewCall(c)
	}
	if len(found) < limit {
		return reply(out), nil
	}
	filter.After, filter.Limit = after, 1
	more, _, err := h.eng.Calls(ctx, filter)
	if err != nil {
		return nil, err
	}
	if len(more) > 0 {
		out.NextCursor = newCursor("calls", strconv.FormatInt(int64(after), 10))
	}
	return reply(out), nil
}

func parseCallStatus(text string) (lead.StepStatus, error) {
	status, err := lead.ParseStepStatus(text)
	if err != nil || status != lead.StepInProgress && status != lead.StepCompleted && status != lead.StepFailed {
		return status, fmt.Errorf("invalid status %q; a call's must be one of %s, %s, %s", clip(text), lead.StepInProgress, lead.StepCompleted, lead.StepFailed)
	}
	return status, nil
}
