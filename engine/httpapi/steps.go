package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
)

type completeInput struct {
	Step stepParam `path:"step"`
	// Attempt is in the callback URLs of the built-in webhook handler.
	Attempt string `query:"attempt" doc:"the attempt that this is the outcome of, unless the body says so; another one is refused"`
	Sig     string `query:"sig" empty:"default" doc:"the signature in the step's callback URL, which stands for the token"`
}

// outcomeBody documents the body of a completion.
type outcomeBody struct {
	Outcome    *string        `json:"outcome,omitempty" doc:"names the edge that the lead follows; required unless error is there"`
	Data       map[string]any `json:"data,omitempty" doc:"goes to the step's history entry"`
	CallID     *string        `json:"call_id,omitempty" doc:"the provider's id of the call; at most 256 bytes"`
	Attempt    *int           `json:"attempt,omitempty" minimum:"1" doc:"the attempt that this is the outcome of; another one is refused"`
	Error      *string        `json:"error,omitempty" doc:"in place of outcome: why this attempt failed; the node's retry decides what follows; at most 4,096 bytes"`
	RetryAfter *durationText  `json:"retry_after,omitempty" doc:"with error: the least time to the next attempt; not with final"`
	Final      *bool          `json:"final,omitempty" doc:"with error: no further attempt is made; not with retry_after"`
}

type completedBody struct {
	StepID     string     `json:"step_id"`
	LeadID     string     `json:"lead_id"`
	LeadStatus leadStatus `json:"lead_status"`
}

type callsInput struct {
	WorkflowID  string      `query:"workflow_id" doc:"only those of this workflow, which may be deleted"`
	LeadID      string      `query:"lead_id" doc:"only those of this lead"`
	CallID      string      `query:"call_id" doc:"only those with exactly this id of the provider's"`
	PhoneNumber string      `query:"phone_number" doc:"only those to this number"`
	Status      callStatus  `query:"status" doc:"only those with this status"`
	From        momentParam `query:"from" doc:"only those begun then or later"`
	To          momentParam `query:"to" doc:"only those begun before"`
	Limit       limitParam  `query:"limit" empty:"default"`
	Cursor      cursorParam `query:"cursor" empty:"default"`
}

