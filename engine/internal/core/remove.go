package core

import (
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Remove takes a lead out of its workflow: now, or when its step in flight is
// over. Asked for again it is ErrUnchanged, unless it now gives up the retries. Of
// a final lead it is the machine's refusal, which matches
// lead.ErrLeadFinal.
type Remove struct{ How Removal }

func (e Remove) apply(t *Turn, v *View) error { return t.remove(v, e.How) }

func (t *Turn) remove(v *View, how Removal) error {
	if err := t.ask(v, how); err != nil {
		return err
	}
	if v.Rec.State == lead.Removed {
		return t.detach(v)
	}
	return nil
}

// ask puts on record that removal is wanted.
func (t *Turn) ask(v *View, how Removal) error {
	was := v.Rec.State
	if err := t.fire(v, lead.EventRemove); err != nil {
		return err
	}
	switch {
	case was != lead.PendingRemoval:
		how.Requested = t.Now
		v.Notes.Removal = &how
	case how.SkipRetries && !v.Notes.Removal.SkipRetries:
		// Asked again, it still gives up the retries. Reason and actor stay those
		// of the first request.
		skipping := *v.Notes.Removal
		skipping.SkipRetries = true
		v.Notes.Removal = &skipping
	default:
		return ErrUnchanged
	}
	return nil
}

// detach ends a lead that the machine has brought to removed: what it waited
// for is cancelled, each on record.
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

// cancelNext puts on record that the lead, being removed, does not go on to the
// node that its last outcome leads to.
func (t *Turn) cancelNext(v *View, node int32) error {
	r := &v.Rec
	if r.Visits >= lead.MaxVisits {
		return nil
	}
	r.Visits++
	due, g := t.Now, t.Flow.Graph
	if g.Node(node).Type == workflow.Time && !g.NeedsContact(node) && !g.NeedsSteps(node) && g.Cheap(node) {
		// The wait that would have begun now. One that hangs on the lead is not
		// worked out any more.
		if reply := Evaluate(t.Flow, node, nil, nil, t.Now); reply.Failed == "" {
			due = reply.Until
		}
	}
	return t.cancelStep(v, store.Step{Visit: r.Visits, Node: node, Entered: t.Now, Due: due}, nil)
}

// Touch is a change of what stands beside the lead, such as its contact. It is
// refused, as a removal would be, when the lead is final.
type Touch struct{}

func (Touch) apply(_ *Turn, v *View) error {
	if v.Rec.State.Final() {
		return &lead.TransitionError{State: v.Rec.State, Event: lead.EventRemove}
	}
	return nil
}
