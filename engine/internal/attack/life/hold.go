package life

import (
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// Hold holds a lead: what runs finishes, and then nothing starts. The error is nil,
// lead.ErrLeadFinal or lead.ErrRemovalPending.
func (w *World) Hold(l *Lead, how lead.Hold) error {
	switch {
	case l.State.Final():
		return lead.ErrLeadFinal
	case l.State == lead.PendingRemoval:
		return lead.ErrRemovalPending
	}
	if how.Since = w.Now; l.Hold != nil {
		how.Since = l.Hold.Since // it is held already, and gets another end
	}
	l.Hold = &how
	return nil
}

// Release ends a hold. The error is nil, lead.ErrLeadFinal or lead.ErrNotHeld.
func (w *World) Release(l *Lead) error {
	switch {
	case l.State.Final():
		return lead.ErrLeadFinal
	case l.Hold == nil:
		return lead.ErrNotHeld
	}
	w.release(l, w.Now)
	w.passOver(l, w.Now)
	return nil
}

// release ends a hold as of a time. What waited then goes on with the time that was left
// of its wait.
func (w *World) release(l *Lead, at time.Time) {
	for _, st := range l.Steps {
		if st.Status == lead.StepWaiting {
			st.ScheduledAt = afterHold(st.Step, l.Hold.Since, at)
		}
	}
	l.Hold = nil
}

// afterHold is when a step is due that waited during a hold, which does not count.
func afterHold(st lead.Step, since, until time.Time) time.Time {
	if st.EnteredAt.After(since) {
		since = st.EnteredAt
	}
	if st.ScheduledAt.After(since) && until.After(since) {
		return st.ScheduledAt.Add(until.Sub(since))
	}
	return st.ScheduledAt
}

// holdOver reports whether the lead's hold ends by itself by that time.
func (l *Lead) holdOver(by time.Time) bool {
	return l.Hold != nil && !l.Hold.Until.IsZero() && !l.Hold.Until.After(by)
}
