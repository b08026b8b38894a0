package core

import "github.com/leadflow-go/leadflow/store"

// This file has what happens to an attempt that a crash interrupted, and of which it is
// not known what became of it, before it is delivered again.

// interrupted reports whether the attempt in flight was interrupted by a crash, and its
// handler has not been asked about it since.
func (v *View) interrupted() bool {
	return v.Rec.Phase == store.PhaseRunning && !v.Running && !v.Uncalled && !v.Asked
}

// mustAsk reports whether the handler is to be asked what became of the attempt in
// flight.
func (v *View) mustAsk(f *Flow, now store.Millis) bool {
	return v.interrupted() && v.HandlerOf(f, now).Reconciles
}

// unanswerable reports whether the attempt in flight fails because a crash interrupted
// it, and nobody can be asked what became of it.
func (v *View) unanswerable(f *Flow, now store.Millis) bool {
	return v.interrupted() && f.Graph.FailsUnknown(v.Rec.Node) && !v.mustAsk(f, now)
}

// reconciled follows the handler's answer that the attempt in flight never happened, or
// that it does not know: the attempt is delivered again if it still may be, or the step
// fails.
func (t *Turn) reconciled(v *View, a Answer) error {
	v.Notes.Redeliveries = max(v.Notes.Redeliveries-1, 0)
	if a.Unknown && t.Flow.Graph.FailsUnknown(v.Rec.Node) {
		return t.failUnknown(v, a.Failed)
	}
	v.Asked = true
	v.Rec.Wake = min(v.Rec.Wake, t.Now)
	return nil
}

// failUnknown ends the step because nobody knows what became of its attempt. A retry
// might reach the same person twice, so there is none.
func (t *Turn) failUnknown(v *View, reason string) error {
	text := "the process ended during the attempt, and nobody knows what became of it"
	if reason != "" {
		text += ": " + reason
	}
	return t.end(v, v.failure(t.Flow, text), nil)
}
