package core

import (
	"errors"
	"fmt"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// UnreadableError says that the rows of one lead cannot be read. It concerns that lead
// only.
type UnreadableError struct {
	Lead int64 // its number
	Err  error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("engine: unexpected data in the store: lead %d cannot be read: %v", e.Lead, e.Err)
}

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// check reports a combination of fields that no engine writes, because decisions rely
// on that. f is nil if the workflow is unknown.
func (v *View) check(f *Flow) error {
	r, n := &v.Rec, &v.Notes
	inFlight := r.Phase >= store.PhaseRunning && r.Phase <= store.PhaseHooks
	switch {
	case r.State < lead.Enrolled || r.State > lead.Completed || r.Phase < store.PhaseWaiting || r.Phase > store.PhaseEnded,
		r.State.Final() != (r.Phase == store.PhaseEnded), r.State.InFlight() != inFlight:
		return fmt.Errorf("state %s cannot be in phase %d", r.State, r.Phase)
	case r.State == lead.PendingRemoval && n.Removal == nil:
		return errors.New("its removal is pending, but the removal's details are missing")
	case r.Phase == store.PhaseHooks && n.Ended == nil:
		return errors.New("its hooks run for a step without an outcome")
	case r.Phase == store.PhaseRetrying && len(n.Attempts) == 0 && n.NotMade == nil:
		return errors.New("it waits for a retry, but no attempt has failed")
	case (n.Sending == nil) != (n.Path == nil) || n.Sending != nil && !inFlight:
		return errors.New("it sends a message, but has no step to return to")
	case n.Ask && r.Phase != store.PhaseWaiting:
		return errors.New("it waits for an expression while a step is in flight")
	}
	if f != nil && !v.placed(f, inFlight) {
		return fmt.Errorf("it, or a message of it, is at a node where it cannot be (node %d of a workflow with %d nodes)", r.Node, f.Graph.Len())
	}
	return nil
}

// placed reports whether the lead, and what waits beside it, are at nodes where they
// can be.
func (v *View) placed(f *Flow, inFlight bool) bool {
	r, n := &v.Rec, &v.Notes
	rests := func(node int32) bool {
		return f.has(node) && (f.Graph.Node(node).Type.Action() || f.Graph.Node(node).Type == workflow.Time)
	}
	ok := f.has(r.Node) && (r.State.Final() || n.Sending != nil || rests(r.Node) ||
		n.Ask && f.Graph.Node(r.Node).Type == workflow.Conditional)
	if inFlight && n.Sending == nil {
		ok = ok && f.Graph.Node(r.Node).Type.Action()
	}
	if n.Path != nil {
		ok = ok && rests(n.Path.Node)
	}
	for _, m := range n.Messages {
		ok = ok && f.has(m.Node)
	}
	return ok
}

func (f *Flow) has(node int32) bool { return node >= 0 && int(node) < f.Graph.Len() }

// Readable returns the fields that can be read of a lead whose rows are damaged.
func Readable(f *Flow, found *store.Lead) lead.Lead {
	out := lead.Lead{
		ID: found.Contact.ID, WorkflowID: f.Row.ID, State: found.State, Outcome: found.Outcome,
		Contact: lead.Contact{
			PhoneNumber: lead.PhoneFromDigits(found.Contact.Phone),
			ExternalID:  found.Contact.ExternalID, TimeZone: found.Contact.TimeZone,
		},
		EnrolledAt: found.Contact.Enrolled.Time(), UpdatedAt: found.Updated.Time(),
	}
	if f.has(found.Node) {
		out.Node = f.Graph.Node(found.Node).ID
	}
	return out
}
