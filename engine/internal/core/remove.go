package core

import (
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Remove takes a lead out of its workflow: now, or when its step in flight has ended.
// If removal is pending already, it is ErrUnchanged, unless SkipRetries is new. For a
// final lead it is the machine's error, which matches lead.ErrLeadFinal.
type Remove struct{ How Removal }

func (e Remove) apply(t *Turn, v *View) error { return t.remove(v, e.How) }

func (t *Turn) remove(v *View, how Removal) error {
	if v.Unreadable != nil {
		return t.removeDamaged(v, how)
	}
	if err := t.ask(v, how); err != nil {
		return err
	}
	if v.Rec.State == lead.Removed {
		return t.detach(v)
	}
	return nil
}

// ask records that removal was asked for.
func (t *Turn) ask(v *View, how Removal) error {
	was := v.Rec.State
	if err := t.fire(v, lead.EventRemove); err != nil {
		return err
	}
	switch {
	case was != lead.PendingRemoval:
		how.Requested = t.Now
		if t.Flow.Rules != nil {
			how.Engine = t.Flow.Rules.Engine
		}
		v.Notes.Removal = &how
	case how.SkipRetries && !v.Notes.Removal.SkipRetries:
		// A second request can add SkipRetries. Reason and actor stay those of the first.
		skipping := *v.Notes.Removal
		skipping.SkipRetries = true
		v.Notes.Removal = &skipping
	default:
		return ErrUnchanged
	}
	return nil
}

// detach ends a lead whose state has become removed: its wait and its scheduled
// messages are recorded as cancelled.
func (t *Turn) detach(v *View) error {
	r := &v.Rec
	if r.Phase == store.PhaseWaiting {
		err := t.cancelStep(v, store.Step{Visit: r.Visit, Node: r.Node, Entered: r.Entered, Due: r.Due}, nil)
		if err != nil {
			return err
		}
	}
	t.Stats.Removed++
	return t.over(v)
}

// cancelNext records as cancelled the node to which the outcome of a removed lead's
// last step leads.
func (t *Turn) cancelNext(v *View, node int32) error {
	r := &v.Rec
	if r.Visits >= lead.MaxVisits {
		return nil
	}
	r.Visits++
	due, g := t.Now, t.Flow.Graph
	if g.Node(node).Type == workflow.Time && !g.NeedsContact(node) && !g.NeedsSteps(node) && g.Cheap(node) {
		// The wait that would have begun now. If its end depends on the lead's data, it is
		// not computed any more.
		if reply := Evaluate(t.Flow, node, nil, nil, t.Now); reply.Failed == "" {
			due = reply.Until
		}
	}
	return t.cancelStep(v, store.Step{Visit: r.Visits, Node: node, Entered: t.Now, Due: due}, nil)
}

// Touch goes with a change of the lead's contact. It is refused if the lead is final,
// as a removal would be.
type Touch struct {
	Person *lead.Contact // as it is after the change
}

func (e Touch) apply(t *Turn, v *View) error {
	if v.Rec.State.Final() {
		return &lead.TransitionError{State: v.Rec.State, Event: lead.EventRemove}
	}
	if t.Flow.Graph.AnyHours() {
		v.Notes.Zones, _ = ZonesOf(t.Flow, e.Person)
		v.open = open{}
		v.wakeAgain()
	}
	return nil
}
