package run

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Change applies an event to one lead of a workflow: a hold, a release or a signal. It
// returns what a signal did. When it returns, no handler is called any more that the
// event forbids (promise 17).
func (r *Runner) Change(ctx context.Context, workflow lead.WorkflowID, id lead.ID, event core.Event, note store.Audit) (core.Effect, error) {
	var effect core.Effect
	var before begun
	err := r.onLead(ctx, workflow, id, func(l *loop, e *entry) error {
		before = begun{}
		err := l.apply(e, event)
		effect = l.turning.Effect
		if err == nil {
			l.auditLead(e, note)
			before.add(l, e)
		}
		return e.answer(err, workflow, id)
	})
	if err != nil {
		return "", err // if ctx has ended, the loop may still be deciding
	}
	return effect, before.await(ctx, r)
}

// answer turns the core's refusal into one that carries the ids. What changes nothing
// is no error.
func (e *entry) answer(err error, workflow lead.WorkflowID, id lead.ID) error {
	var refused *core.Refused
	switch {
	case errors.Is(err, core.ErrUnchanged):
		return nil
	case errors.As(err, &refused):
		return &lead.ConflictError{Reason: refused.Reason, Workflow: workflow, Lead: id, State: refused.State}
	case err != nil:
		return e.refusal(err, workflow, id)
	}
	return nil
}
