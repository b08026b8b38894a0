package life

import "time"

// brakes keep attempts from beginning, and change nothing else: each is a reason
// for which a lead whose time has come is left alone. retry tells whether the
// attempt would be a further one at its step.
var brakes = []func(w *World, l *Lead, retry bool) bool{
	func(w *World, _ *Lead, _ bool) bool { return w.Draining },
	func(_ *World, l *Lead, _ bool) bool { return l.Flow.Deleted },
	// A queued retry is in flight: it is made even when the workflow is paused or
	// cancelled.
	func(_ *World, l *Lead, retry bool) bool { return !retry && !l.Flow.active() },
}

func (w *World) braked(l *Lead, retry bool) bool {
	for _, brake := range brakes {
		if brake(w, l, retry) {
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
		return !l.State.Final() && due && !w.braked(l, false)
	case Retrying:
		return !l.At.last().DueAt.After(by) && !w.braked(l, true)
	case Lost:
		// It has begun: only the end of the process keeps it from being called again.
		return !w.Draining && !l.Flow.Deleted && l.called == nil && !l.skips() && l.Deadline.After(w.Now)
	}
	return false
}
