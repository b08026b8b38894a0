package life

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// AnyText stands for a text whose wording is the engine's.
const AnyText = "*"

// Alone makes the next change that a lead makes without a request or an answer, if that
// may happen by the time by; it reports whether there was one. If the time is known
// exactly, by is w.Now, and what may happen must.
func (w *World) Alone(l *Lead, by time.Time) bool {
	passed := func(t time.Time) bool { return !t.After(by) }
	if l.holdOver(by) {
		w.release(l, l.Hold.Until)
		return true
	}
	switch l.Doing {
	case Running, Lost, Awaiting:
		switch {
		case l.called != nil && (l.Doing == Lost || passed(l.Deadline)):
			w.ends(l, *l.called)
		case passed(l.Deadline):
			w.ends(l, l.failure(w.Now, AnyText))
		case l.Doing == Lost && !l.Flow.Deleted && l.At.Node.FailsUnknown:
			// Nobody knows what became of the attempt: no handler here can be asked.
			w.ends(l, l.failure(w.Now, AnyText))
		case l.Doing == Lost && !l.Flow.Deleted && !l.parked && w.MaxRedeliveries > 0 && l.redelivered >= w.MaxRedeliveries:
			w.Park(l)
		default:
			return w.drop(l)
		}
		return true
	case Retrying:
		return w.drop(l)
	case Hooking:
		if !l.HookSince.IsZero() && passed(l.HookSince.Add(w.HookTimeout)) {
			w.HookAnswered(l, AnyText)
			return true
		}
	case Resting:
		if l.State == lead.Enrolled && l.At.Node.Type == workflow.Conditional {
			w.branch(l)
			return true
		}
		if l.State != lead.Enrolled || !l.Flow.active() || l.Hold != nil {
			break // what waits goes on waiting
		}
		switch {
		case w.passOver(l, by):
			return true
		case l.At.Node.Type == workflow.Time && passed(l.At.ScheduledAt) && w.messageDue(l, by) == nil:
			w.endWait(l, workflow.TimeoutOutcome, nil)
			return true
		}
	}
	return false
}

// Pass makes all changes that are due, except calls of handlers and hooks.
func (w *World) Pass() {
	w.sweep()
	for _, l := range w.Leads {
		for w.Alone(l, w.Now) {
		}
	}
}

// Next is when the next change is due; zero if none is.
func (w *World) Next() time.Time {
	var first time.Time
	at := func(t time.Time) {
		if t.After(w.Now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, l := range w.Leads {
		if l.State.Final() || l.Flow.Deleted {
			continue
		}
		at(w.rule(l).until)
		if l.Hold != nil {
			at(l.Hold.Until)
		}
		for _, s := range w.Suppressions {
			at(s.Expires) // what was suppressed may begin then
		}
		switch l.Doing {
		case Running, Lost, Awaiting:
			at(l.Deadline)
		case Retrying:
			if w.mayBegin(l) == allowed {
				at(l.At.last().DueAt)
			}
		case Hooking:
			at(l.HookSince.Add(w.HookTimeout))
		case Resting:
			if l.Flow.active() {
				at(l.At.ScheduledAt)
				for _, m := range l.Messages() {
					at(m.ScheduledAt)
				}
			}
		}
	}
	return first
}

// Restart starts a new engine, which knows only what is on disk.
func (w *World) Restart() { w.Draining, w.rests = false, nil }

// Crash ends the process, and with it its running handlers and hooks.
func (w *World) Crash() {
	w.Restart()
	for _, l := range w.Leads {
		switch l.Doing {
		case Running:
			l.Doing = Lost
		case Hooking:
			w.startHooks(l)
		}
	}
}
