package crash

import (
	"slices"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has the checks of the parent of the crash test for every call of a handler,
// by what it has seen before and by what was in the file.

// judge checks the call of a handler against the promises. The engine may have begun the
// step just before a removal, and the parent hears of it only now, so promise 2 is
// checked by the history.
func (r *run) judge(l *subject, a *attempt, ev event) {
	for _, f := range l.seen.Called(life.Call{
		Attempt: life.Attempt{Step: a.step.id, Number: a.number}, Key: ev.Key, Redelivered: ev.Redelivered,
	}) {
		if f.Promise != 2 || len(a.step.attempts) > 0 {
			r.fault("lead %s: %s", l.id, f)
			continue
		}
		// Over by its timeout before its handler was even called, or behind a step whose
		// hook was left behind unheard.
		inFlight := l.removal.inFlight
		r.doubt(l, a.step, "is delivered after the removal of its lead was acknowledged as "+l.removal.state, func(h *lead.Step) bool {
			return !h.Attempts[0].StartedAt.After(l.found.view.Removal.RequestedAt) &&
				(timedOut(h) || inFlight != nil && len(l.found.step(inFlight.id).HookErrors) > 0)
		})
	}
}

// judgeOrder: a retry comes after a failed attempt, and not before its due time, by the
// parent's clock.
func (r *run) judgeOrder(l *subject, a *attempt, ev event) {
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
	node := r.flow.Node(s.node)
	delay, more := node.Delay(before.number), before.number < node.Attempts()
	switch before.script.do {
	case "error", "panic":
	case "again":
		delay = max(delay, retryAfter)
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

// doubt leaves it to the history, at the end, whether what was seen was allowed.
func (r *run) doubt(l *subject, s *step, what string, excused func(*lead.Step) bool) {
	round := r.round
	r.doubts = append(r.doubts, func() {
		h := l.found.step(s.id)
		if len(h.Attempts) == 0 || !excused(h) {
			r.fault("in round %d step %s (%s) of lead %s %s; history:\n%s", round, s.id, s.node, l.id, what, l.found)
		}
	})
}

func timedOut(h *lead.Step) bool {
	return h.Status == lead.StepFailed && strings.HasPrefix(h.Error, "no outcome within")
}

// judgeByFile: the first thing that a process does with a lead follows from what was in
// the file, unless there was a request for the lead meanwhile.
func (r *run) judgeByFile(l *subject, a *attempt, ev event) {
	f := l.found
	if f == nil {
		if ev.Redelivered {
			r.fault("%s of lead %s is marked as redelivered, but was not in the file", a, l.id)
		}
		return
	}
	if f.touched {
		return
	}
	f.touched = true
	r.figures.judged++
	for _, w := range f.reachable(r.started, ev.at) {
		at := w.Leads[0]
		if !w.MayBegin(at, ev.at) {
			continue
		}
		w.Begin(at, ev.at)
		if at.At.NodeID == a.step.node && at.Begun().Number == a.number && at.Begun().Redelivered == ev.Redelivered &&
			at.At.Scheduled == (a.step.message != "") && (at.At.ID == a.step.id || at.At.ID.IsZero()) {
			return
		}
	}
	r.fault("%s of lead %s (redelivered: %t) is not what comes of the file, which had\n%s", a, l.id, ev.Redelivered, f)
}

// reachable are the states that the life in the file may have reached by then, in a
// process that was started after it was read.
func (f *found) reachable(started, by time.Time) []*life.World {
	begin := f.life.Clone()
	if started.After(begin.Now) {
		begin.Now = started
	}
	out := []*life.World{begin}
	for i := 0; i < len(out); i++ {
		w := out[i].Clone()
		if l := w.Leads[0]; w.HookDue(l) != "" {
			w.HookCalled(l)
			w.HookAnswered(l, "")
		} else if !w.Alone(l, by) {
			continue
		}
		if !slices.ContainsFunc(out, func(o *life.World) bool { return o.Key() == w.Key() }) {
			out = append(out, w)
		}
	}
	for i := range out {
		out[i] = out[i].Clone()
	}
	return out
}

// judgeSole: a lead has one step in flight, and the hook of a step runs before
// the next one.
func (r *run) judgeSole(l *subject, s *step) {
	if s.hooks > 0 {
		r.doubt(l, s, "is delivered when its hook has run", func(h *lead.Step) bool {
			return timedOut(h) || s.acked != "" // over before its handler was even called
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
