package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Callback is what somebody other than the handler says of the step in flight:
// its outcome or, where Failed is set, that the attempt failed.
type Callback struct {
	Visit   int32  // of the step
	Attempt int    // the attempt that it belongs to; 0 for the one begun last
	Outcome string // empty: the type's good one
	CallID  string
	Data    []byte
	// Failed says why the attempt failed; RetryAfter and Final as in Answer.
	Failed     string
	RetryAfter time.Duration
	Final      bool
}

// Refused is a callback's conflict with the step in flight.
type Refused struct {
	Reason error  // of lead.ConflictError
	State  string // what stands against it
}

func (e *Refused) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *Refused) Unwrap() error { return e.Reason }

// ErrUnchanged: what was asked for, or said, is on record already.
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
	case v.Running:
		// The handler is not cut short (promise 3), and one handler of a lead runs
		// at a time: the step ends with this when it returns.
		end.At = t.Now
		v.Notes.Ended = &end
		return nil
	case r.Phase == store.PhaseRetrying:
		t.giveUpNotMade(v)
		v.reviveAttempt()
	}
	return t.end(v, end, nil)
}

// ended is the callback as the end of the step.
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

// reviveAttempt makes the failed attempt whose outcome has come after all the
// one in flight, and drops the queued one.
func (v *View) reviveAttempt() {
	n, last := &v.Notes, len(v.Notes.Attempts)-1
	failed := &n.Attempts[last]
	n.CallID, n.Redelivered, v.Rec.Started = failed.CallID, failed.Again, failed.Started
	n.Attempts = n.Attempts[:last:last]
	v.Rec.Phase = store.PhaseAwaiting
}
