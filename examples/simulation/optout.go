package simulation

import (
	"context"
	"errors"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// Engine is what opting out needs of a *engine.Engine.
type Engine interface {
	Leads(ctx context.Context, workflow lead.WorkflowID, filter engine.LeadFilter) ([]lead.Lead, error)
	Remove(ctx context.Context, workflow lead.WorkflowID, id lead.ID, options ...engine.RemoveOption) (*engine.Removal, error)
}

// Stop is the outcome of a call in which somebody said that they want no more.
const Stop = "stop"

// OnStop returns the hook that takes those out who said stop in a call. The
// engine is asked for when the hook runs, because it is made with its hooks.
func OnStop(eng func() Engine) engine.Hook {
	return engine.Hook{Name: "opt-out", Run: func(ctx context.Context, c engine.HookEvent) error {
		if c.Step.Outcome != Stop {
			return nil
		}
		_, err := eng().Remove(ctx, c.Lead.WorkflowID, c.Lead.ID, engine.Reason("said stop in "+c.Step.NodeID))
		return err
	}}
}

// Texted takes somebody out who wrote STOP, whatever happens to them at that
// moment. A call that goes on is not cut; one that was to be tried again is not
// made.
func Texted(ctx context.Context, eng Engine, workflow lead.WorkflowID, phone string) error {
	leads, err := eng.Leads(ctx, workflow, engine.LeadFilter{
		PhoneNumber: phone, States: []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval},
	})
	if err != nil {
		return err
	}
	for _, l := range leads {
		_, err := eng.Remove(ctx, workflow, l.ID, engine.Reason("wrote STOP"), engine.SkipRetries())
		if err != nil && !errors.Is(err, lead.ErrLeadFinal) { // it may have ended just now
			return err
		}
	}
	return nil
}
