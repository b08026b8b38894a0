package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file is how a step ends: what an attempt came to, the next one queued,
// the outcome on record, the hooks, and the history.

func (res *attemptEnd) lead() int64 { return res.run.rec.Seq }

// settle takes what a handler came to.
func (res *attemptEnd) settle(l *loop) error {
	if !res.run.abandoned {
		l.live--
	}
	e := l.hot[res.run.rec.Seq]
	if e == nil || e.run != res.run {
		// The step got its outcome from a callback, or its deadline passed
		// (promise 8: one outcome).
		l.stats.LateResults++
		if !res.inFlight {
			l.eng.log.Warn("leadflow: a handler returned after its step was over; its answer is dropped",
				slog.String("step", res.run.stepID()), slog.String("error", res.err))
		}
		return nil
	}
	f := l.flow(e.rec.Workflow)
	if e.contact == nil {
		e.contact = res.contact
	}
	switch {
	case res.unread != nil:
		// The handler was not called, since its contact could not be read.
		l.release(e)
		if isUnreadable(res.unread) {
			_ = l.leaveOut(e.rec.Seq, res.unread) // which tells the operator
			return nil
		}
		l.eng.log.Error("leadflow: a lead cannot be read; trying again", slog.Any("error", res.unread))
		e.rec.Wake = min(e.rec.Wake, l.now)
		l.after = append(l.after, func() {
			if l.hot[e.rec.Seq] == e { // else the store brings it back
				l.timers.add(e, l.clock().Add(time.Second))
			}
		})
		return nil
	case e.extra.Ended != nil:
		// A callback was faster. Its outcome counts, whatever the handler says.
		end := *e.extra.Ended
		if end.CallID == "" {
			end.CallID = res.callID
		}
		if !l.schedule(e, res.schedule) {
			end.Error = errTooManyScheduled // but the outcome stands (promise 8)
		}
		return l.endStep(e, f, end, nil)
	case res.err != "":
		return l.failAttempt(e, f, res)
	case res.inFlight:
		l.release(e)
		if !l.schedule(e, res.schedule) {
			return l.endStep(e, f, failure(l.stepType(e, f), errTooManyScheduled), nil)
		}
		e.rec.Phase, e.extra.CallID = store.PhaseAwaiting, res.callID
		e.rec.Wake = e.rec.Deadline
		l.noteCall(e, f, ended{Status: lead.StepInProgress, CallID: res.callID})
		return nil
	}
	return l.endStep(e, f, ended{
		Status: lead.StepCompleted, Outcome: res.outcome, CallID: res.callID, Data: res.data,
	}, res.schedule)
}

// failAttempt queues the next attempt, or ends the step.
func (l *loop) failAttempt(e *entry, f *flow, res *attemptEnd) error {
	r := &e.rec
	delay, more := f.graph.RetryDelay(r.Node, int(r.Attempt))
	if res.final || !more || e.skipRetries() {
		return l.endStep(e, f, failure(l.stepType(e, f), res.err), nil)
	}
	if err := l.fire(e, lead.EventRetry); err != nil {
		return err
	}
	l.release(e)
	end := ended{At: l.now, Status: lead.StepFailed, Error: res.err, CallID: e.extra.CallID}
	e.addAttempt(end)
	l.noteCall(e, f, end)
	r.Phase, r.Deadline = store.PhaseRetrying, 0
	r.Due = l.now.Add(max(delay, res.wait))
	r.Wake = r.Due
	return nil
}

// timeOut ends a step whose attempt has been in flight for too long.
func (l *loop) timeOut(e *entry, f *flow) error {
	if run := e.run; run != nil {
		l.live-- // it may never return; nobody waits for it
		l.after = append(l.after, func() {
			run.abandoned = true
			run.cancel(ErrDeadline)
		})
	}
	if e.extra.Ended != nil {
		return l.endStep(e, f, *e.extra.Ended, nil)
	}
	l.stats.TimedOut++
	took := f.graph.Timeout(e.rec.Node)
	return l.endStep(e, f, failure(l.stepType(e, f), fmt.Sprintf("no outcome within the timeout of %s", took)), nil)
}

// failure is how a step of that type ends when its last attempt has failed.
func failure(t workflow.NodeType, text string) ended {
	return ended{Status: lead.StepFailed, Outcome: t.FailureOutcome(), Error: text}
}

// addAttempt notes how the attempt begun last has ended.
func (e *entry) addAttempt(end ended) {
	e.extra.Attempts = append(slices.Clip(e.extra.Attempts), attempt{
		Number: e.rec.Attempt, Started: e.rec.Started, Ended: end.At,
		Status: end.Status, Error: end.Error, CallID: end.CallID, Again: e.extra.Redelivered,
	})
}

