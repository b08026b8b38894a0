package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/leadflow-go/leadflow/engine/internal/run"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// Limits returns the limits that hold for all workflows. Those of the workflows are in
// their definitions.
func (e *Engine) Limits(ctx context.Context) ([]workflow.Limit, error) {
	limits, err := e.run.Limits(ctx)
	return limits, e.why(err)
}

// SetLimits replaces the limits that hold for all workflows; none lifts them all. They are
// in force when it returns, and after a restart, and are never exceeded (promise 15):
// attempts that are in flight already count, and none is cut. Starts before a limit came
// to be do not count for it. Invalid limits are a *lead.InvalidError that names every
// fault.
func (e *Engine) SetLimits(ctx context.Context, limits []workflow.Limit) error {
	if err := workflow.CheckLimits(limits); err != nil {
		return err
	}
	if limits == nil {
		limits = []workflow.Limit{}
	}
	text, err := json.Marshal(map[string]any{"limits": limits})
	if err != nil {
		return err
	}
	note, err := noteOf(ctx, run.AuditLimits, json.RawMessage(text))
	if err != nil {
		return err
	}
	return e.why(e.run.SetLimits(ctx, limits, text, note))
}

// CoolDown has no attempt with a rate key begin before a time, in all workflows, for
// example because the provider asks for a pause. The leads wait, and no attempt of theirs
// is used up. The rate key of an attempt is what its node names, or else what its handler
// does; see [RateKeyer]. A restart forgets it.
func (e *Engine) CoolDown(ctx context.Context, rateKey string, until time.Time) error {
	if rateKey == "" {
		return &lead.InvalidError{Subject: "cool-down", Faults: []lead.FieldError{{Location: "rate_key", Message: "is required"}}}
	}
	return e.why(e.run.CoolDown(ctx, rateKey, store.MillisOf(until)))
}