func (h *Handler) stepRoutes() {
	body := jsonBody[outcomeBody]()
	body[formType] = bodyDoc{formSchema}
	register(h, operation{
		method: "POST", path: "/steps/{step}/complete", id: "complete-step", tag: tagSteps, within: "body",
		summary: "Give the step in flight its outcome",
		description: "Or say that the attempt failed, and why, by error: the node's retry decides as if its handler had said so. " +
			"The same outcome again is answered in the same way, and changes nothing.",
		body: body,
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

// formSchema documents a callback that is a form. Any fields are taken: the schema
// names some and does not exclude others. It says nothing of those others, because
// generators cannot make a client of a form with additionalProperties.
func formSchema(huma.Registry) *huma.Schema {
	s := &huma.Schema{
		Type: "object", Properties: map[string]*huma.Schema{},
		Description: "A provider's own callback, with whatever fields the provider sends; those here are examples, from Twilio. The config.callback of the step's node says " +
			"which field has the outcome, and what its values mean. A value that it ignores is answered with 200, and changes nothing. Other fields have no effect.",
	}
	for _, name := range []string{"CallSid", "CallStatus", "CallDuration", "MessageSid", "MessageStatus"} {
		s.Properties[name] = &huma.Schema{Type: "string"}
	}
	return s
}

func (h *Handler) complete(ctx context.Context, in *completeInput) (*output[completedBody], error) {
	id, err := lead.ParseStepID(string(in.Step))
	if err != nil {
		return nil, err
	}
	attempt := 0
	if in.Attempt != "" {
		if attempt, err = strconv.Atoi(in.Attempt); err != nil || attempt < 1 {
			return nil, faulty([]fault{{"query.attempt", "must be a whole number from 1"}})
		}
	}
	x := exchangeOf(ctx)
	kind, _, err := contentType(x.request, jsonType, formType)
	if err != nil {
		return nil, err
	}
	var out engine.Callback
	if kind == formType {
		var l lead.Lead
		if l, out, err = h.readForm(ctx, x, id); errors.Is(err, webhook.ErrIgnored) {
			return reply(completedBody{id.String(), l.ID.String(), leadStatus(l.State.String())}), nil
		}
	} else if data, failed := h.readJSON(x, h.config.MaxBody); failed != nil {
		err = failed
	} else {
		out, err = readCallback(data)
	}
	if err != nil {
		return nil, err
	}
	if out.Attempt == 0 {
		out.Attempt = attempt
	}
	done, err := h.eng.CompleteStep(ctx, id, out)
	if err != nil {
		return nil, err
	}
	return reply(completedBody{done.StepID.String(), done.LeadID.String(), leadStatus(done.LeadState.String())}), nil
}

const formType = "application/x-www-form-urlencoded"

// readForm reads a callback that is a form, by the mapping in the step's node, and
// returns the lead whose step it is. The error of one that changes nothing matches
// webhook.ErrIgnored.
func (h *Handler) readForm(ctx context.Context, x *exchange, id lead.StepID) (l lead.Lead, out engine.Callback, err error) {
	text, err := h.readBody(x, h.config.MaxBody)
	if err != nil {
		return l, out, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return l, out, faulty([]fault{{"body", "is not a form: it has a broken %-escape or a semicolon"}})
	}
	l, node, err := h.eng.StepNode(ctx, id)
	if err != nil {
		return l, out, err
	}
	out, err = webhook.ParseCallback(node, form)
	return l, out, err
}

// readCallback reads what a callback says. A field that is there counts, whatever
// is in it: an empty error is not taken for none.
func readCallback(data []byte) (engine.Callback, error) {
	o := readObject(data, "outcome", "data", "call_id", "attempt", "error", "retry_after", "final")
	out := engine.Callback{
		Outcome: o.nonEmpty("outcome", len(data)), Attempt: o.whole("attempt"),
		Error: o.nonEmpty("error", engine.MaxError), RetryAfter: o.duration("retry_after"), Final: o.flag("final"),
	}
	if object := o.raw("data"); object != nil {
		out.Data = object
	}
	if text := o.text("call_id", engine.MaxCallID); text != nil {
		out.CallID = *text
	}
	has := func(name string) bool { _, ok := o.value(name); return ok }
	refuse := func(when bool, name, message string) {
		if when {
			o.add([]fault{{place("body", name), message}})
		}
	}
	const oneOf, failed = "; send one of them", "is for an attempt that failed; send error with it"
	refuse(has("error") && has("outcome"), "error", "cannot be combined with outcome"+oneOf)
	refuse(has("retry_after") && out.Final, "retry_after", "cannot be combined with final"+oneOf)
	refuse(!has("error") && !has("outcome") && !o.broken, "outcome", "is required, or error for an attempt that failed")
	refuse(!has("error") && has("retry_after"), "retry_after", failed)
	refuse(!has("error") && out.Final, "final", failed)
	return out, o.problem()
}

func (h *Handler) calls(ctx context.Context, in *callsInput) (*output[page[callBody]], error) {
	var q queryReader
	limit := q.limit(in.Limit)
	filter := engine.CallFilter{PhoneNumber: phoneText(in.PhoneNumber), CallID: in.CallID, Limit: limit}
	filter.WorkflowID = parse(&q, "workflow_id", in.WorkflowID, "a workflow's id", lead.ParseWorkflowID)
	filter.LeadID = parse(&q, "lead_id", in.LeadID, "a lead's id", lead.ParseID)
	filter.Status = parseStatus(&q, string(in.Status), parseCallStatus)
	filter.From, filter.To = q.period(in.From, in.To)
	filter.After = engine.CallCursor(q.numberCursor("calls", in.Cursor))
	if q.faults != nil { // what the engine would object to is named too
		_, _, err := h.eng.Calls(ctx, engine.CallFilter{PhoneNumber: phoneText(in.PhoneNumber), CallID: in.CallID, Limit: 1})
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
