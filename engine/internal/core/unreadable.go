package core

import (
	"errors"
	"fmt"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// UnreadableError says that what is on record of one lead cannot be read. It
// concerns that lead alone.
type UnreadableError struct {
	Lead int64 // its number
	Err  error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("engine: unexpected data in the store: lead %d cannot be read: %v", e.Lead, e.Err)
}

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// check reports what no engine writes: everything that decides relies on it. f is
// nil if the workflow is unknown.
func (v *View) check(f *Flow) error {
	r, n := &v.Rec, &v.Notes
	inFlight := r.Phase >= store.PhaseRunning && r.Phase <= store.PhaseHooks
	switch {
	case r.State < lead.Enrolled || r.State > lead.Completed || r.Phase < store.PhaseWaiting || r.Phase > store.PhaseEnded,
		r.State.Final() != (r.Phase == store.PhaseEnded), r.State.InFlight() != inFlight:
		return fmt.Errorf("it is %s in phase %d", r.State, r.Phase)
	case r.State == lead.PendingRemoval && n.Removal == nil:
		return errors.New("its removal is pending and not described")
	case r.Phase == store.PhaseHooks && n.Ended == nil:
		return errors.New("its hooks run for a step without an outcome")
	case r.Phase == store.PhaseRetrying && len(n.Attempts) == 0 && n.NotMade == nil:
		return errors.New("it waits for a retry, and no attempt has failed")
	case (n.Sending == nil) != (n.Path == nil) || n.Sending != nil && !inFlight:
		return errors.New("it sends a message without a step to return to")
	case n.Ask && r.Phase != store.PhaseWaiting:
		return errors.New("an expression is asked while a step is in flight")
	}
	if f != nil && !v.placed(f, inFlight) {
		return fmt.Errorf("it is at node %d of %d, where no lead can be", r.Node, f.Graph.Len())
	}
	return nil
}

// placed reports whether the lead, and what waits beside it, is at nodes where a
// lead can be.
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

// Readable is what can be told of a lead that cannot be read as a whole.
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
