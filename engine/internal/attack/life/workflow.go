package life

import (
	"slices"

	"github.com/leadflow-go/leadflow/lead"
)

// This file has the changes of a workflow's status. Each method returns nil or
// lead.ErrWorkflowStatus.

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

// Activate activates a draft.
func (w *World) Activate(f *Flow) error {
	return turn(f, lead.WorkflowActive, lead.WorkflowDraft)
}

// Pause pauses an active workflow: see brakes.go.
func (w *World) Pause(f *Flow) error {
	return turn(f, lead.WorkflowPaused, lead.WorkflowActive)
}

// Resume ends a pause.
func (w *World) Resume(f *Flow) error {
	return turn(f, lead.WorkflowActive, lead.WorkflowPaused)
}

// Cancel stops a workflow for good: no attempt begins, queued retries are dropped, and
// all leads are removed; see sweep.
func (w *World) Cancel(f *Flow) error {
	return turn(f, lead.WorkflowCancelled, lead.WorkflowDraft, lead.WorkflowActive, lead.WorkflowPaused)
}

// sweep removes the leads of cancelled workflows. Requests that came in together with
// the cancel are decided first.
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

// Close completes a workflow whose leads are all final.
func (w *World) Close(f *Flow) error {
	if f.Status.Final() || f.Status == lead.WorkflowDraft || w.Count(f, lead.Enrolled, lead.InStep, lead.PendingRemoval) > 0 {
		return lead.ErrWorkflowStatus
	}
	f.Status = lead.WorkflowCompleted
	return nil
}

// Delete deletes a workflow without a step in flight.
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
