package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// RemoveOption is an option for one call of Remove or RemoveLeads.
type RemoveOption func(*core.Removal)

// Reason records why the lead is removed, in at most 1,024 bytes.
func Reason(text string) RemoveOption { return func(r *core.Removal) { r.Reason = text } }

// Actor records who asked for the removal, in at most 1,024 bytes.
func Actor(name string) RemoveOption { return func(r *core.Removal) { r.Actor = name } }

// SkipRetries lets the attempt in flight finish and drops queued retries: use it for a
// person who opted out and must not be called again. It also works on a removal that is
// pending already.
func SkipRetries() RemoveOption { return func(r *core.Removal) { r.SkipRetries = true } }

const maxReason = 1024

// Removal is a removal that was asked for and is on disk. It is safe for
// concurrent use.
type Removal struct {
	// State is the lead's state when Remove returned: lead.Removed, or
	// lead.PendingRemoval if a step is in flight.
	State lead.State

	eng      *Engine
	workflow lead.WorkflowID
	id       lead.ID
	done     <-chan struct{}
}

// Done returns a channel that is closed when the lead is removed. If the engine is
// shut down before that, the channel is never closed; the removal goes on when an
// engine is started on the same store.
func (r *Removal) Done() <-chan struct{} { return r.done }

// Wait waits until the lead is removed, and returns it. It returns early with ctx's
// cause, or with ErrNotRunning when the engine is shut down; the removal stays pending
// in either case.
func (r *Removal) Wait(ctx context.Context) (lead.Lead, error) {
	select {
	case <-r.done:
		return r.eng.Lead(ctx, r.workflow, r.id)
	default:
	}
	if err := r.eng.run.Await(ctx, r.done); err != nil {
		return lead.Lead{}, r.eng.why(err)
	}
	return r.eng.Lead(ctx, r.workflow, r.id)
}

// Remove takes one lead out of a workflow. A retry that is queued is still made,
// unless [SkipRetries] is given: give it for a person who said stop, so that at most
// the attempt that runs now is finished.
//
// Remove returns as soon as the removal is on disk: from then on no new step of the
// lead starts (promise 2). A lead that waits is removed immediately, and what was
// scheduled for it is cancelled. A lead with a step in flight becomes pending_removal:
// the step, its queued retries and its completion hooks go on, and then the lead is
// removed; Removal.Wait waits for that. No other lead is changed, and the workflow goes
// on. It is about this lead only: the person may be a lead of other workflows, and can be
// enrolled again. For a person who said stop, use [Engine.Suppress].
//
// A lead whose row in the store cannot be read is removed immediately, also with a step in
// flight, because nobody can finish that step.
//
// Calling it again while removal is pending is no error, and changes nothing but that
// SkipRetries takes effect. If the workflow or the lead is unknown, or the lead is in
// another workflow, the error matches lead.ErrNotFound. If the lead is already removed
// or completed, it matches lead.ErrLeadFinal and lead.ErrConflict.
func (e *Engine) Remove(ctx context.Context, workflow lead.WorkflowID, id lead.ID, options ...RemoveOption) (*Removal, error) {
	how, err := newRemoval(options)
	if err != nil {
		return nil, err
	}
	state, done, err := e.run.Remove(ctx, workflow, id, how)
	if err != nil {
		return nil, e.why(err)
	}
	return &Removal{State: state, eng: e, workflow: workflow, id: id, done: done}, nil
}

// newRemoval applies and checks the options of a removal.
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

// RemoveLeads takes every lead that matches out of a workflow, each as Remove would,
// a few hundred in a commit, so that other leads go on meanwhile. Final leads are
// skipped. It returns when the removals are on disk, with the number of leads that are
// removed or pending removal; it does not wait for pending ones.
//
// The filter must say which leads are meant, by All or by a field other than After,
// Offset and Limit; otherwise RemoveLeads returns a *lead.InvalidError and removes
// nobody.
//
// If ctx ends, or the engine is shut down, before RemoveLeads returns, the leads
// removed so far stay removed; call it again to remove the others. Errors are those of
// Leads, and those of Remove about its options.
func (e *Engine) RemoveLeads(ctx context.Context, workflow lead.WorkflowID, filter LeadFilter, options ...RemoveOption) (int, error) {
	how, faults := readRemoval(options)
	note := store.Audit{Action: run.AuditRemove, Actor: how.Actor, Reason: how.Reason}
	return e.changeLeads(ctx, workflow, filter, "removal", faults, core.Remove{How: how}, note)
}

// changeLeads applies an event to every lead that matches and is not final. faults are
// those found before.
func (e *Engine) changeLeads(
	ctx context.Context, workflow lead.WorkflowID, filter LeadFilter, subject string, faults filterFaults, event core.Event, note store.Audit,
) (int, error) {
	f, err := e.run.Flow(workflow)
	if err != nil {
		return 0, err
	}
	q, err := e.leadQuery(f, filter)
	if !filter.All && !filter.selects() {
		faults.add("filter", "does not say which leads are meant; set States, Node, PhoneNumber or ExternalID, or All for every lead of the workflow")
	}
	var invalid *lead.InvalidError
	if errors.As(err, &invalid) {
		faults = append(faults, invalid.Faults...)
	}
	if faults != nil {
		return 0, &lead.InvalidError{Subject: subject, Faults: faults}
	}
	live := []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval}
	if q.States != nil {
		live = slices.DeleteFunc(live, func(s lead.State) bool { return !slices.Contains(q.States, s) })
	}
	if len(live) == 0 {
		return 0, nil
	}
	q.States = live
	n, err := e.run.ChangeMany(ctx, workflow, q, event, note)
	return n, e.why(err)
}
