package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Callback is the outcome of a step in flight, or the failure of its attempt, as a
// callback reports it.
type Callback struct {
	// Outcome names the edge that the lead follows; empty means the node type's
	// success outcome, as in Result.
	Outcome string
	// Data goes to the step's history entry, as in Result.
	Data any
	// CallID is the provider's id of the call, UTF-8 of at most MaxCallID bytes;
	// empty keeps the one that the handler gave.
	CallID string
	// Attempt, if not 0, is the number of the attempt that the callback belongs to.
	// It is refused unless that attempt is the one begun last.
	Attempt int
	// Error, if not empty, says that the attempt failed, and why, in at most MaxError
	// bytes. The node's retry policy applies, as if the handler had returned that
	// error. Outcome must be empty then. RetryAfter is the least time to the next
	// attempt; Final means that the step fails without another attempt. At most one
	// of them may be set, and only with Error.
	Error      string
	RetryAfter time.Duration
	Final      bool
}

// CallbackAck is the answer of CompleteStep: the step, its lead, and the lead's state
// now.
type CallbackAck struct {
	StepID    lead.StepID `json:"step_id"`
	LeadID    lead.ID     `json:"lead_id"`
	LeadState lead.State  `json:"lead_status"`
}

// CompleteStep gives a step in flight its outcome, or reports that its attempt
// failed. The step's handler has answered InFlight; or it still runs (the step then
// ends when the handler returns, or at the deadline); or it has returned an error
// although the attempt was made, and the retry is still queued (the retry is then
// dropped).
//
// A step gets one outcome (promise 8). The same outcome again changes nothing and is
// no error. Another outcome is an error that matches lead.ErrStepFinished, one for
// another attempt lead.ErrOtherAttempt, one for a step that has not started
// lead.ErrStepNotStarted; all three match lead.ErrConflict. An unknown step is an
// error that matches lead.ErrNotFound. A callback that is invalid, or whose data
// could not be read back later, is a *lead.InvalidError that names every fault.
func (e *Engine) CompleteStep(ctx context.Context, id lead.StepID, out Callback) (CallbackAck, error) {
	data, err := encodeData(out.Data)
	var faults []lead.FieldError
	if err != nil {
		faults = append(faults, lead.FieldError{Location: "data", Message: err.Error()})
	}
	if err := checkOutcome(out.Outcome); err != nil {
		faults = append(faults, lead.FieldError{Location: "outcome", Message: err.Error()})
	}
	if err := checkCallID(out.CallID); err != nil {
		faults = append(faults, lead.FieldError{Location: "call_id", Message: err.Error()})
	}
	if out.Attempt < 0 {
		faults = append(faults, lead.FieldError{Location: "attempt", Message: "counts from 1"})
	}
	fault := func(location, message string) {
		faults = append(faults, lead.FieldError{Location: location, Message: message})
	}
	switch {
	case out.Error == "" && (out.RetryAfter != 0 || out.Final):
		fault("error", "is required with retry_after and final")
	case out.Error != "" && out.Outcome != "":
		fault("error", "cannot be combined with outcome")
	case len(out.Error) > MaxError:
		fault("error", fmt.Sprintf("has %d bytes, more than %d", len(out.Error), MaxError))
	}
	switch {
	case out.RetryAfter < 0:
		fault("retry_after", "must not be negative")
	case out.RetryAfter != 0 && out.Final:
		fault("retry_after", "cannot be combined with final")
	}
	if faults != nil {
		return CallbackAck{}, &lead.InvalidError{Subject: "outcome", Faults: faults}
	}
	said := core.Callback{
		Attempt: out.Attempt, Outcome: out.Outcome, CallID: out.CallID, Data: data,
		Failed: out.Error, RetryAfter: out.RetryAfter, Final: out.Final,
	}
	// The step of a scheduled message can begin between the loop's decision and the
	// look at the store, so the answer "has not started" is checked once more.
	for range 2 {
		found, state, now := e.run.Complete(ctx, id, said)
		if now == nil {
			return CallbackAck{StepID: id, LeadID: found, LeadState: state}, nil
		}
		if !errors.Is(now, run.ErrNotCurrent) {
			return CallbackAck{}, e.why(now)
		}
		var done CallbackAck
		if done, err = e.completePast(ctx, id, said); !errors.Is(err, lead.ErrStepNotStarted) {
			return done, err
		}
	}
	return CallbackAck{}, err
}

// StepNode returns the lead of a step, and the node that the step is a visit to or a
// message of. A program that receives callbacks as forms needs that node to read them;
// see webhook.ParseCallback. The error for an unknown step matches lead.ErrNotFound.
func (e *Engine) StepNode(ctx context.Context, id lead.StepID) (lead.Lead, workflow.Node, error) {
	f, found, s, err := e.findStep(ctx, id)
	if err != nil {
		return lead.Lead{}, workflow.Node{}, err
	}
	l := e.viewLead(f, &found, nil)
	for _, n := range f.Graph.Definition().Nodes {
		if n.ID == s.NodeID {
			return l, n.Clone(), nil
		}
	}
	return lead.Lead{}, workflow.Node{}, run.StepNotFound(id)
}

// findStep returns a step that is in a lead's history or still to come, with its lead
// and workflow.
func (e *Engine) findStep(ctx context.Context, id lead.StepID) (*core.Flow, store.Lead, lead.Step, error) {
	refuse := func(err error) (*core.Flow, store.Lead, lead.Step, error) {
		return nil, store.Lead{}, lead.Step{}, err
	}
	found, rows, _, err := e.store.History(ctx, id.Seq())
	if errors.Is(err, store.ErrNotFound) {
		return refuse(run.StepNotFound(id))
	}
	if err != nil {
		_, err = e.meet(err)
		return refuse(err)
	}
	f := e.run.FlowOf(found.Workflow)
	if f == nil {
		return refuse(run.StepNotFound(id))
	}
	view, err := core.Read(found.Record, f)
	if err != nil {
		return refuse(err)
	}
	steps, err := core.History(f, &view, found.Contact.ID, rows, nil)
	if err != nil {
		return refuse(err)
	}
	for _, s := range steps {
		if s.ID == id {
			return f, found, s, nil
		}
	}
	return refuse(run.StepNotFound(id))
}

// completePast answers for a step that is not in flight, or not any more.
func (e *Engine) completePast(ctx context.Context, id lead.StepID, c core.Callback) (CallbackAck, error) {
	f, found, s, err := e.findStep(ctx, id)
	if err != nil {
		return CallbackAck{}, err
	}
	refusal := &lead.ConflictError{
		Reason: lead.ErrStepFinished, Workflow: f.Row.ID, Lead: found.Contact.ID, Step: id, State: s.Outcome,
	}
	switch {
	case s.Status == lead.StepWaiting:
		refusal.Reason, refusal.State = lead.ErrStepNotStarted, s.Status.String()
	case s.Status == lead.StepCancelled:
		refusal.State = s.Status.String()
	case c.Failed != "" && s.Status == lead.StepFailed,
		c.Failed == "" && s.Outcome == cmp.Or(c.Outcome, workflow.NodeType(s.NodeType).SuccessOutcome()):
		return CallbackAck{StepID: id, LeadID: found.Contact.ID, LeadState: found.State}, nil
	}
	return CallbackAck{}, refusal
}
