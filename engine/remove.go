package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
)

// RemoveOption is an option of one call of Remove.
type RemoveOption func(*core.Removal)

// Reason puts on record why the lead is removed; at most 1,024 bytes.
func Reason(text string) RemoveOption { return func(r *core.Removal) { r.Reason = text } }

// Actor puts on record who asked for the removal; at most 1,024 bytes.
func Actor(name string) RemoveOption { return func(r *core.Removal) { r.Actor = name } }

// SkipRetries lets the attempt in flight finish but makes no further one: for
// an opt-out, whom nobody wants to dial again. Asked for while a removal is
// pending already, it still drops the queued retries.
func SkipRetries() RemoveOption { return func(r *core.Removal) { r.SkipRetries = true } }

const maxReason = 1024

// Removal is a removal that was asked for and is on disk. It is safe for
// concurrent use.
type Removal struct {
	// State is what the lead came to at once: lead.Removed, or lead.PendingRemoval
	// while a step is in flight.
	State lead.State

	eng      *Engine
	workflow lead.WorkflowID
	id       lead.ID
	done     <-chan struct{}
}

// Done returns a channel that is closed when the lead is detached. It never
// closes when the engine is shut down before that; the removal goes on when an
// engine is started again on the same store.
func (r *Removal) Done() <-chan struct{} { return r.done }

// Wait waits until the lead is detached and returns it as it then is. It ends
// early with ctx's cause, or with ErrNotRunning when the engine is shut down;
// the removal stands in either case.
func (r *Removal) Wait(ctx context.Context) (lead.Lead, error) {
	select {
	case <-r.done:
		return r.eng.Lead(ctx, r.workflow, r.id)
	default:
	}
	if err := r.eng.run.Await(ctx, r.done); err != nil {
		return lead.Lead{}, err
	}
	return r.eng.Lead(ctx, r.workflow, r.id)
}

// Remove takes one lead out of a workflow. A retry that is queued is still made,
// unless [SkipRetries] is given: give it for a person who said stop, so that at most
// the attempt that runs right now goes on.
//
// Remove returns as soon as it is on disk: from then on no new step of the lead
// starts (promise 2). A lead that waits is removed at once, and what was scheduled for
// it is cancelled. A lead with a step in flight is pending_removal: the step, its
// queued retries and its completion hooks go on, and then the lead is detached; wait
// for that on the Removal. No other lead is touched, and the workflow goes on.
//
// Asking again while removal is pending changes nothing, and is no error. An
// unknown workflow or lead, or a lead of another workflow, is an error that
// matches lead.ErrNotFound; a lead that is already removed or completed, one
// that matches lead.ErrLeadFinal and lead.ErrConflict.
func (e *Engine) Remove(ctx context.Context, workflow lead.WorkflowID, id lead.ID, options ...RemoveOption) (*Removal, error) {
	how, err := newRemoval(options)
	if err != nil {
		return nil, err
	}
	state, done, err := e.run.Remove(ctx, workflow, id, how)
	if err != nil {
		return nil, err
	}
	return &Removal{State: state, eng: e, workflow: workflow, id: id, done: done}, nil
}

// newRemoval checks what was said about a removal.
func newRemoval(options []RemoveOption) (core.Removal, error) {
	how, faults := readRemoval(options)
	if faults != nil {
		return how, &lead.InvalidError{Subject: "removal", Faults: faults}
	}
	return how, nil
}

func readRemoval(options []RemoveOption) (how core.Removal, faults []lead.FieldError) {
	for _, option := range options {
		option(&how)
	}
	for _, said := range []struct{ location, text string }{{"reason", how.Reason}, {"actor", how.Actor}} {
		if len(said.text) > maxReason {
			faults = append(faults, lead.FieldError{Location: said.location, Message: fmt.Sprintf("has more than %d bytes", maxReason)})
		}
	}
	return how, faults
}

// RemoveLeads takes every lead that matches out of a workflow, each as Remove
// would, a few hundred in a commit, so that others go on meanwhile. Leads that are
// final are passed over. It returns when that is on disk, with how many leads are
// removed, or pending removal; it does not wait for those.
//
// The filter must say which leads are meant, by one of its fields or by All: one
// that only pages, or that nobody filled in, is a *lead.InvalidError, and nobody is
// removed.
//
// When ctx ends before that, or the engine is shut down, the leads removed so far
// stay removed, and asking again removes the others. Errors are those of Leads,
// and of Remove for its options.
func (e *Engine) RemoveLeads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter, options ...RemoveOption) (int, error) {
	f, err := e.run.Flow(workflow)
	if err != nil {
		return 0, err
	}
	q, err := e.leadQuery(f, filter)
	how, faults := readRemoval(options)
	if !filter.All && !filter.selects() {
		faults = append(faults, lead.FieldError{Location: "filter", Message: "does not say which leads are meant; " +
			"set States, Node, PhoneNumber or ExternalID, or All to remove every lead of the workflow"})
	}
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		faults = append(faults, invalid.Faults...)
	}
	if faults != nil {
		return 0, &lead.InvalidError{Subject: "removal", Faults: faults}
	}
	live := []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}
	if q.States != nil {
		live = slices.DeleteFunc(live, func(s lead.State) bool { return !slices.Contains(q.States, s) })
	}
	if len(live) == 0 {
		return 0, nil
	}
	q.States = live
	return e.run.RemoveMany(ctx, workflow, q, how)
}
