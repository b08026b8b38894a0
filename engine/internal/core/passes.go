package core

import (
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Passes calls pass with each edge, by its number in the definition, along which a lead
// has gone in the steps that a change has finished. v is the lead after the change.
func Passes(f *Flow, v *View, steps []store.Step, pass func(edge int32)) {
	for i := range steps {
		s := &steps[i]
		if s.Kind != store.StepVisit || s.Status != lead.StepCompleted && s.Status != lead.StepFailed {
			continue
		}
		edge, ok := f.Graph.Edge(s.Node, s.Outcome)
		if ok && v.reached(steps[i+1:], s.Visit) {
			pass(edge)
		}
	}
}

// reached reports whether the lead went on after a visit: it has come to another node, in
// one of the steps that follow or at last. One that was removed has not.
func (v *View) reached(after []store.Step, visit int32) bool {
	for i := range after {
		if s := &after[i]; s.Kind == store.StepVisit && s.Visit > visit {
			return s.Status != lead.StepCancelled
		}
	}
	at := v.Rec.Visit
	if p := v.Notes.Path; p != nil {
		at = p.Visit
	}
	return !v.Rec.State.Final() && at > visit
}
