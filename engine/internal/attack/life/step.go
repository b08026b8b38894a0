package life

import (
	"cmp"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Begin puts an attempt on record, if [World.MayBegin] allows it: the first, the next,
// or the same again after a crash (promise 9). by is as in MayBegin.
func (w *World) Begin(l *Lead, by time.Time) {
	switch l.Doing {
	case Lost:
		l.Doing = Running
		l.Begun().Redelivered = true
		l.redelivered++
		w.started(l)
		return
	case Retrying:
		l.At.Attempts = l.At.Attempts[:len(l.At.Attempts)-1]
	default:
		l.State = lead.InStep
		if m := w.messageDue(l, by); m != nil {
			l.interrupted, l.At = l.At, m
		}
	}
	st := l.At
	st.Status, st.CallID = lead.StepInProgress, ""
	st.Attempts = append(st.Attempts, lead.Attempt{
		Number: len(st.Attempts) + 1, StartedAt: w.Now, Status: lead.StepInProgress, Redelivered: st.notMade > 0 && st.again,
	})
	l.Doing, l.Deadline, l.redelivered, l.parked = Running, w.Now.Add(st.Node.Timeout), 0, false
	w.started(l)
	if st.notMade > 0 && len(st.Calls) > 0 {
		c := &st.Calls[len(st.Calls)-1]
		c.Status, c.Error, c.StartedAt = lead.StepInProgress, "", w.Now
		return
	}
	if st.NodeType == string(workflow.VoiceCall) {
		st.first = append(st.first, w.Now)
		st.Calls = append(st.Calls, lead.Call{
			NodeID: st.NodeID, PhoneNumber: l.Contact.PhoneNumber, Attempt: len(st.Attempts),
			Status: lead.StepInProgress, StartedAt: w.Now,
		})
	}
}

// Answer is what a handler returns.
type Answer struct {
	Outcome  string // "" for the node type's success outcome
	InFlight bool   // the outcome will come by callback
	CallID   string
	Data     []byte // JSON
	Schedule []Message

	Err     string        // the attempt failed
	Final   bool          // and the step with it
	NotMade bool          // or nothing was done
	After   time.Duration // the least time to the next attempt
}

// Answered tells that the handler of the attempt in flight has returned. If none runs,
// it came too late, and changes nothing (promise 8).
func (w *World) Answered(l *Lead, a Answer) {
	if l.Doing == Running {
		w.tried(l, a.NotMade)
	}
	switch {
	case l.Doing != Running:
	case l.called != nil: // a callback came first, and counts
		e := *l.called
		e.callID = cmp.Or(e.callID, a.CallID)
		w.schedule(l, a.Schedule)
		w.ends(l, e)
	case a.NotMade:
		w.notMade(l, a)
	case a.Err != "":
		w.failed(l, ending{at: w.Now, err: a.Err, final: a.Final, after: a.After})
	case a.InFlight:
		w.schedule(l, a.Schedule)
		l.Doing, l.At.notMade = Awaiting, 0
		l.At.CallID, l.Begun().CallID = a.CallID, a.CallID
		if c := l.At.logged(); c != nil {
			c.CallID = a.CallID
		}
	default:
		w.schedule(l, a.Schedule)
		w.ends(l, ending{
			at: w.Now, status: lead.StepCompleted, outcome: cmp.Or(a.Outcome, l.At.nodeType().SuccessOutcome()),
			callID: a.CallID, data: a.Data,
		})
	}
}

// failed: the attempt in flight has failed; the next one is queued, or the step ends.
func (w *World) failed(l *Lead, e ending) {
	l.At.notMade, l.parked = 0, false
	n := len(l.At.Attempts)
	if e.final || n >= l.At.Node.Attempts() || w.mayBegin(l) == never {
		failure := l.failure(e.at, e.err)
		if !e.final && n < l.At.Node.Attempts() && w.suppressed(l).may == never {
			failure.outcome = lead.OutcomeSuppressed
		}
		failure.callID, failure.data = e.callID, e.data
		w.ends(l, failure)
		return
	}
	l.At.record(l.Begun(), ending{
		at: w.Now, status: lead.StepFailed, err: e.err, callID: cmp.Or(e.callID, l.At.CallID), data: e.data,
	})
	l.At.Status, l.Doing, l.called = lead.StepRetrying, Retrying, nil
	l.At.Attempts = append(l.At.Attempts, lead.Attempt{
		Number: n + 1, Status: lead.StepWaiting, DueAt: w.Now.Add(max(l.At.Node.Delay(n), e.after)),
	})
}

// ending is how a step ends or, if attempt is set, how an attempt fails; final and after
// are then as in Answer.
type ending struct {
	at      time.Time
	status  lead.StepStatus
	outcome string
	err     string
	callID  string
	data    []byte

	attempt bool
	final   bool
	after   time.Duration
}

// failure is the ending of a step that has failed.
func (l *Lead) failure(at time.Time, err string) ending {
	return ending{at: at, status: lead.StepFailed, outcome: l.At.nodeType().FailureOutcome(), err: err}
}

// record records how an attempt ended.
func (st *Step) record(a *lead.Attempt, e ending) {
	a.Status, a.EndedAt, a.Error, a.CallID = e.status, e.at, e.err, e.callID
	if c := st.logged(); c != nil {
		c.Status, c.EndedAt, c.Error, c.CallID = e.status, e.at, e.err, e.callID
		c.Outcome, c.Data = e.outcome, e.data
	}
}

// logged is the call log's entry of the attempt begun last, or nil.
func (st *Step) logged() *lead.Call {
	for i := len(st.Calls) - 1; i >= 0; i-- {
		if c := &st.Calls[i]; c.Attempt <= len(st.Attempts) && begun(st.Attempts[c.Attempt-1]) {
			return c
		}
	}
	return nil
}

// ends gives the step in flight its outcome; its hooks run next.
func (w *World) ends(l *Lead, e ending) {
	if e.attempt {
		w.failed(l, e)
		return
	}
	w.conclude(l, e)
	if len(w.Hooks) == 0 {
		w.complete(l)
	}
}

func (w *World) conclude(l *Lead, e ending) {
	e.callID = cmp.Or(e.callID, l.At.CallID)
	st := l.At
	if l.Doing == Retrying {
		dropped := st.last()
		dropped.Status, dropped.EndedAt = lead.StepCancelled, w.Now
		w.givenUpNotMade(st)
	} else {
		st.record(l.Begun(), e)
	}
	st.Status, st.Outcome, st.Error, st.CallID, st.Data = e.status, e.outcome, e.err, e.callID, e.data
	l.Doing, l.called, l.endedAt, st.notMade, l.parked = Hooking, nil, e.at, 0, false
	w.startHooks(l)
}
