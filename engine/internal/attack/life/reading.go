package life

import (
	"cmp"
	"slices"
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
	case l.Doing == Resting || l.Doing == Retrying:
		out.NextActionAt = w.whenOpen(l, w.due(l))
	case l.Doing == Hooking:
		out.NextActionAt = l.endedAt
	default:
		out.NextActionAt = l.Deadline
	}
	return out
}

// due is when a lead without an attempt in flight is due, if no rule keeps it from
// beginning one.
func (w *World) due(l *Lead) time.Time {
	if l.Doing == Retrying {
		return l.At.last().DueAt
	}
	if m := l.Messages(); len(m) > 0 && m[0].ScheduledAt.Before(l.At.ScheduledAt) {
		return m[0].ScheduledAt
	}
	return l.At.ScheduledAt
}

// ruled reports whether calling hours or limits may hold for the lead.
func (l *Lead) ruled() bool {
	return len(l.Flow.limits) > 0 || l.Flow.hours != nil || slices.ContainsFunc(l.Flow.Nodes, func(n *Node) bool { return n.hours != nil })
}

// whenOpen is when a lead is acted on that is due: not before the calling hours and the
// limits for its contact allow that.
func (w *World) whenOpen(l *Lead, due time.Time) time.Time {
	if due.After(w.Now) || !l.Flow.active() || !l.attemptNode(w.Now).Type.Action() || !w.cooling(l).until.IsZero() {
		return due
	}
	until := w.closed(l).until
	if until.IsZero() {
		until = w.limitedFor(l).until
	}
	if until.IsZero() {
		return due
	}
	if m := l.Messages(); l.Doing == Resting && len(m) > 0 && m[0].ScheduledAt.After(w.Now) && m[0].ScheduledAt.Before(until) {
		return m[0].ScheduledAt // that is not the next attempt yet
	}
	return until
}

// Vague reports whether a reader may be told that time for when the lead is acted on next,
// as well as what View says: it was due before, and then waited for calling hours, limits,
// workers or a resume in turn, of which the time may have passed.
func (w *World) Vague(l *Lead, next time.Time) bool {
	is := w.View(l).NextActionAt
	waits := l.Hold == nil && !l.State.Final() && (l.Doing == Resting || l.Doing == Retrying)
	return waits && l.ruled() && !w.due(l).After(w.Now) && (!next.After(w.Now) || !is.After(w.Now) || w.limitedFor(l).may == later)
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
