package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Callback is what a callback says of a step in flight.
type Callback struct {
	// Outcome names the edge that the lead follows; empty means the type's good
	// one, as in Result.
	Outcome string
	// Data goes to the step's history entry, as in Result.
	Data map[string]any
	// CallID is the provider's name for the call; empty keeps what the handler gave.
	CallID string
	// Attempt, if not 0, is the number of the attempt that the outcome belongs to.
	// An outcome of an attempt that is not the one begun last is refused.
	Attempt int
}

// CallbackAck is the answer to CompleteStep.
type CallbackAck struct {
	StepID    lead.StepID `json:"step_id"`
	LeadID    lead.ID     `json:"lead_id"`
	LeadState lead.State  `json:"lead_status"`
}

// CompleteStep gives a step in flight its outcome: one whose handler answered
// InFlight, or has not returned yet (then the step ends when it does, or at its
// deadline), or whose failed attempt turns out to have been made after all
// while its retry is queued.
//
// A step gets one outcome (promise 8). The same outcome again changes nothing
// and is no error; another one is an error that matches lead.ErrStepFinished.
// One for another attempt matches lead.ErrOtherAttempt, one for a step that has
// not started lead.ErrStepNotStarted, and all three lead.ErrConflict. An unknown
// step matches lead.ErrNotFound.
func (e *Engine) CompleteStep(ctx context.Context, id lead.StepID, out Callback) (CallbackAck, error) {
	data, err := encodeData(out.Data)
	var faults []lead.FieldError
	if err != nil {
		faults = append(faults, lead.FieldError{Location: "data", Message: err.Error()})
	}
	if len(out.Outcome) > maxOutcome {
		faults = append(faults, lead.FieldError{Location: "outcome", Message: fmt.Sprintf("has more than %d bytes", maxOutcome)})
	}
	if out.Attempt < 0 {
		faults = append(faults, lead.FieldError{Location: "attempt", Message: "counts from 1"})
	}
	if faults != nil {
		return CallbackAck{}, &lead.InvalidError{Subject: "outcome", Faults: faults}
	}
	// A step of a message can begin between the look at the disk and the loop's
	// decision, so the answer that it has not is looked up once more.
	for range 2 {
		var done CallbackAck
		done, err = e.completeStep(ctx, id, out, data)
		if !errors.Is(err, lead.ErrStepNotStarted) {
			return done, err
		}
	}
	return CallbackAck{}, err
}

// errNotCurrent: the step is over by the time the loop decides.
var errNotCurrent = errors.New("engine: not the current step")

func (e *Engine) completeStep(ctx context.Context, id lead.StepID, out Callback, data []byte) (CallbackAck, error) {
	found, err := e.store.Lead(ctx, id.Seq())
	if errors.Is(err, store.ErrNotFound) {
		return CallbackAck{}, stepNotFound(id)
	}
	if err != nil {
		return CallbackAck{}, readFailed(err)
	}
	f := e.flowOf(found.Workflow)
	if f == nil {
		return CallbackAck{}, stepNotFound(id)
	}
	done := CallbackAck{StepID: id, LeadID: found.Contact.ID}
	// When ctx ends first the loop may still be writing to done.
	if !found.State.Final() && stepID(found.Entered, found.Contact.ID, found.Visit) == id {
		err = e.do(ctx, func(l *loop) error { return l.completeCurrent(id, out, data, &done) })
		switch {
		case err == nil:
			return done, nil
		case !errors.Is(err, errNotCurrent):
			return CallbackAck{}, err
		}
	}
	return e.completePast(ctx, id, f, out)
}

// completeCurrent gives the lead's current step its outcome.
func (l *loop) completeCurrent(id lead.StepID, out Callback, data []byte, done *CallbackAck) error {
	e, err := l.get(id.Seq())
	if err != nil {
		return err
	}
	if e == nil || e.rec.State.Final() || e.rec.Visit != id.Visit() {
		return errNotCurrent
	}
	f := l.flow(e.rec.Workflow)
	if f == nil || f.row.Deleted {
		return stepNotFound(id)
	}
	if out.Outcome == "" {
		out.Outcome = l.stepType(e, f).SuccessOutcome()
	}
	refuse := func(reason error, state string) error {
		return &lead.ConflictError{Reason: reason, Workflow: f.row.ID, Lead: done.LeadID, Step: id, State: state}
	}
	if !e.rec.State.InFlight() {
		return refuse(lead.ErrStepNotStarted, lead.StepWaiting.String())
	}
	if out.Attempt != 0 && out.Attempt != int(e.rec.Attempt) {
		return refuse(lead.ErrOtherAttempt, fmt.Sprintf("attempt %d", e.rec.Attempt))
	}
	if e.extra.Ended != nil {
		done.LeadState = e.rec.State
		if e.extra.Ended.Outcome != out.Outcome {
			return refuse(lead.ErrStepFinished, e.extra.Ended.Outcome)
		}
		return nil
	}
	end := ended{Status: lead.StepCompleted, Outcome: out.Outcome, CallID: out.CallID, Data: data}
	if e.run != nil {
		// The handler is not cut short (promise 3), and one handler of a lead runs
		// at a time: the step ends with this outcome when it returns.
		l.touch(e)
		end.At = l.now
		e.extra.Ended = &end
		done.LeadState = e.rec.State
		return nil
	}
	if e.rec.Phase == store.PhaseRetrying {
		l.touch(e)
		e.reviveAttempt()
	}
	err = l.endStep(e, f, end, nil)
	done.LeadState = e.rec.State
	return err
}

// reviveAttempt makes the failed attempt whose outcome has come after all the
// one in flight, and drops the queued one.
func (e *entry) reviveAttempt() {
	last := len(e.extra.Attempts) - 1
	e.extra.CallID = e.extra.Attempts[last].CallID
	e.extra.Attempts = e.extra.Attempts[:last:last]
	e.rec.Phase = store.PhaseAwaiting
}

// completePast answers for a step that is not, or no longer, in flight.
func (e *Engine) completePast(ctx context.Context, id lead.StepID, f *flow, out Callback) (CallbackAck, error) {
	found, rows, _, err := e.store.History(ctx, id.Seq())
	if errors.Is(err, store.ErrNotFound) {
		return CallbackAck{}, stepNotFound(id)
	}
	if err != nil {
		return CallbackAck{}, readFailed(err)
	}
	steps, err := f.history(&found, rows)
	if err != nil {
		return CallbackAck{}, err
	}
	for _, s := range steps {
		if s.ID != id {
			continue
		}
		done := CallbackAck{StepID: id, LeadID: found.Contact.ID, LeadState: found.State}
		refusal := &lead.ConflictError{
			Reason: lead.ErrStepFinished, Workflow: f.row.ID, Lead: found.Contact.ID, Step: id, State: s.Outcome,
		}
		switch {
		case s.Status == lead.StepWaiting:
			refusal.Reason, refusal.State = lead.ErrStepNotStarted, s.Status.String()
			return CallbackAck{}, refusal
		case s.Status == lead.StepCancelled:
			refusal.State = s.Status.String()
			return CallbackAck{}, refusal
		case s.Outcome == cmp.Or(out.Outcome, workflow.NodeType(s.NodeType).SuccessOutcome()):
			return done, nil
		}
		return CallbackAck{}, refusal
	}
	return CallbackAck{}, stepNotFound(id)
}
