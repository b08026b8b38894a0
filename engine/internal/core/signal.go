package core

import (
	"encoding/json"
	"slices"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Signal is an event from outside. Turn.Effect says what it did; if that is
// EffectIgnored, the error is ErrUnchanged. It is refused for a final lead.
type Signal struct {
	Name string
	Data []byte // a JSON object, or nil
}

// Effect is what a signal did.
type Effect string

// The effects, in the words of the HTTP contract.
const (
	EffectWoken   Effect = "woken"   // a wait for it has ended
	EffectExits   Effect = "exits"   // the lead leaves the workflow, now or after the step in flight
	EffectKept    Effect = "kept"    // a step is in flight; a wait for it right after the step ends immediately
	EffectIgnored Effect = "ignored" // nothing waits for it
)

// Received is a signal that came while a step was in flight.
type Received struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Exit says that a signal has asked that the lead leaves the workflow.
type Exit struct {
	Signal  string `json:"signal"`
	Outcome string `json:"outcome"`
}

func (e Signal) apply(t *Turn, v *View) error {
	g := t.Flow.Graph
	outcome, exits := g.Exit(e.Name)
	t.Effect = EffectIgnored
	switch {
	case v.Rec.State.Final():
		return &lead.TransitionError{State: v.Rec.State, Event: lead.EventRemove}
	case v.Rec.State == lead.PendingRemoval:
		return ErrUnchanged // it is removed when the step in flight has ended
	case exits && !v.Rec.State.InFlight():
		t.Effect = EffectExits
		return t.exit(v, Exit{e.Name, outcome}, true)
	case exits:
		t.Effect = EffectExits
		if v.Notes.Exit != nil {
			return ErrUnchanged
		}
		v.Notes.Exit = &Exit{e.Name, outcome}
		return nil
	case v.Rec.State.InFlight() && g.AnySignal(e.Name):
		t.Effect = EffectKept
		kept := slices.DeleteFunc(slices.Clone(v.Notes.Signals), func(s Received) bool { return s.Name == e.Name })
		v.Notes.Signals = append(kept, Received{e.Name, e.Data})
		return nil
	case !v.Rec.State.InFlight() && !v.Notes.Ask && v.waitsFor(t.Flow, e.Name):
		t.Effect = EffectWoken
		return t.passWith(v, workflow.SignalOutcome, e.Data)
	}
	return ErrUnchanged
}

// waitsFor reports whether the lead is at a time node that waits for the signal.
func (v *View) waitsFor(f *Flow, name string) bool {
	return f.Graph.Node(v.Rec.Node).Type == workflow.Time && f.Graph.Awaits(v.Rec.Node) == name
}

// keptSignal returns the signal that the lead's node waits for, if it came during the
// step before.
func (v *View) keptSignal(f *Flow) *Received {
	for i := range v.Notes.Signals {
		if s := &v.Notes.Signals[i]; v.waitsFor(f, s.Name) {
			return s
		}
	}
	return nil
}

// takeSignal ends the lead's wait if a signal for it came during the step before.
func (t *Turn) takeSignal(v *View) (took bool, err error) {
	s := v.keptSignal(t.Flow)
	if s == nil {
		return false, nil
	}
	data := s.Data
	v.Notes.Signals = nil
	return true, t.passWith(v, workflow.SignalOutcome, data)
}

// exit completes a lead that a signal takes out of the workflow. waits: a step of its
// path waits, and is recorded as cancelled.
func (t *Turn) exit(v *View, e Exit, waits bool) error {
	r := &v.Rec
	if waits {
		err := t.cancelStep(v, store.Step{Visit: r.Visit, Node: r.Node, Entered: r.Entered, Due: r.Due}, nil)
		if err != nil {
			return err
		}
	}
	return t.finish(v, e.Outcome)
}
