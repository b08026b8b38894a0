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
	switch {
	case l.State == lead.Completed:
		out.CompletedAt = l.Finished
	case l.State.Final():
	case l.Doing == Resting:
		out.NextActionAt = l.At.ScheduledAt
		if m := l.Messages(); len(m) > 0 && m[0].ScheduledAt.Before(out.NextActionAt) {
			out.NextActionAt = m[0].ScheduledAt
		}
	case l.Doing == Retrying:
		out.NextActionAt = l.At.last().DueAt
	case l.Doing == Hooking:
		out.NextActionAt = l.endedAt
	default:
		out.NextActionAt = l.Deadline
	}
	return out
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
