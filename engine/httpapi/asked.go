package httpapi

import (
	"context"

	"github.com/leadflow-go/leadflow/engine"
)

// asker is the input of a route that has, for the audit trail, the parameters reason and
// actor, and hands them on by the context.
type asker interface{ asked() (reason, actor string) }

type newWorkflowInput struct {
	Reason string `query:"reason" empty:"default" doc:"why, for the record; at most 1,024 bytes"`
	Actor  string `query:"actor" empty:"default" doc:"who asks, for the record; at most 1,024 bytes"`
}

// changeWorkflowInput is of the routes that change a workflow.
type changeWorkflowInput struct {
	ID     workflowParam `path:"id"`
	Reason string        `query:"reason" empty:"default" doc:"why, for the record; at most 1,024 bytes"`
	Actor  string        `query:"actor" empty:"default" doc:"who asks, for the record; at most 1,024 bytes"`
}

type updateLeadInput struct {
	ID     workflowParam `path:"id"`
	Lead   leadParam     `path:"lead"`
	Reason string        `query:"reason" empty:"default" doc:"why, for the record; at most 1,024 bytes"`
	Actor  string        `query:"actor" empty:"default" doc:"who asks, for the record; at most 1,024 bytes"`
}

type setLimitsInput struct {
	Reason string `query:"reason" empty:"default" doc:"why, for the record; at most 1,024 bytes"`
	Actor  string `query:"actor" empty:"default" doc:"who asks, for the record; at most 1,024 bytes"`
}

func (in *newWorkflowInput) asked() (reason, actor string)    { return in.Reason, in.Actor }
func (in *changeWorkflowInput) asked() (reason, actor string) { return in.Reason, in.Actor }
func (in *updateLeadInput) asked() (reason, actor string)     { return in.Reason, in.Actor }
func (in *setLimitsInput) asked() (reason, actor string)      { return in.Reason, in.Actor }

// maxAsked is the most bytes of a reason and of an actor.
const maxAsked = 1024

// askedBy returns a context that tells the engine who asks, or what is wrong with it.
func askedBy(ctx context.Context, in any) (context.Context, []fault) {
	a, ok := in.(asker)
	if !ok {
		return ctx, nil
	}
	var q queryReader
	reason, actor := a.asked()
	for name, text := range map[string]string{"reason": reason, "actor": actor} {
		if len(text) > maxAsked {
			q.fault(name, "has more than %d bytes", maxAsked)
		}
	}
	return engine.AskedBy(ctx, engine.Reason(reason), engine.Actor(actor)), q.sorted()
}
