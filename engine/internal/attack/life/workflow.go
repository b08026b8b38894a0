package life

import (
	"slices"

	"github.com/leadflow-go/leadflow/lead"
)

// The life of a workflow. Each method returns nil, or lead.ErrWorkflowStatus.

func turn(f *Flow, to lead.WorkflowStatus, from ...lead.WorkflowStatus) error {
	if !slices.Contains(from, f.Status) {
		return lead.ErrWorkflowStatus
	}
	f.Status = to
	return nil
}

// MayEnroll returns nil when the workflow takes new leads.
func (w *World) MayEnroll(f *Flow) error {
	if f.Status.Final() {
		return lead.ErrWorkflowStatus
	}
	return nil
}

// Activate has the leads of a draft begin.
func (w *World) Activate(f *Flow) error {
	return turn(f, lead.WorkflowActive, lead.WorkflowDraft)
}

// Pause has no attempt begin, a queued retry included: see brakes.go.
func (w *World) Pause(f *Flow) error {
	return turn(f, lead.WorkflowPaused, lead.WorkflowActive)
}

// Resume ends a pause.
func (w *World) Resume(f *Flow) error {
	return turn(f, lead.WorkflowActive, lead.WorkflowPaused)
}

// Cancel has no attempt begin, ever, and every lead go the way of remove: see
// sweep. Queued retries are dropped.
func (w *World) Cancel(f *Flow) error {
	return turn(f, lead.WorkflowCancelled, lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused)
}

// sweep removes the leads of cancelled workflows. What came in together with the
// cancel is decided first.
func (w *World) sweep() {
	for _, l := range w.Leads {
		if l.State == lead.Enrolled || l.State == lead.InStep {
			w.sweepOne(l)
		}
	}
}

func (w *World) sweepOne(l *Lead) {
	if l.Flow.Status == lead.WorkflowCancelled && !l.Flow.Deleted {
		w.Remove(l, lead.Removal{Reason: lead.ReasonWorkflowCancelled})
	}
}

// Close ends a workflow of which no lead is live.
func (w *World) Close(f *Flow) error {
	if f.Status.Final() || f.Status == lead.WorkflowDraft || w.Count(f, lead.Enrolled, lead.InStep, lead.PendingRemoval) > 0 {
		return lead.ErrWorkflowStatus
	}
	f.Status = lead.WorkflowCompleted
	return nil
}

// Delete forgets a workflow that nothing of is in flight.
func (w *World) Delete(f *Flow) error {
	if f.Status != lead.WorkflowDraft && !f.Status.Final() || w.Count(f, lead.InStep, lead.PendingRemoval) > 0 {
		return lead.ErrWorkflowStatus
	}
	f.Deleted = true
	return nil
}

// Count returns how many leads of the workflow are in one of the states.
func (w *World) Count(f *Flow, states ...lead.State) int {
	n := 0
	for _, l := range w.Leads {
		if l.Flow == f && slices.Contains(states, l.State) {
			n++
		}
	}
	return n
}
