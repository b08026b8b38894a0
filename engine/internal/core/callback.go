package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Callback gives the step in flight its outcome from outside the handler or, if Failed
// is set, reports that the attempt failed.
type Callback struct {
	Visit   int32  // of the step
	Attempt int    // the attempt that it belongs to; 0 for the one begun last
	Outcome string // empty: the node type's success outcome
	CallID  string
	Data    []byte
	// Failed says why the attempt failed; RetryAfter and Final as in Answer.
	Failed     string
	RetryAfter time.Duration
	Final      bool
}

// Refused is the error of a callback that is in conflict with the step in flight.
type Refused struct {
	Reason error  // for lead.ConflictError
	State  string // the present state, which does not allow the callback
}

func (e *Refused) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *Refused) Unwrap() error { return e.Reason }

// ErrUnchanged: what the event asks for, or reports, is on record already.
var ErrUnchanged = errors.New("core: nothing to change")

func (c Callback) apply(t *Turn, v *View) error {
	r := &v.Rec
	switch {
	case r.State.Final() || r.Visit != c.Visit:
		return ErrNotNow
	case !r.State.InFlight():
		return &Refused{lead.ErrStepNotStarted, lead.StepWaiting.String()}
	case c.Attempt != 0 && c.Attempt != int(r.Attempt):
		return &Refused{lead.ErrOtherAttempt, fmt.Sprintf("attempt %d", r.Attempt)}
	}
	end := c.ended(t, v)
	switch {
	case v.Notes.Ended != nil:
		if has := v.Notes.Ended; has.Outcome != end.Outcome || has.Attempt != end.Attempt && has.Status != lead.StepFailed {
			return &Refused{lead.ErrStepFinished, has.Outcome}
		}
		return ErrUnchanged
	case r.Phase == store.PhaseRetrying && len(v.Notes.Attempts) == 0: // the first attempt was not made
		return &Refused{lead.ErrStepNotStarted, lead.StepRetrying.String()}
	case r.Phase == store.PhaseRetrying && end.Attempt:
		return ErrUnchanged // that attempt has failed
	case v.Running || v.Elsewhere(t.Flow) && r.Phase == store.PhaseRunning:
		// The running handler is not cancelled (promise 3), and a lead has one handler
		// at a time: the step ends with this outcome when the handler returns.
		end.At = t.Now
		v.Notes.Ended = &end
		return nil
	case r.Phase == store.PhaseRetrying:
		t.giveUpNotMade(v)
		v.reviveAttempt()
	}
	return t.end(v, end, nil)
}

// ended returns how the step, or the attempt, ends by the callback.
func (c Callback) ended(t *Turn, v *View) Ended {
	if c.Failed != "" {
		return Ended{
			Status: lead.StepFailed, Outcome: v.NodeType(t.Flow).FailureOutcome(), Error: c.Failed, CallID: c.CallID,
			Data: c.Data, Attempt: true, Final: c.Final, RetryAfter: store.Millis(0).Add(c.RetryAfter),
		}
	}
	end := Ended{Status: lead.StepCompleted, Outcome: c.Outcome, CallID: c.CallID, Data: c.Data}
	if end.Outcome == "" {
		end.Outcome = v.NodeType(t.Flow).SuccessOutcome()
	}
	return end
}

// reviveAttempt drops the queued retry and puts the failed attempt, whose outcome has
// come after all, back in flight.
func (v *View) reviveAttempt() {
	n, last := &v.Notes, len(v.Notes.Attempts)-1
	failed := &n.Attempts[last]
	n.CallID, n.Redelivered, v.Rec.Started = failed.CallID, failed.Again, failed.Started
	n.Attempts = n.Attempts[:last:last]
	v.Rec.Phase = store.PhaseAwaiting
}
