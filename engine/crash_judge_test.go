package engine_test

import (
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file is what the parent of the crash test asks of every delivery, by
// what it has seen before and by what was in the file.

// judgeKey: no two attempts have the same idempotency key (promise 9).
func (r *crashRun) judgeKey(a *crashAttempt) {
	if other := r.keys[a.key]; other != "" {
		r.fault("%s has key %s, which is that of %s", a, a.key, other)
	}
	r.keys[a.key] = a.String()
}

// judgeOrder: an attempt comes after a failed one, and not before its time.
func (r *crashRun) judgeOrder(l *crashLead, a *crashAttempt, ev crashEvent) {
	s := a.step
	if s.message != "" && a.number == 1 {
		if other, ok := l.sent[s.message]; ok {
			r.fault("message %s of lead %s is sent as %s and as %s", s.message, l.id, other, s.id)
		}
		l.sent[s.message] = s.id
	}
	if a.number == 1 {
		return
	}
	r.figures.retries++
	before := s.attempts[a.number-1]
	if before == nil || before.answered.IsZero() {
		r.fault("%s of lead %s comes before attempt %d was answered", a, l.id, a.number-1)
		return
	}
	node, _ := r.graph.Index(s.node)
	delay, more := r.graph.RetryDelay(node, before.number)
	switch before.script.do {
	case "error", "panic":
	case "again":
		delay = max(delay, crashRetryAfter)
	default:
		more = false
	}
	if !more {
		r.fault("%s of lead %s is made although attempt %d was answered %q", a, l.id, before.number, before.script.do)
	}
	// The engine counts whole milliseconds.
	if waited := ev.at.Sub(before.answered); waited < delay-2*time.Millisecond {
		r.fault("%s of lead %s comes %s after attempt %d, which is early: the wait is %s", a, l.id, waited, before.number, delay)
	}
}

// judgeRemoval: after the acknowledgement of a removal no step is begun. One
// that was begun just before may be delivered just after (promise 2).
func (r *crashRun) judgeRemoval(l *crashLead, a *crashAttempt) {
	m, s := &l.removal, a.step
	if !m.acked {
		return
	}
	m.attempts++
	if m.skip && m.attempts > 1 {
		r.fault("%s of lead %s is made after its removal was acknowledged, without further attempts", a, l.id)
	}
	if len(s.attempts) > 0 {
		return
	}
	m.steps++
	if m.state != "removed" && m.steps == 1 && (m.inFlight == nil || m.inFlight == s) {
		return
	}
	// Begun before, and over by its timeout before its handler was even called, or
	// behind a step whose hook was left behind unheard: the history tells.
	inFlight := m.inFlight
	r.doubt(l, s, "is delivered after the removal of its lead was acknowledged as "+m.state, func(h *lead.Step) bool {
		return !h.Attempts[0].StartedAt.After(l.found.view.Removal.RequestedAt) &&
			(crashTimedOut(h) || inFlight != nil && len(l.found.step(inFlight.id).HookErrors) > 0)
	})
}

// doubt has the history say at the end whether what was seen has an excuse.
func (r *crashRun) doubt(l *crashLead, s *crashStep, what string, excused func(*lead.Step) bool) {
	round := r.round
	r.doubts = append(r.doubts, func() {
		h := l.found.step(s.id)
		if len(h.Attempts) == 0 || !excused(h) {
			r.fault("in round %d step %s (%s) of lead %s %s; history:\n%s", round, s.id, s.node, l.id, what, l.found)
		}
	})
}

func crashTimedOut(h *lead.Step) bool {
	return h.Status == lead.StepFailed && strings.HasPrefix(h.Error, "no outcome within")
}

// judgeByFile: what was in the file when the process started says what this
// delivery is.
func (r *crashRun) judgeByFile(l *crashLead, a *crashAttempt, ev crashEvent) {
	f := l.found
	if f == nil {
		if ev.Redelivered {
			r.fault("%s of lead %s is marked as redelivered, but was not in the file", a, l.id)
		}
		return
	}
	current := f.currentStep() == a.step.id
	again := current && f.Phase == store.PhaseRunning && int(f.Attempt) == a.number
	if again != ev.Redelivered {
		r.fault("%s of lead %s: redelivered is %t, but the file had %s", a, l.id, ev.Redelivered, f.where())
	}
	skip := f.view.Removal != nil && f.view.Removal.SkipRetries
	switch {
	case f.State.Final():
		r.fault("%s is made of lead %s, which is %s in the file", a, l.id, f.State)
	case f.step(a.step.id).Status.Final() || f.step(a.step.id).Outcome != "": // a callback's, with a handler that had not returned
		r.fault("%s of lead %s is made although the step has its outcome in the file", a, l.id)
	case f.State == lead.PendingRemoval && !current:
		r.fault("%s is made of lead %s, whose removal is pending in the file with %s", a, l.id, f.where())
	case f.State == lead.PendingRemoval && skip:
		r.fault("%s is made of lead %s, whose removal without retries is pending in the file with %s", a, l.id, f.where())
	case current && f.Phase == store.PhaseAwaiting:
		r.fault("%s of lead %s is made although the file had %s", a, l.id, f.where())
	case current && int(f.Attempt) > a.number || current && int(f.Attempt) == a.number && !again:
		r.fault("%s of lead %s is made although the file had %s", a, l.id, f.where())
	case current && (f.Phase == store.PhaseRetrying || f.Phase == store.PhaseWaiting) && store.MillisOf(ev.at) < f.Due:
		r.fault("%s of lead %s is made %s early; the file had %s", a, l.id, f.Due.Time().Sub(ev.at), f.where())
	}
}

// judgeSole: a lead has one step in flight, and the hook of a step runs before
// the next one.
func (r *crashRun) judgeSole(l *crashLead, s *crashStep) {
	if s.hooks > 0 {
		r.doubt(l, s, "is delivered when its hook has run", func(h *lead.Step) bool {
			return crashTimedOut(h) || s.acked != "" // over before its handler was even called
		})
		return
	}
	if before := l.current; before != nil && before != s {
		r.doubt(l, s, "is delivered before the hook of "+before.id.String(), func(*lead.Step) bool {
			return len(l.found.step(before.id).HookErrors) > 0
		})
	}
	l.current = s
}
