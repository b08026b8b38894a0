package core

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

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

// Is reports whether target is lead.ErrUnreadable.
func (e *UnreadableError) Is(target error) bool { return target == lead.ErrUnreadable }

// Unreadable returns err as one that says that the lead cannot be read.
func Unreadable(seq int64, err error) error {
	var known *UnreadableError
	if errors.As(err, &known) {
		return err
	}
	return &UnreadableError{seq, err}
}

// nowhere is the node of a lead that was removed at a node which cannot be read.
const nowhere = math.MaxInt32

// Damaged returns the view of a lead whose rows cannot be read, as far as they can. Such
// a lead needs nothing, and takes no event but those that remove it.
func Damaged(rec store.Record, err error) View {
	v := View{Rec: rec, Unreadable: err}
	if notes, err := DecodeNotes(rec.EngineState); err == nil {
		v.Notes = notes
	}
	if !slices.Contains(lead.States(), rec.State) {
		v.Rec.State = stateIn(rec.Phase)
	}
	return v
}

// stateIn is the state of a lead whose own cannot be read.
func stateIn(p store.Phase) lead.State {
	if p >= store.PhaseRunning && p <= store.PhaseHooks {
		return lead.InStep
	}
	return lead.Enrolled // it was not removed, as far as can be read
}

// removeDamaged takes a lead out whose rows cannot be read. It is removed now, also with
// a step in flight, which nobody can finish. What can be read of that step and of
// scheduled messages is recorded as cancelled. The call log is left as it is: nobody knows
// how a call ended.
func (t *Turn) removeDamaged(v *View, how Removal) error {
	r, n := &v.Rec, &v.Notes
	if err := t.fire(v, lead.EventRemove); err != nil {
		return err
	}
	if r.State == lead.PendingRemoval {
		if err := t.fire(v, lead.EventComplete); err != nil {
			return err
		}
	}
	how.Requested = t.Now
	if n.Removal != nil { // asked for before, and pending
		was := *n.Removal
		was.SkipRetries = was.SkipRetries || how.SkipRetries
		how = was
	}
	n.Removal = &how
	if !t.Flow.has(r.Node) {
		r.Node = nowhere
	}
	if v.numbered(r.Visit) && r.Phase != store.PhaseEnded {
		step := store.Step{
			Visit: r.Visit, Node: r.Node, Status: lead.StepCancelled, Attempts: max(r.Attempt, 0),
			Entered: r.Entered, Due: r.Due, Started: r.Started, Exited: t.Now,
		}
		if n.Sending != nil {
			step.Kind = store.StepMessage
		}
		t.Stats.TimersCancelled++
		if err := t.record(v, step, Detail{CallID: n.CallID, Error: v.Unreadable.Error()}); err != nil {
			return err
		}
	}
	n.Messages = slices.DeleteFunc(slices.Clone(n.Messages), func(m Message) bool {
		return !v.numbered(m.Visit) || !t.Flow.has(m.Node)
	})
	r.Visit, r.Visits, r.Outcome = min(max(r.Visit, 0), lead.MaxVisits), min(max(r.Visits, 0), lead.MaxVisits), ""
	v.Running, v.Uncalled, v.Hooking, v.Unreadable = false, false, false, nil
	t.Stats.Removed++
	return t.over(v)
}

// numbered reports whether a visit has a number that a step can have.
func (v *View) numbered(visit int32) bool { return visit > 0 && visit <= lead.MaxVisits }

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
	case r.Visit < 0 || r.Visit > lead.MaxVisits || r.Visits < 0 || r.Visits > lead.MaxVisits || r.Attempt < 0:
		return fmt.Errorf("its step has the number %d of %d, and attempt %d", r.Visit, r.Visits, r.Attempt)
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
	if r.State == lead.Removed && r.Node == nowhere {
		return true
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

// Readable returns the fields that can be read of a lead whose rows are damaged; err says
// in what way. An id that cannot be read is replaced by one with the lead's number.
func Readable(f *Flow, found *store.Lead, err error) lead.Lead {
	v := Damaged(found.Record, err)
	person, _ := Person(&found.Contact)
	out := lead.Lead{
		ID: IDOf(&found.Contact), WorkflowID: f.Row.ID, State: v.Rec.State, Outcome: found.Outcome, Contact: *person,
		Removal: v.removal(), EnrolledAt: TimeOf(found.Contact.Enrolled), UpdatedAt: TimeOf(found.Updated),
		Unreadable: err.Error(),
	}
	if f.has(found.Node) {
		out.Node = f.Graph.Node(found.Node).ID
	}
	if out.State == lead.Completed {
		out.CompletedAt = out.UpdatedAt
	}
	return out
}

// IDOf returns a lead's id. If that cannot be read, it is one that stands for it, with
// the lead's number.
func IDOf(c *store.Contact) lead.ID {
	if c.ID == (lead.ID{}) {
		return lead.IDFrom(TimeOf(c.Enrolled), c.Seq, 0)
	}
	return c.ID
}

// Names reports whether a lead is named by an id. One whose own id cannot be read is
// named by each that has its number.
func Names(id lead.ID, c *store.Contact) bool {
	return c.ID == id || c.ID == (lead.ID{}) && c.Seq == id.Seq()
}

// TimeOf returns a time as readers see it: the zero time for none, and for one outside of
// the years 1 to 9999, which cannot be written in RFC 3339.
func TimeOf(m store.Millis) time.Time {
	if t := m.Time(); t.Year() >= 1 && t.Year() <= 9999 {
		return t
	}
	return time.Time{}
}
