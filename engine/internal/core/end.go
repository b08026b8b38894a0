package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Answer is the answer of the handler of the attempt in flight.
type Answer struct {
	// Failed says why the attempt failed; empty if it did not. RetryAfter is the least
	// time to the next attempt. Final: there is no next attempt. NotMade: nothing was
	// done, and the attempt is not counted.
	Failed     string
	RetryAfter time.Duration
	Final      bool
	NotMade    bool
	// CoolFor is how long no attempt with the same rate key begins.
	CoolFor time.Duration
	// Never and Unknown answer the question what became of an attempt that a crash
	// interrupted: nothing, so it never happened; or the handler does not know, and
	// Failed says why, if it can.
	Never, Unknown bool
	// InFlight: the outcome will come by a callback.
	InFlight bool
	Outcome  string // empty: the node type's success outcome
	CallID   string
	Data     []byte // a JSON object, or nil
	Schedule []Scheduled
}

func (a Answer) apply(t *Turn, v *View) error {
	if !v.Running {
		return ErrNotNow // the step got its outcome otherwise (promise 8)
	}
	v.Running = false
	switch {
	case v.Notes.Ended != nil:
		// A callback came first. Its outcome counts, not the handler's.
		end := *v.Notes.Ended
		if end.CallID == "" {
			end.CallID = a.CallID
		}
		if failed := t.schedule(v, a.Schedule); failed != "" {
			end.Error = failed // but the outcome stands (promise 8)
		}
		return t.end(v, end, nil)
	case a.Never, a.Unknown:
		return t.reconciled(v, a)
	case a.NotMade:
		return t.notMade(v, a)
	case a.Failed != "":
		return t.failAttempt(v, Ended{Error: a.Failed, Final: a.Final, RetryAfter: store.Millis(0).Add(a.RetryAfter)})
	case a.InFlight:
		if failed := t.schedule(v, a.Schedule); failed != "" {
			return t.end(v, v.failure(t.Flow, failed), nil)
		}
		v.Rec.Phase, v.Notes.CallID, v.Notes.NotMade = store.PhaseAwaiting, a.CallID, nil
		v.Rec.Wake = v.Rec.Deadline
		t.noteCall(v, Ended{Status: lead.StepInProgress, CallID: a.CallID})
		return nil
	}
	end := Ended{Status: lead.StepCompleted, Outcome: a.Outcome, CallID: a.CallID, Data: a.Data}
	if end.Outcome == "" {
		end.Outcome = v.NodeType(t.Flow).SuccessOutcome()
	}
	return t.end(v, end, a.Schedule)
}

// failAttempt queues the next attempt, or ends the step.
func (t *Turn) failAttempt(v *View, failed Ended) error {
	r := &v.Rec
	v.Running, v.Uncalled, v.Rest = false, false, 0
	delay, more := t.Flow.Graph.RetryDelay(r.Node, int(r.Attempt))
	v.Notes.NotMade, v.Notes.Parked = nil, false
	if failed.Final || !more || mayBegin(v, t.Flow, t.Now).may == never {
		end := v.failure(t.Flow, failed.Error)
		if v.suppressed(t.Flow, t.Now) && more && !failed.Final {
			end.Outcome = lead.OutcomeSuppressed
		}
		end.At, end.CallID, end.Data = failed.At, failed.CallID, failed.Data
		return t.end(v, end, nil)
	}
	if err := t.fire(v, lead.EventRetry); err != nil {
		return err
	}
	end := Ended{At: t.Now, Status: lead.StepFailed, Error: failed.Error, CallID: failed.CallID, Data: failed.Data}
	if end.CallID == "" {
		end.CallID = v.Notes.CallID
	}
	v.addAttempt(end)
	t.noteCall(v, end)
	v.Notes.Ended = nil
	r.Phase, r.Deadline = store.PhaseRetrying, 0
	r.Due = t.Now.Add(max(delay, time.Duration(failed.RetryAfter)*time.Millisecond))
	r.Wake = r.Due
	return nil
}

// timeOut ends a step whose attempt has been in flight for too long.
func (t *Turn) timeOut(v *View) error {
	if v.Notes.Ended != nil {
		return t.end(v, *v.Notes.Ended, nil)
	}
	t.Stats.TimedOut++
	text := fmt.Sprintf("no outcome within the timeout of %s", t.Flow.Graph.Timeout(v.Rec.Node))
	if v.Notes.Parked {
		text = v.parked()
	}
	return t.end(v, v.failure(t.Flow, text), nil)
}

// drop ends a step that is to have no further attempt: one whose next attempt is
// queued, or one whose attempt a crash interrupted, so that its outcome is unknown.
func (t *Turn) drop(v *View) error {
	text := "the process ended during the attempt"
	switch n := &v.Notes; {
	case v.Rec.Phase == store.PhaseRetrying && n.NotMade != nil:
		text = n.NotMade.Error
	case v.Rec.Phase == store.PhaseRetrying:
		text = n.Attempts[len(n.Attempts)-1].Error
	case n.Parked:
		text = v.parked()
	}
	end := v.failure(t.Flow, text)
	if v.suppressed(t.Flow, t.Now) {
		end.Outcome = lead.OutcomeSuppressed
	}
	return t.end(v, end, nil)
}

// parked says why an attempt is not delivered again.
func (v *View) parked() string {
	return fmt.Sprintf("the process ended %d times during the attempt, which is not made again", v.Notes.Redeliveries+1)
}

// failure returns how the current step ends when its last attempt has failed.
func (v *View) failure(f *Flow, text string) Ended {
	return Ended{Status: lead.StepFailed, Outcome: v.NodeType(f).FailureOutcome(), Error: text}
}

