package life

import (
	"cmp"

	"github.com/leadflow-go/leadflow/lead"
)

// Callback is an outcome that comes from outside.
type Callback struct {
	Outcome string // "" for the type's good one
	Attempt int    // 0 for whichever is in flight
	CallID  string
	Data    []byte // JSON
}

// Complete is CompleteStep for a step of the lead. The error is nil or the reason
// of the conflict.
func (w *World) Complete(l *Lead, st *Step, c Callback) error {
	outcome := cmp.Or(c.Outcome, st.nodeType().SuccessOutcome())
	same := func(has string) error {
		if has != outcome {
			return lead.ErrStepFinished
		}
		return nil // again, and nothing changes
	}
	switch {
	case st.Status == lead.StepWaiting:
		return lead.ErrStepNotStarted
	case st.Status == lead.StepCancelled:
		return lead.ErrStepFinished
	case st != l.At || l.Doing == Resting:
		return same(st.Outcome)
	case c.Attempt != 0 && c.Attempt != l.Begun().Number:
		return lead.ErrOtherAttempt
	case l.Doing == Hooking:
		return same(st.Outcome)
	case l.called != nil:
		return same(l.called.outcome)
	}
	e := ending{at: w.Now, status: lead.StepCompleted, outcome: outcome, callID: c.CallID, data: c.Data}
	switch l.Doing {
	case Running: // the handler is not cut (promise 3): the step ends when it returns
		l.called = &e
		return nil
	case Retrying: // the attempt was made after all; its retry is dropped
		st.Attempts = st.Attempts[:len(st.Attempts)-1]
		l.Doing = Awaiting
	}
	w.ends(l, e)
	return nil
}
