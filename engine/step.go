package engine

import (
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file is how a step begins: it is due, a worker is free, an attempt is on
// record and its handler called. How it ends is in outcome.go, and where the lead
// goes from there in route.go.

// fire has the machine decide, and notes the new state.
func (l *loop) fire(e *entry, event lead.Event) error {
	state, err := l.machine.Fire(e.rec.State, event)
	if err != nil {
		return err
	}
	l.touch(e)
	e.rec.State = state
	return nil
}

// due acts on a lead whose time has come, by what it is now: it may have changed
// since it was queued. What needs a worker begins when one is free, and is queued
// for one when not.
func (l *loop) due(e *entry, worker bool) error {
	r := &e.rec
	f := l.flow(r.Workflow)
	if f == nil || f.row.Deleted || r.State.Final() {
		if !e.touched {
			l.drop(e)
		}
		return nil
	}
	switch r.Phase {
	case store.PhaseRunning:
		switch {
		case e.run == nil && e.extra.Ended != nil:
			return l.endStep(e, f, *e.extra.Ended, nil)
		case r.Deadline <= l.now:
			return l.timeOut(e, f)
		case e.run != nil:
			l.timers.add(e, r.Deadline)
		case l.unreadable[r.Seq] && r.State == lead.PendingRemoval:
			return l.endStep(e, f, failure(l.stepType(e, f), "the lead cannot be read"), nil)
		case l.unreadable[r.Seq]:
			if !e.touched {
				l.drop(e)
			}
		case e.skipRetries():
			// Begun before a crash, by somebody who said stop since: what came of it
			// is unknown, and trying again is what they do not want.
			return l.endStep(e, f, failure(l.stepType(e, f), "the process ended during the attempt"), nil)
		case worker:
			l.touch(e)
			e.extra.Redelivered = true
			l.call(e, f, true)
		default:
			l.again.add(e, r.Deadline)
		}
	case store.PhaseAwaiting:
		if r.Deadline <= l.now {
			return l.timeOut(e, f)
		}
		l.timers.add(e, r.Deadline)
	case store.PhaseRetrying:
		switch {
		case r.Due > l.now:
			l.timers.add(e, r.Due)
		case worker:
			l.touch(e)
			return l.begin(e, f)
		default:
			// Before all that have not started: a removal may be pending that waits for
			// this attempt (promise 4), and of those there may be no end.
			l.ready.add(e, r.Due-store.MaxMillis)
		}
	case store.PhaseHooks:
		if e.hooks == nil {
			l.startHooks(e, f)
		}
	case store.PhaseWaiting:
		return l.waited(e, f, worker)
	}
	return nil
}

// waited acts on a lead that is not in flight and may be due; see due.
func (l *loop) waited(e *entry, f *flow, worker bool) error {
	r := &e.rec
	switch {
	case !f.active():
		if !e.touched {
			l.drop(e) // parked; see place
		}
	case e.wakeAfterWait() > l.now:
		l.timers.add(e, e.wakeAfterWait())
	case r.Due <= l.now && f.graph.Node(r.Node).Type == workflow.Time && !e.messageDue(l.now):
		return l.pass(e, f)
	case worker:
		return l.start(e, f)
	default:
		l.ready.add(e, r.Wake)
	}
	return nil
}

func (e *entry) messageDue(now store.Millis) bool {
	return len(e.extra.Messages) > 0 && e.extra.Messages[0].Due <= now
}

// start begins the step that a lead which is not in flight is due for: a message
// that was scheduled, or its action.
func (l *loop) start(e *entry, f *flow) error {
	if err := l.fire(e, lead.EventStart); err != nil {
		return err
	}
	if e.messageDue(l.now) {
		e.takeMessage()
	}
	return l.begin(e, f)
}

// takeMessage makes the scheduled message that is due the current step. The
// step of the path that it interrupts goes on waiting.
func (e *entry) takeMessage() {
	r, m := &e.rec, e.extra.Messages[0]
	e.extra.Path = &wait{Visit: r.Visit, Node: r.Node, Entered: r.Entered, Due: r.Due}
	e.extra.Sending = &m
	if e.extra.Messages = slices.Clone(e.extra.Messages[1:]); len(e.extra.Messages) == 0 {
		e.extra.Messages = nil
	}
	r.Visit, r.Node, r.Entered, r.Due, r.Attempt = m.Visit, m.Node, m.Entered, m.Due, 0
}

// stepType is the node type whose handler does the current step.
func (l *loop) stepType(e *entry, f *flow) workflow.NodeType {
	if e.extra.Sending != nil {
		return workflow.Message
	}
	return f.graph.Node(e.rec.Node).Type
}

// begin puts the next attempt on record; its handler is called when the batch
// is on disk.
func (l *loop) begin(e *entry, f *flow) error {
	r := &e.rec
	r.Attempt++
	r.Phase, r.Started = store.PhaseRunning, l.now
	r.Deadline = l.now.Add(f.graph.Timeout(r.Node))
	// A process that comes after a crash finds the lead by its Wake, which is in
	// the past already unless the lead comes from a callback or a retry.
	r.Wake = min(r.Wake, l.now)
	e.extra.CallID, e.extra.CallSeq, e.extra.Redelivered = "", 0, false
	if err := l.beginCall(e, f); err != nil {
		return err
	}
	l.call(e, f, false)
	if r.Attempt > 1 {
		l.stats.Retries++
	} else {
		l.stats.StepsStarted++
	}
	return nil
}

// call queues the attempt's handler to be called.
func (l *loop) call(e *entry, f *flow, redelivered bool) {
	e.run = newRun(e, f, l.stepType(e, f), redelivered)
	l.running++
	l.live++
	l.launches = append(l.launches, e)
	if redelivered {
		l.stats.Redelivered++
	}
}

// release ends the loop's interest in the handler that was called.
func (l *loop) release(e *entry) {
	if e.run != nil {
		l.touch(e)
		e.run = nil
		l.running--
	}
}
