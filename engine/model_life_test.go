package engine_test

import (
	"cmp"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file is the part of the reference model that is about steps in flight:
// how they begin and end, and what time does to them.

// mayBegin reports whether a handler is to be called for the lead, now or as
// soon as a worker is free.
func (s *spec) mayBegin(l *specLead) bool {
	switch {
	case s.draining || l.state.Final() || l.flow.deleted:
		return false
	case l.doing == doingLost:
		return l.called == nil && !l.skips() && l.deadline.After(s.now)
	case l.doing == doingRetry:
		return !l.at.last().DueAt.After(s.now) // even when paused, cancelled or pending
	case l.doing != doingNothing || !l.flow.active():
		return false
	}
	return s.messageDue(l) != nil || l.at.node.kind.Action()
}

func (s *spec) messageDue(l *specLead) *specStep {
	if m := l.messages(); len(m) > 0 && !m[0].ScheduledAt.After(s.now) {
		return m[0]
	}
	return nil
}

// begin puts an attempt on record: start of enrolled, or the next attempt, or
// the same again after a crash (promise 9).
func (s *spec) begin(l *specLead) {
	if l.doing == doingLost {
		l.doing = doingCall
		l.begun().Redelivered = true
		return
	}
	switch {
	case l.doing == doingRetry:
		l.at.Attempts = l.at.Attempts[:len(l.at.Attempts)-1]
	default:
		l.state = lead.InStep
		if m := s.messageDue(l); m != nil {
			l.interrupted, l.at = l.at, m
		}
	}
	st := l.at
	st.Status, st.CallID = lead.StepInProgress, ""
	st.Attempts = append(st.Attempts, lead.Attempt{
		Number: len(st.Attempts) + 1, StartedAt: s.now, Status: lead.StepInProgress,
	})
	l.doing, l.deadline, l.logged = doingCall, s.now.Add(st.node.timeout), nil
	if st.NodeType == string(workflow.VoiceCall) {
		l.logged = &specCall{lead: l, step: st, Call: lead.Call{
			NodeID: st.NodeID, PhoneNumber: l.contact.PhoneNumber, Attempt: len(st.Attempts),
			Status: lead.StepInProgress, StartedAt: s.now,
		}}
		s.log = append(s.log, l.logged)
	}
}

// modelAnswer is what a handler returns.
type modelAnswer struct {
	name   string
	result engine.Result
	err    string // the attempt failed
	final  bool
	after  time.Duration // least time to the next attempt
	panics bool
}

// answered: the handler has returned.
func (s *spec) answered(l *specLead, a modelAnswer) {
	switch {
	case l.doing != doingCall: // late: the step has its outcome (promise 8)
	case l.called != nil: // the callback was faster, and counts
		e := *l.called
		e.callID = cmp.Or(e.callID, a.result.CallID)
		s.schedule(l, a.result.Schedule)
		s.ends(l, e)
	case a.err != "":
		s.failed(l, a)
	case a.result.InFlight:
		s.schedule(l, a.result.Schedule)
		l.doing = doingAwait
		l.at.CallID, l.begun().CallID = a.result.CallID, a.result.CallID
		if l.logged != nil {
			l.logged.CallID = a.result.CallID
		}
	default:
		s.schedule(l, a.result.Schedule)
		s.ends(l, specEnding{
			at: s.now, status: lead.StepCompleted, outcome: cmp.Or(a.result.Outcome, l.success()),
			callID: a.result.CallID, data: modelData(a.result.Data),
		})
	}
}

func (l *specLead) success() string { return workflow.NodeType(l.at.NodeType).SuccessOutcome() }

// failed: the next attempt is queued, or the step ends.
func (s *spec) failed(l *specLead, a modelAnswer) {
	n := len(l.at.Attempts)
	if a.final || n >= l.at.node.attempts || l.skips() {
		s.ends(l, specEnding{at: s.now, status: lead.StepFailed, outcome: l.failure(), err: a.err})
		return
	}
	delay := l.at.node.delay << (n - 1)
	s.ended(l, specEnding{at: s.now, status: lead.StepFailed, err: a.err})
	l.at.Status, l.doing = lead.StepRetrying, doingRetry
	l.at.Attempts = append(l.at.Attempts, lead.Attempt{
		Number: n + 1, Status: lead.StepWaiting, DueAt: s.now.Add(max(delay, a.after)),
	})
}

// ended puts on record what became of the attempt begun last.
func (s *spec) ended(l *specLead, e specEnding) {
	a := l.begun()
	a.Status, a.EndedAt, a.Error, a.CallID = e.status, e.at, e.err, e.callID
	if c := l.logged; c != nil {
		c.Status, c.EndedAt, c.Error, c.CallID = e.status, e.at, e.err, e.callID
		c.Outcome, c.Data = e.outcome, e.data
	}
}

// ends gives the step in flight its outcome; its hooks are to run.
func (s *spec) ends(l *specLead, e specEnding) {
	e.callID = cmp.Or(e.callID, l.at.CallID)
	if l.doing == doingRetry {
		dropped := l.at.last()
		dropped.Status, dropped.EndedAt = lead.StepCancelled, s.now
	} else {
		s.ended(l, e)
	}
	st := l.at
	st.Status, st.Outcome, st.Error, st.CallID, st.Data = e.status, e.outcome, e.err, e.callID, e.data
	l.doing, l.called, l.endedAt = doingHooks, nil, e.at
	s.startHooks(l)
	if len(s.hooks) == 0 {
		s.complete(l)
	}
}

func (s *spec) startHooks(l *specLead) {
	l.hook, l.hookSince, l.hookFails, l.told = 0, time.Time{}, nil, s.view(l)
}

// hookDue is the hook that is to be called for the lead now, or "".
func (s *spec) hookDue(l *specLead) string {
	if l.doing == doingHooks && l.hookSince.IsZero() {
		return s.hooks[l.hook]
	}
	return ""
}

// hookAnswered: the hook that runs has returned, or was given up. What it says
// is recorded, and holds nothing up (promise 4).
func (s *spec) hookAnswered(l *specLead, failure string) {
	if failure != "" {
		l.hookFails = append(l.hookFails, s.hooks[l.hook]+": "+failure)
	}
	l.hookSince = time.Time{}
	if l.hook++; l.hook == len(s.hooks) {
		s.complete(l)
	}
}

// complete is the table's complete: the hooks have run, and the lead goes on,
// or is detached when its removal is pending.
func (s *spec) complete(l *specLead) {
	if l.state == lead.InStep && l.flow.status == lead.WorkflowCancelled {
		s.remove(l, lead.Removal{Reason: lead.ReasonWorkflowCancelled}) // before sweep has come by
	}
	st := l.at
	st.ExitedAt, st.HookErrors = s.now, l.hookFails
	l.doing = doingNothing
	if l.interrupted != nil {
		l.at, l.interrupted = l.interrupted, nil
		if l.state == lead.PendingRemoval {
			s.detach(l)
			return
		}
		l.state = lead.Enrolled
		s.passOne(l) // the wait may have been over for long
		return
	}
	next, ok := st.node.next(st.Outcome)
	switch {
	case l.state == lead.PendingRemoval:
		if ok { // what would have come is cancelled too
			n := l.flow.nodes[next]
			cancelled := s.visit(l, n)
			cancelled.ScheduledAt = s.now.Add(n.wait)
			s.over(cancelled, lead.StepCancelled, "")
		}
		s.detach(l)
	case !ok:
		s.finish(l, lead.OutcomeNoRoute)
	default:
		l.state = lead.Enrolled
		s.enter(l, next)
	}
}

// callback is CompleteStep for a step of the lead. The error is nil or the
// reason of the conflict.
func (s *spec) callback(l *specLead, st *specStep, out engine.Callback) error {
	outcome := cmp.Or(out.Outcome, workflow.NodeType(st.NodeType).SuccessOutcome())
	same := func(has string) error {
		if has != outcome {
			return lead.ErrStepFinished
		}
		return nil // again, and nothing changes
	}
	switch {
	case st.Status == lead.StepWaiting:
		return lead.ErrStepNotStarted
	case st.Status == lead.StepCancelled:
		return lead.ErrStepFinished
	case st != l.at || l.doing == doingNothing:
		return same(st.Outcome)
	case out.Attempt != 0 && out.Attempt != l.begun().Number:
		return lead.ErrOtherAttempt
	case l.doing == doingHooks:
		return same(st.Outcome)
	case l.called != nil:
		return same(l.called.outcome)
	}
	e := specEnding{at: s.now, status: lead.StepCompleted, outcome: outcome, callID: out.CallID, data: modelData(out.Data)}
	switch l.doing {
	case doingCall: // the handler is not cut (promise 3): the step ends when it returns
		l.called = &e
		return nil
	case doingRetry: // the attempt was made after all; its retry is dropped
		st.Attempts = st.Attempts[:len(st.Attempts)-1]
		l.doing = doingAwait
	}
	s.ends(l, e)
	return nil
}

// pass lets happen what the time has come for, handlers aside.
func (s *spec) pass() {
	s.sweep()
	for _, l := range s.leads {
		for s.passOne(l) {
		}
	}
}

func (s *spec) passOne(l *specLead) bool {
	expired := func(t time.Time) bool { return !t.After(s.now) }
	switch l.doing {
	case doingCall, doingLost, doingAwait:
		switch {
		case l.called != nil && (l.doing == doingLost || expired(l.deadline)):
			s.ends(l, *l.called)
		case expired(l.deadline):
			s.ends(l, specEnding{at: s.now, status: lead.StepFailed, outcome: l.failure(), err: anyText})
		case l.doing == doingLost && l.skips():
			s.ends(l, specEnding{at: s.now, status: lead.StepFailed, outcome: l.failure(), err: anyText})
		default:
			return false
		}
		return true
	case doingHooks:
		if !l.hookSince.IsZero() && expired(l.hookSince.Add(s.hookTimeout)) {
			s.hookAnswered(l, anyText)
			return true
		}
	case doingNothing:
		if l.state == lead.Enrolled && l.flow.active() && l.at.node.kind == workflow.Time &&
			expired(l.at.ScheduledAt) && s.messageDue(l) == nil {
			s.over(l.at, lead.StepCompleted, "")
			s.enter(l, l.at.node.edges[""])
			return true
		}
	}
	return false
}

// nextEvent is when time will do something next; zero if never.
func (s *spec) nextEvent() time.Time {
	var first time.Time
	at := func(t time.Time) {
		if t.After(s.now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, l := range s.leads {
		switch {
		case l.state.Final() || l.flow.deleted:
		case l.doing == doingCall || l.doing == doingLost || l.doing == doingAwait:
			at(l.deadline)
		case l.doing == doingRetry:
			at(l.at.last().DueAt)
		case l.doing == doingHooks:
			at(l.hookSince.Add(s.hookTimeout))
		case l.flow.active():
			at(l.at.ScheduledAt)
			for _, m := range l.messages() {
				at(m.ScheduledAt)
			}
		}
	}
	return first
}

// crash: the process is gone, and with it what its handlers and hooks were at.
func (s *spec) crash() {
	s.draining = false
	for _, l := range s.leads {
		switch l.doing {
		case doingCall:
			l.doing = doingLost
		case doingHooks:
			s.startHooks(l)
		}
	}
}