// endStep puts the outcome of the step in flight on record, has the hooks run,
// and lets the lead go on after them.
func (l *loop) endStep(e *entry, f *flow, end ended, schedule []Message) error {
	l.touch(e)
	l.release(e)
	if end.At == 0 {
		end.At = l.now
	}
	if end.CallID == "" {
		end.CallID = e.extra.CallID
	}
	if !l.schedule(e, schedule) {
		end.Status, end.Outcome = lead.StepFailed, l.stepType(e, f).FailureOutcome()
		end.Error = errTooManyScheduled
	}
	if e.rec.Phase == store.PhaseRetrying {
		// No attempt is in flight: the queued one is dropped.
		e.extra.Attempts = append(slices.Clip(e.extra.Attempts),
			attempt{Number: e.rec.Attempt + 1, Due: e.rec.Due, Ended: l.now, Status: lead.StepCancelled})
	} else {
		if len(e.extra.Attempts) > 0 || end.Error != "" || end.At != l.now || e.extra.Redelivered || len(l.eng.config.Hooks) > 0 {
			e.addAttempt(end)
		}
		l.noteCall(e, f, end)
	}
	if end.Status == lead.StepFailed {
		l.stats.StepsFailed++
	} else {
		l.stats.StepsCompleted++
	}
	e.rec.Deadline = 0
	if len(l.eng.config.Hooks) == 0 {
		return l.settleStep(e, f, end, nil)
	}
	e.rec.Phase = store.PhaseHooks
	e.rec.Wake = min(e.rec.Wake, l.now)
	e.extra.Ended = &end
	l.startHooks(e, f)
	return nil
}

var errTooManyScheduled = fmt.Sprintf("more than %d scheduled messages would wait for the lead", MaxScheduled)

// schedule queues messages beside the lead's path, or none of them when they
// are too many.
func (l *loop) schedule(e *entry, messages []Message) bool {
	if len(messages) == 0 {
		return true
	}
	if len(e.extra.Messages)+len(messages) > MaxScheduled {
		return false
	}
	for _, m := range messages {
		e.rec.Visits++
		e.extra.Messages = withMessage(e.extra.Messages, message{
			Visit: e.rec.Visits, Node: e.rec.Node, Entered: l.now, Due: l.now.Add(max(m.After, 0)), Data: m.Data,
		})
	}
	return true
}

// settleStep ends a step whose hooks, if any, have run: it goes to the history,
// and the lead goes on, or is detached when its removal is pending.
func (l *loop) settleStep(e *entry, f *flow, end ended, hookErrors []string) error {
	if f.row.Status == lead.WorkflowCancelled && e.rec.State == lead.InStep {
		// Cancelled, and the sweep over its leads has not come by yet.
		if err := l.removeLead(e, f, removal{Reason: lead.ReasonWorkflowCancelled}); err != nil {
			return err
		}
	}
	if err := l.fire(e, lead.EventComplete); err != nil {
		return err
	}
	r, x := &e.rec, &e.extra
	step := store.Step{
		Lead: r.Seq, Visit: r.Visit, Node: r.Node, Status: end.Status, Attempts: r.Attempt,
		Entered: r.Entered, Due: r.Entered, Started: r.Started, Exited: l.now, Outcome: end.Outcome,
	}
	if x.Sending != nil {
		step.Kind, step.Due = store.StepMessage, x.Sending.Due
	}
	d := detail{Attempts: x.Attempts, Error: end.Error, CallID: end.CallID, Data: end.Data, HookErrors: hookErrors}
	if err := l.record(e, step, d); err != nil {
		return err
	}
	path := x.Path
	x.endStep()
	if path != nil {
		x.Path = nil
		r.Visit, r.Node, r.Entered, r.Due = path.Visit, path.Node, path.Entered, path.Due
		r.Attempt, r.Started, r.Phase = 0, 0, store.PhaseWaiting
	}
	next, ok := f.graph.Next(step.Node, end.Outcome)
	switch {
	case r.State == lead.Removed && path != nil:
		return l.detach(e)
	case r.State == lead.Removed:
		r.Phase = store.PhaseEnded
		if ok {
			// What the outcome would have led to is part of what removal cancelled.
			if err := l.cancelNext(e, f, next); err != nil {
				return err
			}
		}
		return l.detach(e)
	case path != nil:
		r.Wake = e.wakeAfterWait()
		return l.waited(e, f, false)
	case !ok:
		return l.finish(e, lead.OutcomeNoRoute)
	}
	return l.enter(e, f, next)
}

// record adds a finished step to the lead's history.
func (l *loop) record(e *entry, s store.Step, d detail) error {
	text, err := d.encode()
	if err != nil {
		return err
	}
	s.Detail = text
	l.touch(e)
	e.steps = append(e.steps, s)
	return nil
}
