package simulation

import (
	"context"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// Engine is what opting out needs of a *engine.Engine.
type Engine interface {
	Remove(ctx context.Context, workflow lead.WorkflowID, id lead.ID, options ...engine.RemoveOption) (*engine.Removal, error)
	RemoveLeads(ctx context.Context, workflow lead.WorkflowID, filter engine.LeadFilter, options ...engine.RemoveOption) (int, error)
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
		_, err := eng().Remove(ctx, c.Lead.WorkflowID, c.Lead.ID, engine.Reason("said stop in "+c.Step.NodeID), engine.SkipRetries())
		return err
	}}
}

// Texted takes somebody out who wrote STOP, whatever happens to them at that
// moment. A call that goes on is not cut; one that was to be tried again is not
// made. The filter has nothing but the number: were that empty, RemoveLeads would
// refuse, where one with States would take it for everybody's.
func Texted(ctx context.Context, eng Engine, workflow lead.WorkflowID, phone string) error {
	_, err := eng.RemoveLeads(ctx, workflow, engine.LeadFilter{PhoneNumber: phone}, engine.Reason("wrote STOP"), engine.SkipRetries())
	return err
}
