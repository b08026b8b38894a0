package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// This file is about leads of which the store has something that makes no sense:
// a row that somebody edited, a damaged disk, a fault of an earlier version. Such
// a lead is left out until an engine is started again, and all others go on.

// unreadableError says that a lead is on disk, and cannot be understood. It
// concerns that lead alone, unlike a storeError.
type unreadableError struct {
	seq int64
	err error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("engine: lead number %d cannot be read: %v", e.seq, e.err)
}

func (e *unreadableError) Unwrap() error { return e.err }

// errNoNode: a row names a node that its workflow does not have.
var errNoNode = errors.New("it is of no node of the workflow")

func isUnreadable(err error) bool {
	var unreadable *unreadableError
	return errors.As(err, &unreadable)
}

// leaveOut has the loop pass over a lead from now on, tells the operator once, and
// returns why.
func (l *loop) leaveOut(seq int64, err error) error {
	if l.unreadable[seq] {
		return err
	}
	l.unreadable[seq] = true
	name := "unknown"
	if rows, readErr := l.eng.store.Contacts(context.Background(), []int64{seq}); readErr == nil && len(rows) == 1 {
		name = rows[0].ID.String()
	}
	l.eng.log.Error("leadflow: a lead cannot be read and is left out; all others go on. "+
		"Repair its row or restore a backup, and start again; or remove the lead",
		slog.String("lead", name), slog.Int64("lead_seq", seq), slog.Any("error", err))
	return err
}

// readExtra returns what a record carries besides its numbers. Its error is an
// unreadableError, also when the whole could not have been written by an engine:
// what decides relies on what is checked here. f is nil if the workflow is
// unknown.
func readExtra(f *flow, r *store.Record) (extra, error) {
	x, err := decodeExtra(r.EngineState)
	if err == nil {
		err = checkRecord(f, r, &x)
	}
	if err != nil {
		return extra{}, &unreadableError{r.Seq, err}
	}
	return x, nil
}

func checkRecord(f *flow, r *store.Record, x *extra) error {
	inFlight := r.Phase >= store.PhaseRunning && r.Phase <= store.PhaseHooks
	switch {
	case r.State < lead.Enrolled || r.State > lead.Completed || r.Phase < store.PhaseWaiting || r.Phase > store.PhaseEnded,
		r.State.Final() != (r.Phase == store.PhaseEnded), r.State.InFlight() != inFlight:
		return fmt.Errorf("it is %s in phase %d", r.State, r.Phase)
	case r.State == lead.PendingRemoval && x.Removal == nil:
		return errors.New("its removal is pending and not described")
	case r.Phase == store.PhaseHooks && x.Ended == nil:
		return errors.New("its hooks run for a step without an outcome")
	case r.Phase == store.PhaseRetrying && len(x.Attempts) == 0:
		return errors.New("it waits for a retry, and no attempt has failed")
	case (x.Sending == nil) != (x.Path == nil) || x.Sending != nil && !inFlight:
		return errors.New("it sends a message without a step to return to")
	}
	if f == nil {
		return nil
	}
	rests := func(node int32) bool {
		return f.has(node) && (f.graph.Node(node).Type.Action() || f.graph.Node(node).Type == workflow.Time)
	}
	ok := f.has(r.Node) && (r.State.Final() || x.Sending != nil || rests(r.Node))
	if inFlight && x.Sending == nil {
		ok = ok && f.graph.Node(r.Node).Type.Action()
	}
	if x.Path != nil {
		ok = ok && rests(x.Path.Node)
	}
	for _, m := range x.Messages {
		ok = ok && f.has(m.Node)
	}
	if !ok {
		return fmt.Errorf("it is at node %d of %d, where no lead can be", r.Node, f.graph.Len())
	}
	return nil
}

func (f *flow) has(node int32) bool { return node >= 0 && int(node) < f.graph.Len() }

// readable is what can be told of a lead that cannot be read as a whole.
func (f *flow) readable(found *store.Lead) lead.Lead {
	out := lead.Lead{
		ID: found.Contact.ID, WorkflowID: f.row.ID, State: found.State, Outcome: found.Outcome,
		Contact: lead.Contact{
			PhoneNumber: lead.PhoneFromDigits(found.Contact.Phone),
			ExternalID:  found.Contact.ExternalID, TimeZone: found.Contact.TimeZone,
		},
		EnrolledAt: found.Contact.Enrolled.Time(), UpdatedAt: found.Updated.Time(),
	}
	if f.has(found.Node) {
		out.Node = f.graph.Node(found.Node).ID
	}
	return out
}
