package engine

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// ErrNotShared: only a store that several engines can share, such as that of
// store/postgres, has transactions of the program's own.
var ErrNotShared = errors.New("engine: the store has no transactions of the program's own; open a store/postgres instead")

// EnrollTx enrolls a person, as Enroll does, in a transaction of the program's own, so
// that the lead and the program's rows are one transaction. See postgres.Store.Tx for how
// to get one.
//
// The lead exists, and every promise holds for it, from the program's commit on; if the
// program rolls back, it never was. The lead that is returned is as it will be then. After
// an error the transaction can go on as it was before the call.
//
// Errors are those of Enroll, and ErrNotShared. If another transaction that is not yet
// committed enrolls the same person in the workflow, EnrollTx waits for it.
func (e *Engine) EnrollTx(ctx context.Context, tx store.Tx, workflow lead.WorkflowID, c lead.Contact) (lead.Lead, error) {
	prepared, err := e.prepare(c, e.config.Region)
	if err == nil {
		err = e.canShare()
	}
	if err != nil {
		return lead.Lead{}, err
	}
	f, rec, err := e.run.EnrollTx(ctx, tx, workflow, prepared)
	if err != nil {
		return lead.Lead{}, e.why(err)
	}
	if err := e.refusal(ctx, workflow, prepared); err != nil {
		return lead.Lead{}, err
	}
	view, err := core.Read(rec, f)
	if err != nil {
		return lead.Lead{}, err
	}
	return core.Lead(f, &view, &prepared.Contact, *prepared.Person), nil
}

// RemoveTx takes one lead out of a workflow, as Remove does, in a transaction of the
// program's own: from the program's commit on no new step of the lead starts. It returns
// the state that the lead has then: removed, or pending_removal if a step is in flight.
// See postgres.Store.Tx for how to get a transaction.
//
// The lead is locked from the call to the end of the transaction, so nothing begins in
// between. Call RemoveTx last, and commit soon, because engines wait for it. After an error
// the transaction can go on as it was before the call. Errors are those of Remove, and
// ErrNotShared.
func (e *Engine) RemoveTx(ctx context.Context, tx store.Tx, workflow lead.WorkflowID, id lead.ID, options ...RemoveOption) (lead.State, error) {
	how, err := newRemoval(options)
	if err == nil {
		err = e.canShare()
	}
	if err != nil {
		return 0, err
	}
	state, err := e.run.RemoveTx(ctx, tx, workflow, id, how)
	return state, e.why(err)
}

func (e *Engine) canShare() error {
	if _, shared := e.store.(store.Shared); !shared {
		return ErrNotShared
	}
	return nil
}
