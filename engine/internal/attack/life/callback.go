package life

import (
	"cmp"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// Callback is a callback for a step in flight.
type Callback struct {
	Outcome string // "" for the node type's success outcome
	Attempt int    // 0 for the one in flight
	CallID  string
	Data    []byte // JSON

	Err   string        // the attempt failed; no Outcome then
	Final bool          // and the step with it
	After time.Duration // the least time to the next attempt
}

// Complete is CompleteStep for a step of the lead. The error is nil or the reason
// of the conflict.
func (w *World) Complete(l *Lead, st *Step, c Callback) error {
	e := w.ending(st, c)
	// The same outcome again changes nothing; another one is refused.
	same := func(has ending) error {
		if has.outcome != e.outcome || has.attempt != e.attempt && has.status != lead.StepFailed {
			return lead.ErrStepFinished
		}
		return nil
	}
	onRecord := ending{status: st.Status, outcome: st.Outcome}
	switch {
	case st.Status == lead.StepWaiting:
		return lead.ErrStepNotStarted
	case st.Status == lead.StepCancelled:
		return lead.ErrStepFinished
	case st != l.At || l.Doing == Resting:
		if e.attempt && st.Status == lead.StepFailed {
			return nil
		}
		return same(onRecord)
	case c.Attempt != 0 && c.Attempt != l.begunNumber():
		return lead.ErrOtherAttempt
	case l.Doing == Retrying && l.Begun() == nil: // the first attempt was not made
		return lead.ErrStepNotStarted
	case l.Doing == Hooking:
		return same(onRecord)
	case l.called != nil:
		return same(*l.called)
	case l.Doing == Retrying && e.attempt:
		return nil // that attempt has failed
	}
	switch l.Doing {
	case Running: // the handler is not cancelled (promise 3): the step ends when it returns
		l.called = &e
		return nil
	case Retrying: // the attempt was made after all; its retry is dropped
		w.givenUpNotMade(st)
		st.Attempts = st.Attempts[:len(st.Attempts)-1]
		l.Doing, st.CallID = Awaiting, l.Begun().CallID
	}
	w.ends(l, e)
	return nil
}

func (w *World) ending(st *Step, c Callback) ending {
	e := ending{at: w.Now, status: lead.StepCompleted, callID: c.CallID, data: c.Data}
	if c.Err == "" {
		e.outcome = cmp.Or(c.Outcome, st.nodeType().SuccessOutcome())
		return e
	}
	e.status, e.outcome, e.err = lead.StepFailed, st.nodeType().FailureOutcome(), c.Err
	e.attempt, e.final, e.after = true, c.Final, c.After
	return e
}
