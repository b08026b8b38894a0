package run

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
)

// ErrNotCurrent: the step of a callback is not the lead's present step. The answer must
// be found in the lead's history.
var ErrNotCurrent = errors.New("engine: not the current step")

// Complete applies a callback to the step: see engine.Engine.CompleteStep. It returns
// the lead's id and state.
func (r *Runner) Complete(ctx context.Context, id lead.StepID, c core.Callback) (lead.ID, lead.State, error) {
	var found lead.ID
	var state lead.State
	c.Visit = id.Visit()
	err := r.do(ctx, func(l *loop) error {
		return l.decideOn(id.Seq(), func(e *entry) error {
			if e == nil {
				return StepNotFound(id)
			}
			if e.view.Unreadable != nil {
				return e.view.Unreadable
			}
			rec := &e.view.Rec
			f := l.flow(rec.Workflow)
			if !f.Exists() {
				return StepNotFound(id)
			}
			if rec.State.Final() || core.StepID(rec.Entered, e.contact.ID, rec.Visit) != id {
				return ErrNotCurrent
			}
			err := l.apply(e, c)
			found, state = e.contact.ID, e.view.Rec.State
			var refused *core.Refused
			switch {
			case errors.Is(err, core.ErrUnchanged):
				return nil
			case errors.Is(err, core.ErrNotNow):
				return ErrNotCurrent
			case errors.As(err, &refused):
				return &lead.ConflictError{
					Reason: refused.Reason, Workflow: f.Row.ID, Lead: found, Step: id, State: refused.State,
				}
			}
			return err
		})
	})
	if err != nil {
		return lead.ID{}, 0, err
	}
	return found, state, nil
}
