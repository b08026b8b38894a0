package life

import (
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// brakes keep attempts from beginning, and change nothing else: each is a reason
// for which a lead whose time has come is left alone.
var brakes = []func(w *World, l *Lead) bool{
	func(w *World, _ *Lead) bool { return w.Draining },
	// Neither a first attempt, nor a retry, nor one that a crash interrupted.
	func(_ *World, l *Lead) bool { return !l.Flow.active() },
}

// ends are why no further attempt of the step in flight is ever made: its queued
// retry is dropped, and an attempt that a crash interrupted is not made again.
var ends = []func(l *Lead) bool{
	(*Lead).skips,
	func(l *Lead) bool { return l.Flow.Status == lead.WorkflowCancelled },
	// A removal never waits for a workflow to be resumed.
	func(l *Lead) bool { return l.State == lead.PendingRemoval && !l.Flow.active() },
}

// givesUp reports whether no further attempt of the step in flight is ever made.
func (l *Lead) givesUp() bool {
	for _, end := range ends {
		if end(l) {
			return true
		}
	}
	return false
}

func (w *World) braked(l *Lead) bool {
	for _, brake := range brakes {
		if brake(w, l) {
			return true
		}
	}
	return false
}

// MayBegin reports whether a handler may be called for the lead by that time, as
// soon as a worker is free. Where the time is known, by is w.Now, and a handler
// for which a worker is free must be called.
func (w *World) MayBegin(l *Lead, by time.Time) bool {
	switch l.Doing {
	case Resting:
		due := !l.At.ScheduledAt.After(by) && l.At.Node.Type.Action() || w.messageDue(l, by) != nil
		return !l.State.Final() && due && !w.braked(l)
	case Retrying:
		return !l.At.last().DueAt.After(by) && !w.braked(l) && !l.givesUp()
	case Lost:
		return !w.braked(l) && l.called == nil && !l.givesUp() && l.Deadline.After(w.Now)
	}
	return false
}
