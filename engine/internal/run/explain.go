package run

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine/internal/core"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Explain says why a lead is where it is, now or, if at is not 0, at that time; see
// core.Explain. The loop does it, because it knows what runs.
func (r *Runner) Explain(ctx context.Context, workflow lead.WorkflowID, id lead.ID, at store.Millis) (core.Explanation, *core.Flow, error) {
	var x core.Explanation
	var flow *core.Flow
	err := r.onLead(ctx, workflow, id, func(l *loop, e *entry) error {
		if e.view.Unreadable != nil {
			return e.view.Unreadable
		}
		flow = l.flow(e.view.Rec.Workflow)
		if err := l.knowPerson(e, flow); err != nil {
			return err
		}
		x = core.Explain(e.view, flow, max(l.now, at), e.person())
		return nil
	})
	if errors.Is(err, ErrNotRunning) {
		return r.explainStored(ctx, workflow, id, at)
	}
	if err != nil {
		return core.Explanation{}, nil, err
	}
	return x, flow, nil
}

// explainStored explains a lead of an engine that does not run.
func (r *Runner) explainStored(ctx context.Context, workflow lead.WorkflowID, id lead.ID, at store.Millis) (x core.Explanation, f *core.Flow, err error) {
	if f, err = r.Flow(workflow); err != nil {
		return x, nil, err
	}
	found, err := r.Store.Lead(ctx, id.Seq())
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && (found.Contact.ID != id || found.Workflow != f.Row.Seq):
		return x, nil, LeadNotFound(workflow, id)
	case err != nil:
		return x, nil, ReadFailed(err)
	}
	view, err := core.Read(found.Record, f)
	if err != nil {
		return x, nil, err
	}
	apart := *f
	apart.Rules = nil
	person, _ := core.Person(&found.Contact)
	return core.Explain(view, &apart, max(store.MillisOf(r.Clock.Now()), at), person), f, nil
}
