package life

import (
	"cmp"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// View is the lead as a reader should see it, except for UpdatedAt.
func (w *World) View(l *Lead) lead.Lead {
	out := lead.Lead{
		ID: l.ID, WorkflowID: l.Flow.ID, Contact: l.Contact, State: l.State, Node: l.At.NodeID, Outcome: l.Outcome,
		EnrolledAt: l.Enrolled,
	}
	if l.Removal != nil {
		how := *l.Removal
		out.Removal = &how
	}
	if l.Hold != nil {
		how := *l.Hold
		out.Hold = &how
	}
	switch {
	case l.State == lead.Completed:
		out.CompletedAt = l.Finished
	case l.State.Final():
	case l.Hold != nil && (l.Doing == Resting || l.Doing == Retrying):
		out.NextActionAt = l.Hold.Until
	case l.Doing == Resting:
		out.NextActionAt = l.At.ScheduledAt
		if m := l.Messages(); len(m) > 0 && m[0].ScheduledAt.Before(out.NextActionAt) {
			out.NextActionAt = m[0].ScheduledAt
		}
		out.NextActionAt = w.whenOpen(l, out.NextActionAt)
	case l.Doing == Retrying:
		out.NextActionAt = w.whenOpen(l, l.At.last().DueAt)
	case l.Doing == Hooking:
		out.NextActionAt = l.endedAt
	default:
		out.NextActionAt = l.Deadline
	}
	return out
}

// whenOpen is when a lead is acted on that is due: not before the calling hours and the
// limits for its contact allow that.
func (w *World) whenOpen(l *Lead, due time.Time) time.Time {
	if due.After(w.Now) || !l.Flow.active() || !l.attemptNode(w.Now).Type.Action() || !w.cooling(l).until.IsZero() {
		return due
	}
	if until := w.closed(l).until; !until.IsZero() {
		return until
	}
	if until := w.limitedFor(l).until; !until.IsZero() {
		return until
	}
	return due
}

// Vague reports whether no reader needs to be told exactly when a lead is acted on next:
// it is due, and had to wait for calling hours or for a limit for its contact, and now
// waits for something else.
func (w *World) Vague(l *Lead) bool {
	next := w.View(l).NextActionAt
	return l.Hold == nil && (l.Doing == Resting || l.Doing == Retrying) && !next.IsZero() && !next.After(w.Now)
}

// History is the lead's steps as a reader should see them.
func (w *World) History(l *Lead) []lead.Step {
	var out []lead.Step
	for _, st := range l.Steps {
		step := st.Step
		if st == l.At && l.called != nil && !l.called.attempt {
			step.Outcome, step.CallID, step.Data = l.called.outcome, cmp.Or(l.called.callID, step.CallID), l.called.data
		}
		if st.Scheduled && (st.Status == lead.StepWaiting || st.Status == lead.StepCancelled) {
			step.Data = st.Text
		}
		out = append(out, step)
	}
	return out
}

// FirstBegun is when the attempt of an entry of the call log was begun, whether it was
// made then or later.
func (w *World) FirstBegun(c lead.Call) time.Time {
	for _, l := range w.Leads {
		for _, st := range l.Steps {
			for i := range st.Calls {
				if st.ID == c.StepID && st.Calls[i].Attempt == c.Attempt {
					return st.first[i]
				}
			}
		}
	}
	return c.StartedAt // the lead was deleted
}

// Calls are the lead's entries of the call log, oldest first.
func (w *World) Calls(l *Lead) []lead.Call {
	var out []lead.Call
	for _, st := range l.Steps {
		for _, c := range st.Calls {
			c.WorkflowID, c.LeadID, c.StepID = l.Flow.ID, l.ID, st.ID
			out = append(out, c)
		}
	}
	return out
}
