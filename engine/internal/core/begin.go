package core

import (
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Begin gives a lead the worker that Next says it needs: the next attempt is put on
// record, and its handler is to be called. It is ErrNotNow if the lead does not need a
// worker now, even if it did when it was queued.
type Begin struct{}

func (Begin) apply(t *Turn, v *View) error {
	if Next(v, t.Flow, t.Now).Kind != Worker {
		return ErrNotNow
	}
	switch v.Rec.Phase {
	case store.PhaseRunning:
		t.deliverAgain(v)
		return nil
	case store.PhaseWaiting:
		if err := t.fire(v, lead.EventStart); err != nil {
			return err
		}
		if v.messageDue(t.Now) {
			v.takeMessage()
		}
	}
	t.begin(v)
	return nil
}

// deliverAgain has the handler called for an attempt that is on record as begun:
// because a crash interrupted it, or because the handler could not be called before.
// Before the first, the handler is asked what became of the attempt, if it can tell.
func (t *Turn) deliverAgain(v *View) {
	v.Asking = v.mustAsk(t.Flow, t.Now)
	if !v.Uncalled {
		v.Notes.Redeliveries++ // also when asking, which may be what ends the process
		if !v.Asking {
			v.Notes.Redelivered = true
			t.Stats.Redelivered++
		}
	}
	v.Running, v.Uncalled, v.Rest = true, false, 0
}

// begin puts the next attempt at the current step on record.
func (t *Turn) begin(v *View) {
	r := &v.Rec
	r.Attempt++
	r.Phase, r.Started = store.PhaseRunning, t.Now
	r.Deadline = t.Now.Add(t.Flow.Graph.Timeout(r.Node))
	// A process that comes after a crash finds the lead by its Wake, which is in
	// the past already unless the lead comes from a callback or a retry.
	r.Wake = min(r.Wake, t.Now)
	n := &v.Notes
	n.LastCall, n.CallID, n.CallSeq = n.CallSeq, "", 0
	n.Redelivered, n.Redeliveries, n.Parked = n.NotMade != nil && n.NotMade.Again, 0, false
	v.Running, v.Uncalled, v.Asking, v.Asked, v.Rest = true, false, false, false, 0
	if v.NodeType(t.Flow) == workflow.VoiceCall {
		n.CallSeq = PendingCall
		if n.NotMade != nil {
			n.CallSeq = n.NotMade.CallSeq
		}
		t.noteCall(v, Ended{Status: lead.StepInProgress})
	}
	switch {
	case n.NotMade != nil: // it counts once
	case r.Attempt > 1:
		t.Stats.Retries++
	default:
		t.Stats.StepsStarted++
	}
}

// noteCall writes the attempt begun last to the call log.
func (t *Turn) noteCall(v *View, end Ended) {
	t.logCall(v, v.Notes.CallSeq, v.Rec.Attempt, v.Rec.Started, end)
}

// logCall writes an attempt at the current step to the call log.
func (t *Turn) logCall(v *View, seq int64, attempt int32, started store.Millis, end Ended) {
	if seq == 0 {
		return
	}
	r := &v.Rec
	t.Calls = append(t.Calls, store.Call{
		Seq: seq, Lead: r.Seq, Workflow: r.Workflow, Visit: r.Visit, Entered: r.Entered,
		Attempt: attempt, NodeID: t.Flow.Graph.Node(r.Node).ID, Status: end.Status, Started: started,
		Ended: end.At, CallID: end.CallID, Outcome: end.Outcome, Error: end.Error, Data: end.Data,
	})
}

// takeMessage makes the scheduled message that is due the current step. The
// step of the path that it interrupts goes on waiting.
func (v *View) takeMessage() {
	r, m := &v.Rec, v.Notes.Messages[0]
	v.Notes.Path = &Wait{Visit: r.Visit, Node: r.Node, Entered: r.Entered, Due: r.Due}
	v.Notes.Sending = &m
	if v.Notes.Messages = slices.Clone(v.Notes.Messages[1:]); len(v.Notes.Messages) == 0 {
		v.Notes.Messages = nil
	}
	r.Visit, r.Node, r.Entered, r.Due, r.Attempt = m.Visit, m.Node, m.Entered, m.Due, 0
}

// NotCalled says that the handler of the attempt in flight could not be called,
// for example because the contact or the message could not be read. Again is when to try again.
type NotCalled struct{ Again store.Millis }

func (e NotCalled) apply(t *Turn, v *View) error {
	if !v.Running {
		return ErrNotNow
	}
	v.Running, v.Uncalled, v.Rest = false, v.Notes.Redeliveries == 0, e.Again
	v.Notes.Redeliveries = max(v.Notes.Redeliveries-1, 0)
	v.Rec.Wake = min(v.Rec.Wake, t.Now)
	return nil
}
