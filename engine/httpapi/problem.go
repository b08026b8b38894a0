package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// busyRetryAfter is how many seconds a client should leave a store alone that another
// program holds.
const busyRetryAfter = "5"

const problemType = "application/problem+json"

// problem is a refusal as RFC 9457 has it, with members of our own.
type problem struct {
	Type   string `json:"type" doc:"always about:blank: the title says what the status says"`
	Title  string `json:"title" doc:"the status in words"`
	Status int    `json:"status" doc:"the HTTP status"`
	Detail string `json:"detail" doc:"what is wrong with this request"`
	// Errors are the faults of the request, all of them.
	Errors []fault `json:"errors,omitempty" doc:"every fault of the request"`

	Code       conflictCode `json:"code,omitempty" doc:"which conflict it is"`
	WorkflowID string       `json:"workflow_id,omitempty" doc:"the workflow concerned"`
	LeadID     string       `json:"lead_id,omitempty" doc:"the lead concerned; for contact_live the lead that the contact has"`
	StepID     string       `json:"step_id,omitempty" doc:"the step concerned"`
	State      string       `json:"state,omitempty" doc:"what stands against the request: the lead's or the workflow's status, the step's outcome"`

	LeadsEnrolled *int `json:"leads_enrolled,omitempty" doc:"of an upload that ended early: how many leads it enrolled"`
	Added         *int `json:"added,omitempty" doc:"of an upload that ended early: how many suppressions it added"`
	Rejected      *int `json:"rejected,omitempty" doc:"of an upload that ended early: how many rows it rejected"`
}

// fault is one thing wrong with a request.
type fault struct {
	Location string `json:"location" doc:"where, such as body.phone_number, body.nodes[2].type or query.limit"`
	Message  string `json:"message" doc:"what is wrong there"`
}

func newProblem(status int, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// internalProblem says nothing of what happened; the log does.
func internalProblem(requestID string) *problem {
	return newProblem(http.StatusInternalServerError, "something went wrong inside; the log has it under request id "+requestID)
}

// faulty is the refusal of a request for its faults. A single one is the detail too.
func faulty(faults []fault) *problem {
	detail := "the request has " + count(len(faults), "fault") + "; see errors"
	if len(faults) == 1 {
		detail = strings.TrimPrefix(faults[0].Location+": "+faults[0].Message, ": ")
	}
	p := newProblem(http.StatusUnprocessableEntity, detail)
	p.Errors = faults
	return p
}

// Error returns the detail.
func (p *problem) Error() string { return p.Detail }

// GetStatus is how huma asks for the status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is how huma asks for the content type.
func (p *problem) ContentType(string) string { return problemType }

// codes name the conflicts on the wire.
var codes = []struct {
	reason error
	code   conflictCode
}{
	{lead.ErrLeadFinal, "lead_final"},
	{lead.ErrContactLive, "contact_live"},
	{lead.ErrWorkflowStatus, "workflow_status"},
	{lead.ErrStepFinished, "step_finished"},
	{lead.ErrStepNotStarted, "step_not_started"},
	{lead.ErrOtherAttempt, "other_attempt"},
	{lead.ErrSuppressed, "suppressed"},
	{lead.ErrRemovalPending, "removal_pending"},
	{lead.ErrNotHeld, "not_held"},
	{lead.ErrNotActive, "not_active"},
}

// codeStatusSent: a PATCH sends a status, whatever state the workflow is in.
const codeStatusSent = "status_sent"

// refusal makes a problem of an error of the engine. within is where a faulty
// input of the engine's lies in the request: "body", "query", or "" for what
// is not in it.
func (h *Handler) refusal(ctx context.Context, err error, within string) *problem {
	var known *problem
	var missing *lead.NotFoundError
	var conflict *lead.ConflictError
	var invalid *lead.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &missing):
		return newProblem(http.StatusNotFound, strings.TrimPrefix(missing.Error(), "lead: "))
	case errors.As(err, &conflict):
		return conflicting(conflict)
	case errors.As(err, &invalid):
		return faulty(located(invalid.Faults, within))
	case errors.Is(err, lead.ErrUnreadable):
		return newProblem(http.StatusInternalServerError,
			strings.TrimPrefix(err.Error(), "engine: ")+". The lead can be removed; all others go on")
	case errors.Is(err, store.ErrBusy):
		exchangeOf(ctx).Header().Set("Retry-After", busyRetryAfter)
		return newProblem(http.StatusServiceUnavailable, "another program has the database locked; try again later")
	case errors.Is(err, store.ErrUnavailable):
		exchangeOf(ctx).Header().Set("Retry-After", busyRetryAfter)
		h.log.LogAttrs(ctx, slog.LevelError, "leadflow: the store is unavailable", slog.Any("error", err), slog.String("request_id", exchangeOf(ctx).id))
		return newProblem(http.StatusServiceUnavailable, "the database cannot be used; nothing was changed, and the server's log says why")
	case errors.Is(err, engine.ErrNotRunning):
		return newProblem(http.StatusServiceUnavailable, "the engine is not running")
	case ctx.Err() != nil:
		return newProblem(http.StatusServiceUnavailable, "the request ended before its answer; what it asked for may have been done")
	}
	id := exchangeOf(ctx).id
	h.log.LogAttrs(ctx, slog.LevelError, "leadflow: request failed", slog.Any("error", err), slog.String("request_id", id))
	return internalProblem(id)
}

func conflicting(err *lead.ConflictError) *problem {
	p := newProblem(http.StatusConflict, strings.TrimPrefix(err.Error(), "lead: "))
	p.State = err.State
	for _, c := range codes {
		if errors.Is(err.Reason, c.reason) {
			p.Code = c.code
		}
	}
	if !err.Workflow.IsZero() {
		p.WorkflowID = err.Workflow.String()
	}
	if !err.Lead.IsZero() {
		p.LeadID = err.Lead.String()
	}
	if !err.Step.IsZero() {
		p.StepID = err.Step.String()
	}
	return p
}

// located puts the engine's faults where they are in the request.
func located(faults []lead.FieldError, within string) []fault {
	out := make([]fault, len(faults))
	for i, f := range faults {
		out[i] = fault{place(within, f.Location), f.Message}
	}
	return out
}

func place(within, location string) string {
	switch {
	case within == "":
		return location
	case location == "":
		return within
	case location[0] == '[':
		return within + location
	}
	return within + "." + location
}