// addAttempt records how the attempt begun last ended.
func (v *View) addAttempt(end Ended) {
	v.Notes.Attempts = append(slices.Clip(v.Notes.Attempts), Attempt{
		Number: v.Rec.Attempt, Started: v.Rec.Started, Ended: end.At,
		Status: end.Status, Error: end.Error, CallID: end.CallID, Again: v.Notes.Redelivered,
	})
}

// end puts the outcome of the step in flight on record. Its hooks are called
// next, if there are any, and the lead goes on after them.
func (t *Turn) end(v *View, end Ended, schedule []Scheduled) error {
	if end.Attempt {
		return t.failAttempt(v, end)
	}
	v.Running, v.Uncalled, v.Rest = false, false, 0
	if end.At == 0 {
		end.At = t.Now
	}
	if end.CallID == "" {
		end.CallID = v.Notes.CallID
	}
	if failed := t.schedule(v, schedule); failed != "" {
		end.Status, end.Outcome, end.Error = lead.StepFailed, v.NodeType(t.Flow).FailureOutcome(), failed
	}
	if v.Rec.Phase == store.PhaseRetrying {
		// No attempt is in flight: the queued one is dropped.
		dropped := Attempt{Number: v.Rec.Attempt + 1, Due: v.Rec.Due, Ended: t.Now, Status: lead.StepCancelled}
		if n := v.Notes.NotMade; n != nil {
			dropped.Error, dropped.Again = n.Error, n.Again
		}
		v.Notes.Attempts = append(slices.Clip(v.Notes.Attempts), dropped)
		t.giveUpNotMade(v)
	} else {
		if len(v.Notes.Attempts) > 0 || end.Error != "" || end.At != t.Now || v.Notes.Redelivered || t.Hooks {
			v.addAttempt(end)
		}
		t.noteCall(v, end)
	}
	if end.Status == lead.StepFailed {
		t.Stats.StepsFailed++
	} else {
		t.Stats.StepsCompleted++
	}
	v.Rec.Deadline = 0
	if !t.Hooks {
		return t.complete(v, end, nil)
	}
	v.Rec.Phase = store.PhaseHooks
	v.Rec.Wake = min(v.Rec.Wake, t.Now)
	ended := end // a copy here, so that a step without hooks allocates nothing
	v.Notes.Ended = &ended
	return nil
}

// HooksEnded says that the hooks of the step have run, and which of them failed,
// each with its name.
type HooksEnded struct{ Errors []string }

func (e HooksEnded) apply(t *Turn, v *View) error {
	if !v.Hooking {
		return ErrNotNow
	}
	v.Hooking = false
	t.Stats.HookFailures += int64(len(e.Errors))
	return t.complete(v, *v.Notes.Ended, e.Errors)
}

// complete ends a step whose hooks, if any, have run: it goes to the history,
// and the lead goes on, or is detached when its removal is pending.
func (t *Turn) complete(v *View, end Ended, hookErrors []string) error {
	if t.Flow.cancelled() && v.Rec.State == lead.InStep {
		// The workflow was cancelled, and the sweep has not reached this lead yet.
		if err := t.ask(v, Removal{Reason: lead.ReasonWorkflowCancelled}); err != nil {
			return err
		}
	}
	if err := t.fire(v, lead.EventComplete); err != nil {
		return err
	}
	r, n := &v.Rec, &v.Notes
	step := store.Step{
		Visit: r.Visit, Node: r.Node, Status: end.Status, Attempts: r.Attempt,
		Entered: r.Entered, Due: r.Entered, Started: r.Started, Exited: t.Now, Outcome: end.Outcome,
	}
	if n.Sending != nil {
		step.Kind, step.Due = store.StepMessage, n.Sending.Due
		if n.Sending.Size > 0 {
			t.Payloads = append(t.Payloads, store.Payload{Lead: r.Seq, Visit: r.Visit}) // sent: not needed any more
		}
	}
	d := Detail{Attempts: n.Attempts, Error: end.Error, CallID: end.CallID, Data: end.Data, HookErrors: hookErrors}
	if err := t.record(v, step, d); err != nil {
		return err
	}
	path, exit := n.Path, n.Exit
	n.endStep()
	if path != nil {
		n.Path = nil
		r.Visit, r.Node, r.Entered, r.Due = path.Visit, path.Node, path.Entered, path.Due
		r.Attempt, r.Started, r.Phase = 0, 0, store.PhaseWaiting
	}
	next, ok := t.Flow.Graph.Next(step.Node, end.Outcome)
	switch {
	case r.State == lead.Removed && path != nil:
		return t.detach(v)
	case r.State == lead.Removed:
		r.Phase = store.PhaseEnded
		if ok {
			// The node that the outcome would have led to is recorded as cancelled.
			if err := t.cancelNext(v, next); err != nil {
				return err
			}
		}
		return t.detach(v)
	case exit != nil:
		return t.exit(v, *exit, path != nil)
	case path != nil:
		r.Wake = v.nextDue()
		if took, err := t.takeSignal(v); took || err != nil {
			return err
		}
		n.Signals = nil
		if t.waitOver(v) {
			return t.pass(v)
		}
		return nil
	case !ok && end.Outcome == lead.OutcomeSuppressed:
		r.Phase = store.PhaseEnded
		return t.remove(v, suppression)
	case !ok:
		return t.finish(v, lead.OutcomeNoRoute)
	}
	return t.enter(v, next)
}

// waitOver reports whether the lead's wait is over and the lead may go on now.
func (t *Turn) waitOver(v *View) bool {
	need := Next(v, t.Flow, t.Now)
	return need.Kind == Change && need.Change == StepPass
}
